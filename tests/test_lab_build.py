"""The purpose-built kernel: its configuration, its tools, and what a failed build leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.domain import TextError
from fuzz.cli.errors import Exit
from fuzz.cli.main import main
from targets import legs as all_legs
from targets.catalogue import offers
from targets.kvm import legname
from targets.kvm.lab import build, kconfig, kernels
from targets.transport import TransportError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel source whose build is a few lines of make, in place of Debian's."""
    makefile = tmp_path / "Makefile"

    def fetch(source: str, scratch: Path, say: object) -> tuple[Path, str]:
        tree = scratch / "tree"
        (tree / "arch/arm64/boot").mkdir(parents=True)
        (tree / "Makefile").write_text(makefile.read_text())
        return tree, f"6.12.9-1~{kernels.SUITES[source]}"

    makefile.write_text(
        "allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) .config\n"
        "Image:\n\techo once >> ../../../made; echo kernel > arch/arm64/boot/Image\n"
    )
    monkeypatch.setattr(build, "fetch_source", fetch)
    monkeypatch.setattr(build, "TOOLS", {"make": "make"})
    return makefile


def test_the_configuration_asks_for_what_the_lab_needs() -> None:
    options = kconfig.parse(build.fragment(()))
    for option in ("KVM", "ARM64_SVE", "PCI_HOST_GENERIC", "DEVTMPFS", "SERIAL_AMBA_PL011_CONSOLE"):
        assert options[f"CONFIG_{option}"] == "y"
    assert options["CONFIG_ARM64_PTR_AUTH_KERNEL"] == "n"
    assert kconfig.parse(build.fragment(("kasan", "lockdep"))).items() >= options.items()
    assert "CONFIG_KASAN" not in options


def test_options_that_the_source_refuses_are_found() -> None:
    wanted = kconfig.parse("CONFIG_KVM=y\nCONFIG_SVE=y\nCONFIG_X=n\nCONFIG_ARM_PMUV3=y\n")
    got = kconfig.parse("# CONFIG_SVE is not set\nCONFIG_KVM=y\n# words\n")
    assert list(build.denied(wanted, got)) == ["CONFIG_SVE=y"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  CC a.o\na.c:1: error: no x\nmake: *** [a.o] Error 1\n", "a.c:1: error: no x"),
        ("/bin/sh: 1: flex: not found\nmake: *** x\n", "/bin/sh: 1: flex: not found"),
        ("one\ntwo\n\n", "two"),
        ("", ""),
    ],
)
def test_why_a_build_failed(text: str, line: str) -> None:
    assert build.first_error(text.splitlines()) == line


def test_missing_tools_are_one_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["lab", "build"])
    assert result.exit_code == Exit.UNAVAILABLE
    assert result.stderr.count("\n") == 1
    assert "apt install " in result.stderr
    assert {"flex", "bison", "bc", "xz-utils"} <= set(result.stderr.split())


def test_names_of_built_kernels() -> None:
    assert kernels.built_name("6.12", ("lockdep", "kasan")) == "small-6.12-kasan-lockdep"
    assert kernels.BUILDS["small-newest-kasan"] == ("newest", ("kasan",))
    assert legname.parse("kvm:small-6.12:nvhe").name == "kvm:small-6.12:nvhe"
    with pytest.raises(TextError, match=r"small-6\.12"):
        legname.parse("kvm:small-5.4:vhe")


def test_flavours_are_fetched_as_their_release_is() -> None:
    assert kernels.PACKAGES["6.12"] == kernels.PACKAGES["rc"] == "linux-image-cloud-arm64"
    assert kernels.PACKAGES["rc-16k"] == "linux-image-arm64-16k"
    suites = {name: kernels.SUITES[kernels.source_of(name)] for name in kernels.RELEASES}
    assert (suites["6.12-rt"], suites["newest-16k"]) == ("trixie", "sid")
    assert (suites["rc"], suites["small-rc-kasan"]) == ("experimental", "experimental")
    assert legname.parse("kvm:6.12-rt:nvhe").name == "kvm:6.12-rt:nvhe"
    assert legname.parse("kvm:small-rc:nvhe").name == "kvm:small-rc:nvhe"


def test_flavours_are_offered_once_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("-rt:" in offer.name for offer in offers())
    kept = kernels.Kernel(Path(), "6.12-rt", "1", "ab")
    monkeypatch.setattr(kernels, "cached", {"6.12-rt": kept}.get)
    found = {offer.name: offer for offer in offers()}
    assert found["kvm:6.12-rt:nested"].reason.startswith("KVM offers guests an EL2 only since")
    assert "kvm:rc:vhe" in found


def test_a_kernel_that_is_not_built_says_how_to() -> None:
    with pytest.raises(TransportError, match=r"vcpufuzz lab build --source 6\.12 --kasan\.$"):
        kernels.fetch("small-6.12-kasan")


def test_a_built_kernel_is_kept_and_becomes_the_default(source: Path, cache: Path) -> None:
    assert all_legs.default_kvm() == "kvm:6.12:vhe"
    result = CliRunner().invoke(main, ["lab", "build", "--source", "6.12"])
    assert result.exit_code == 0
    assert "kvm:small-6.12:vhe is ready: 6.12.9-1~trixie" in result.stdout
    kernel = kernels.fetch("small-6.12")
    assert kernel.path.read_text() == "kernel\n"
    assert all_legs.default_kvm() == "kvm:small-6.12:vhe"
    assert sorted(p.name for p in (cache / "builds").iterdir()) == [".lock"]

    assert build.build("6.12") == kernel
    assert (cache / "made").read_text() == "once\n"
    build.build("6.12", again=True)
    assert (cache / "made").read_text() == "once\nonce\n"
    assert "small-6.12 " in CliRunner().invoke(main, ["lab", "kernels"]).output


def test_a_kernel_of_another_recipe_serves_but_is_built_anew(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build("6.12")
    assert build.recipe(()) != build.recipe(("kasan",))
    monkeypatch.setattr(build, "fragment", lambda _: "CONFIG_OTHER=y\n")
    assert kernels.cached("small-6.12") is not None
    build.build("6.12")
    assert (cache / "made").read_text() == "once\nonce\n"
    build.build("6.12")
    assert (cache / "made").read_text() == "once\nonce\n"


def test_the_driver_is_built_in(tmp_path: Path) -> None:
    misc = tmp_path / "drivers/misc"
    misc.mkdir(parents=True)
    (misc / "Makefile").write_text("obj-y += other.o\n")
    build.add_driver(tmp_path)
    assert (misc / "Makefile").read_text() == "obj-y += other.o\nobj-y += vcpufuzz.o\n"
    assert "kernel_neon_begin" in (misc / "vcpufuzz.c").read_text()


def test_an_option_that_is_refused_is_named(source: Path) -> None:
    source.write_text("allnoconfig:\n\tgrep -v _SVE $(KCONFIG_ALLCONFIG) > .config\n")
    with pytest.raises(TransportError, match=r"6\.12 does not take CONFIG_ARM64_SVE=y\.$"):
        build.build("6.12")


def test_a_failed_build_leaves_its_log_and_no_kernel(source: Path, cache: Path) -> None:
    source.write_text(
        "allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) .config\nImage:\n\techo a.c: error: x; false\n"
    )
    with pytest.raises(TransportError, match=r"does not build: .*error: x"):
        build.build("6.12")
    assert kernels.cached("small-6.12") is None
    assert sorted(p.name for p in (cache / "builds").iterdir()) == [".lock", "small-6.12.log"]


SCRIPT = """
    import sys
    from pathlib import Path
    from targets.kvm.lab import build

    def fetch(source, scratch, say):
        tree = scratch / "tree"
        (tree / "arch/arm64/boot").mkdir(parents=True)
        (tree / "Makefile").write_text(Path(sys.argv[1]).read_text())
        return tree, "1"

    build.fetch_source = fetch
    build.TOOLS = {"make": "make"}
    print(build.build("6.12").sha256)
"""


def _process(makefile: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(makefile)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def test_two_builds_at_once_build_once(source: Path, cache: Path) -> None:
    source.write_text(source.read_text().replace("echo once", "sleep 1; echo once"))
    both = [_process(source), _process(source)]
    told = {process.communicate(timeout=60)[0] for process in both}
    assert told == {kernels.fetch("small-6.12").sha256 + "\n"}
    assert (cache / "made").read_text() == "once\n"


def test_a_killed_build_is_as_if_it_never_was(source: Path, cache: Path) -> None:
    patient = source.read_text()
    source.write_text(patient.replace("echo once", "echo $$PPID > ../../../pid; sleep 60; echo"))
    killed = _process(source)
    pid = cache / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert kernels.cached("small-6.12") is None
    deadline = time.monotonic() + 10
    while _alive(int(pid.read_text())):
        assert time.monotonic() < deadline, "make outlives the build"
        time.sleep(0.05)

    source.write_text(patient)
    build.build("6.12")
    assert sorted(p.name for p in (cache / "builds").iterdir()) == [".lock"]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
