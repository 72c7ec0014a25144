"""The QEMU of another suite: how it is started, when it is used, and what it brings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from targets.kvm import legname
from targets.kvm.lab import apt, kernels, newer_qemu, qemu
from targets.transport import TransportError

RELEASE = "small-6.12" if kernels.cached("small-6.12") else "6.12"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What unpacked packages look like, with a loader that tells its arguments."""
    for name in ("usr/lib64/ld-linux-x.so.2", "usr/bin/qemu-system-aarch64"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        path.chmod(0o755)
    for name in ("usr/lib/x/libc.so.6", "usr/lib/x/deep/libd.so.1", "usr/lib/y/notes"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "tree"


def test_it_runs_with_its_own_loader_and_libraries(tree: Path) -> None:
    program = tree / "qemu"
    program.write_text(newer_qemu.start_script(tree))
    program.chmod(0o755)
    moved = tree.rename(tree.parent / "else where")
    told = subprocess.run([moved / "qemu", "-M", "a b"], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [
        "--library-path",
        f"{moved}/usr/lib/x:{moved}/usr/lib/x/deep",
        f"{moved}/usr/bin/qemu-system-aarch64",
        "-L",
        f"{moved}/usr/share/qemu",
        "-M",
        "a b",
    ]


def test_packages_without_qemu_are_refused(tree: Path) -> None:
    (tree / "usr/bin/qemu-system-aarch64").unlink()
    with pytest.raises(TransportError, match="hold no QEMU"):
        newer_qemu.start_script(tree)


@pytest.mark.parametrize(
    ("mode", "own", "used"),
    [("vhe", "7.2.0", "own"), ("nested", "7.2.0", "newer"), ("nested", "10.0.1", "own")],
)
def test_the_machines_own_is_used_where_it_can(
    mode: str, own: str, used: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / qemu.PROGRAM
    program.write_text(f"#!/bin/sh\necho QEMU emulator version {own}\n")
    program.chmod(0o755)
    monkeypatch.delenv(qemu.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(newer_qemu, "fetch", lambda major=10: Path(f"/newer/{major}"))
    monkeypatch.setattr(newer_qemu, "cached", lambda major=10: None)
    assert newer_qemu.program_for(mode, int(own.partition(".")[0])) == str(program)
    assert newer_qemu.program_for(mode, 11) == "/newer/11"
    assert newer_qemu.program_for(mode) == {"own": str(program), "newer": "/newer/11"}[used]

    def moved_on(major: int = 10) -> Path:
        if major == 11:
            raise TransportError("sid has 12.")
        return Path(f"/newer/{major}")

    with monkeypatch.context() as later:
        later.setattr(newer_qemu, "fetch", moved_on)
        assert newer_qemu.program_for(mode) == {"own": str(program), "newer": "/newer/10"}[used]
    with monkeypatch.context() as kept:
        kept.setattr(newer_qemu, "cached", lambda major=10: {10: Path("/kept/10")}.get(major))
        assert newer_qemu.program_for(mode) == {"own": str(program), "newer": "/kept/10"}[used]
    monkeypatch.setattr(newer_qemu, "cached", {11: Path("/kept/11")}.get)
    assert newer_qemu.program_for(mode) == "/kept/11"
    monkeypatch.setenv(qemu.VARIABLE, str(program))
    assert newer_qemu.program_for(mode) == str(program)


def test_the_machines_own_is_used_where_it_is_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / qemu.PROGRAM
    program.write_text("#!/bin/sh\necho QEMU emulator version 12.0.0\n")
    program.chmod(0o755)
    monkeypatch.delenv(qemu.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(newer_qemu, "cached", {11: Path("/kept/11")}.get)
    assert newer_qemu.program_for("vhe") == newer_qemu.program_for("nested") == str(program)


def test_a_half_fetched_qemu_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    kept = newer_qemu.SUITES[newer_qemu.NESTED_SINCE]
    for left in ("qemu/.make-1/new", f"qemu/{kept}"):
        (tmp_path / left).mkdir(parents=True)
        (tmp_path / left / qemu.PROGRAM).touch()
    assert newer_qemu.cached() is None

    def fail(self: apt.AptRoot) -> None:
        raise TransportError("no network.")

    monkeypatch.setattr(apt.AptRoot, "update", fail)
    with pytest.raises(TransportError, match="no network"):
        newer_qemu.fetch()
    assert {p.name for p in (tmp_path / "qemu").iterdir()} == {".lock", kept}


def test_a_suite_that_moved_on_is_no_match(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path / "cache"))
    loader = tree / "usr/lib64/ld-linux-x.so.2"
    loader.write_text("#!/bin/sh\necho QEMU emulator version 12.0.1\n")
    monkeypatch.setattr(apt.AptRoot, "update", lambda self: None)
    monkeypatch.setattr(apt.AptRoot, "download_with_dependencies", lambda *_: [tmp_path / "deb"])
    (tmp_path / "deb").touch()
    monkeypatch.setattr(
        kernels, "unpack", lambda _, into: shutil.copytree(tree, into, dirs_exist_ok=True)
    )
    with pytest.raises(TransportError, match="sid has QEMU 12 by now, and 11 no more"):
        newer_qemu.fetch(11)
    assert newer_qemu.cached(11) is None


@pytest.mark.lab
def test_nested_mode_gives_guests_an_el2() -> None:
    leg = legname.open_transport(legname.parse("kvm:newest:nested"))
    try:
        facts = leg.start()
    finally:
        leg.close()
    assert facts["mode"] == "nested"
    assert facts["cap.el2"] == "1"
    assert int(facts["lab.qemu"].partition(".")[0]) >= newer_qemu.NESTED_SINCE
    assert facts["lab.kernel_sha256"] == kernels.fetch("newest").sha256


@pytest.mark.lab
def test_a_leg_runs_in_the_qemu_that_its_name_says() -> None:
    leg = legname.open_transport(legname.parse("kvm:6.12:vhe:qemu=11"))
    try:
        facts = leg.start()
    finally:
        leg.close()
    assert facts["lab.qemu"].startswith("11.")


@pytest.mark.lab
@pytest.mark.parametrize(("mode", "bits"), [("vhe", 52), ("protected", 40)])
def test_kvm_has_little_to_walk_through_where_it_walks(mode: str, bits: int) -> None:
    leg = legname.open_transport(legname.parse(f"kvm:{RELEASE}:{mode}:qemu=11"))
    try:
        facts = leg.start()
        assert facts["ipa_bits"] == str(bits)
        # What a guest, or a VMM, is told of it.
        parange = {40: 2, 48: 5, 52: 6}
        assert int(facts["id_aa64mmfr0"], 0) & 0xF == parange[bits]
    finally:
        leg.close()
