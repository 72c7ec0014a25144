"""The initramfs with a userland: Debian's Python, this project's own files, an extension."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from targets.cache import cache_dir
from targets.compiler import compile_
from targets.entry import SUFFIX, Entry
from targets.kvm import build_native
from targets.kvm.lab import cpio, image
from targets.kvm.lab.cpio import Entry as File
from targets.kvm.lab.userland import packages
from targets.kvm.lab.userland.packages import Packages
from targets.kvm.lab.userland.tree import below, files, with_directories

ROOT = Path(__file__).resolve().parents[4]
INIT = Path(__file__).with_name("init.c")
HOME = "/vcpufuzz"
CACHE = "/cache"
MODULE = "targets.kvm.lab.userland.guest"

KEPT = (
    *("usr/bin/python3.*[0-9]", "usr/lib/python3*"),
    *("usr/lib/ld-linux*", "usr/lib/aarch64-linux-gnu/*.so*"),
)
LEFT_OUT = (
    *("*/gconv/*", "*/test/*", "*/unittest/*", "*/pydoc_data/*", "*/idlelib/*", "*/asyncio/*"),
    *("*/lib2to3/*", "*/_pyrepl/*", "*/email/*", "*/xml/*", "*/sqlite3/*", "*/*sqlite3*"),
)
"""What of the packages the guest gets: patterns over paths, the second tuple over the first."""

MODULES = (
    *("corpus/__init__.py", "corpus/fault.py", "corpus/trace.py", "corpus/wire.py"),
    *("targets/__init__.py", "targets/cache.py", "targets/codemap.py", "targets/compiler.py"),
    *("targets/ended.py", "targets/entry.py", "targets/transport.py"),
    *("targets/kvm/__init__.py", "targets/kvm/build_native.py", "targets/kvm/native.py"),
    *("targets/kvm/kmsg.py", "targets/kvm/lab/__init__.py"),
    *("targets/kvm/lab/channel.py", "targets/kvm/lab/kernellog.py"),
    *("targets/kvm/lab/userland/__init__.py", "targets/kvm/lab/userland/guest.py"),
)
"""Of this project, what the guest's program imports; the executor's sources come with it."""


def build() -> image.Image:
    """The initramfs of the current sources, made once. Raises TransportError."""
    compiler = image.find_compiler()
    unpacked = packages.fetch()
    key = _key(unpacked)
    kept = cache_dir() / "userland" / "images"

    def make(staged: Path) -> None:
        staged.write_bytes(cpio.archive(_entries(unpacked, compiler, staged.parent)))
        for old in kept.glob("*.cpio"):  # each is large; QEMU reads one only as it starts
            old.unlink(missing_ok=True)
            old.with_name(old.name + SUFFIX).unlink(missing_ok=True)

    entry = Entry(kept / f"{key}.cpio", "the initramfs with a userland")
    return image.Image(entry.get(make), key)


def _own() -> Iterator[Path]:
    """Paths of this project's files that go in, from its root."""
    yield from map(Path, MODULES)
    yield from (p.relative_to(ROOT) for p in sorted(build_native.EXECUTOR.glob("*.[ch]")))


def _key(unpacked: Packages) -> str:
    digest = hashlib.sha256(repr((unpacked.key, KEPT, LEFT_OUT)).encode())
    for path in (*(ROOT / own for own in _own()), INIT, Path(__file__)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def is_kept(path: str) -> bool:
    """Whether a file of the packages goes in."""
    return any(fnmatchcase(path, pattern) for pattern in KEPT) and not any(
        fnmatchcase(path, pattern) for pattern in LEFT_OUT
    )


def _entries(unpacked: Packages, compiler: str, work: Path) -> list[File]:
    inside = [
        File("lib", stat.S_IFLNK | 0o777, b"usr/lib"),
        cpio.character_device("dev/console", 5, 1),
        cpio.executable("init", _compile_init(compiler, unpacked.python, work)),
    ]
    inside += files(unpacked.tree, "", [p for p in below(unpacked.tree) if is_kept(str(p))])
    inside += files(ROOT, HOME[1:], [PurePosixPath(path) for path in _own()])
    cache = work / "cache"
    headers = (unpacked.headers / unpacked.python, unpacked.headers)
    tag = unpacked.python.removeprefix("python").replace(".", "")
    suffix = f".cpython-{tag}-aarch64-linux-gnu.so"
    build_native.cross_compile(compiler, headers, suffix, cache)
    inside += files(cache, CACHE[1:], list(below(cache)))
    return with_directories(inside)


def _compile_init(compiler: str, python: str, work: Path) -> bytes:
    binary = work / "init"
    words = {"PYTHON": f"/usr/bin/{python}", "MODULE": MODULE, "HOME": HOME, "CACHE": CACHE}
    macros = [f'-D{name}="{value}"' for name, value in words.items()]
    argv = [compiler, *image.FLAGS, *macros, "-o", str(binary), str(INIT)]
    compile_(argv, "the guest's init", work)
    return binary.read_bytes()
