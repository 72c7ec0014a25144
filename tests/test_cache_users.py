"""All that is cached is cached in one way: damaged, it is told of and made anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from test_coverage_symbols import RUN, kallsyms

from targets import cache
from targets.emulator import build as emulator
from targets.entry import SUFFIX
from targets.kvm import build_native
from targets.kvm.lab import build as small_kernel
from targets.kvm.lab import image, kernels, newer_qemu, plugins, qemu, sources, symbols
from targets.kvm.lab.apt import AptRoot
from targets.kvm.lab.coverage import maps
from targets.kvm.lab.userland import packages
from targets.transport import TransportError

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, quick compilers, and a Debian archive with little in it."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))

    def compiled(argv: Sequence[str], what: str, scratch: Path) -> None:
        Path(argv[argv.index("-o") + 1]).write_text(f"{what}\n" * 50)

    for module in (emulator, build_native, image, plugins):
        monkeypatch.setattr(module, "compile_", compiled)

    def found(root: AptRoot, meta: str, work: Path) -> tuple[Path, str]:
        (work / "vmlinuz").write_bytes(b"a kernel" * 100)
        return work / "vmlinuz", "6.12.9-1"

    def unpacked(deb: Path, into: Path) -> None:
        for name in ("usr/lib64/ld-linux-x.so.2", "usr/bin/qemu-system-aarch64", "usr/lib/l.so.1"):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(f"{deb.name}\n" * 50)

    def fetched(root: AptRoot, package: str, into: Path = tmp_path) -> Path:
        (into / f"{package}_1_all.deb").touch()
        return into / f"{package}_1_all.deb"

    monkeypatch.setattr(kernels, "_find_image", found)
    monkeypatch.setattr(kernels, "unpack", unpacked)
    monkeypatch.setattr(packages, "_add_headers", lambda root, scratch, into: into.mkdir())
    monkeypatch.setattr(qemu, "version", lambda program: "10.0")
    monkeypatch.setattr(AptRoot, "update", lambda root: None)
    monkeypatch.setattr(AptRoot, "download_with_dependencies", lambda r, p: [fetched(r, p)])
    return tmp_path / "cache"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(cache, "_listeners", [lines.append])
    monkeypatch.setattr(kernels, "_told", set())
    return lines


def extension() -> Path:
    root = cache.cache_dir()
    build_native.cross_compile("gcc", [], ".so", root)
    return root / "native"


def kept_symbols() -> Path:
    symbols.load(DIGEST) or symbols.save(DIGEST, kallsyms(RUN))
    return cache.cache_dir() / "symbols"


def kept_map() -> Path:
    maps.load(DIGEST) or maps.save(DIGEST, kallsyms(RUN))
    return cache.cache_dir() / "maps"


USERS: dict[str, tuple[Callable[[], Path], str]] = {
    "the lab guest's initramfs": (lambda: image.build().path, "is made anew"),
    "the coverage plugin": (lambda: plugins.build(plugins.COVERAGE, "7.2.22"), "is made anew"),
    "the emulator's worker": (emulator.worker_binary, "is made anew"),
    "the executor of this machine": (extension, "is made anew"),
    "the list of the kernel's symbols": (kept_symbols, "is made anew"),
    "the map of the kernel's code": (kept_map, "is made anew"),
    "kernel 6.12": (lambda: kernels.fetch("6.12").path, "is fetched anew when it is needed"),
    "QEMU 10": (newer_qemu.fetch, "is fetched anew when needed"),
    "the userland of a guest": (lambda: packages.fetch().tree, "is fetched anew"),
}


def files(path: Path) -> Iterator[Path]:
    """What of an entry could be damaged."""
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file() and one.suffix != SUFFIX and one.name != ".lock":
            yield one


@pytest.mark.parametrize("what", USERS)
@pytest.mark.parametrize("size", [0, 7])
def test_a_damaged_entry_is_made_anew_with_a_line(what: str, size: int, told: list[str]) -> None:
    get, how = USERS[what]
    whole = {path: path.read_bytes() for path in files(get())}
    assert {path: path.read_bytes() for path in files(get())} == whole
    assert told == []
    os.truncate(next(path for path, data in whole.items() if data), size)
    assert {path: path.read_bytes() for path in files(get())} == whole
    (line,) = told
    assert line.startswith(f"{cache.cache_dir()}/")
    assert line.endswith(f" was damaged: {what} {how}.")


def test_nothing_is_cached_in_another_way(here: Path) -> None:
    for get, _ in USERS.values():
        get()
    for path in files(here):
        folders = (path, *path.parents)
        assert (
            path == here / "kernels/6.12.json"  # names a digest; replaced in one step
            or any(folder.with_name(folder.name + SUFFIX).is_file() for folder in folders)
        ), path


def test_two_entries_are_not_mended_for_one(told: list[str]) -> None:
    one, other = plugins.build(plugins.COVERAGE, "7.2.22"), plugins.build(plugins.COVERAGE, "10.0")
    before = other.stat()
    os.truncate(one, 3)
    assert plugins.build(plugins.COVERAGE, "7.2.22") == one
    assert other.stat() == before
    assert len(told) == 1


def test_a_damaged_record_of_a_kernel_is_told_once(here: Path, told: list[str]) -> None:
    kernels.fetch("6.12")
    record = here / "kernels/6.12.json"
    for damage in ("", "{", "[]", '{"sha256": 5}', '{"sha256": "00", "more": 1}'):
        record.write_text(damage)
        assert kernels.cached("6.12") is None
    assert kernels.fetch("6.12").package_version == "6.12.9-1"
    assert told == [f"{record} was damaged: kernel 6.12 is fetched anew when it is needed."]


def test_a_damaged_kernel_that_was_built_says_how_to_build_it(
    tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "Image").write_bytes(b"small" * 100)
    kept = kernels.keep("small-6.12-kasan", "6.12.9-1", tmp_path / "Image")
    assert kernels.fetch("small-6.12-kasan") == kept
    os.truncate(kept.path, 100)
    command = "vcpufuzz lab build --source 6.12 --kasan"
    with pytest.raises(TransportError, match=rf"is not built yet: run {command}\.$"):
        kernels.fetch("small-6.12-kasan")
    assert told == [
        f"{kept.path} was damaged: kernel small-6.12-kasan has to be built anew ({command})."
    ]
    assert kernels.keep("small-6.12-kasan", "6.12.9-1", tmp_path / "Image") == kept
    assert kernels.cached("small-6.12-kasan") == kept


def test_a_kernel_kept_before_there_were_digests_beside_it_is_still_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    kept = kernels.fetch("6.12")
    kept.path.with_name(f"Image{SUFFIX}").unlink()
    monkeypatch.setattr(kernels, "_download", None)
    assert kernels.fetch("6.12") == kept
    assert told == []


FAKE_APT = """#!/bin/sh
lists=$(sed -n 's/^Dir::State::lists "\\(.*\\)";/\\1/p' "$APT_CONFIG")
if grep -qs junk "$lists/Packages"; then
    echo "E: LZ4F: $lists/Packages Unexpected end of file" >&2
    exit 100
fi
if [ -e "$lists/../offline" ]; then echo "E: Failed to fetch http://deb" >&2; exit 100; fi
echo fine >"$lists/Packages"
"""


def test_damaged_lists_of_packages_are_fetched_anew(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_listeners", [told.append])
    for name, text in (("apt-get", FAKE_APT), ("apt-config", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    archive = sources.Source(("deb",), ("http://deb",), ("trixie",), ("main",))
    monkeypatch.setattr(sources, "debian_archive", lambda _: archive)
    root = AptRoot("trixie")
    root.update()
    assert told == []
    packages_ = root.path / "lists/Packages"
    packages_.write_text("junk")
    root.update()
    assert packages_.read_text() == "fine\n"
    assert told == [f"{root.path} was damaged: the lists of packages were fetched anew."]
    (root.path / "offline").touch()
    with pytest.raises(TransportError, match="Failed to fetch http://deb"):
        root.update()
    assert packages_.exists()  # they may be fine
    assert len(told) == 1


def test_a_build_that_finds_the_disk_full_says_so(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    def fail(*_: object) -> None:
        raise TransportError("the kernel does not build: x.o: No space left on device (see log).")

    monkeypatch.setattr(small_kernel, "TOOLS", {})
    monkeypatch.setattr(small_kernel, "_build", fail)
    with pytest.raises(cache.CacheError, match=rf"{here} cannot be used: no space left on device"):
        small_kernel.build("6.12")
    assert shutil.disk_usage(here).free > 1 << 20
