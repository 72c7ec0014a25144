"""The initramfs in which all of vcpufuzz runs, as on an arm64 machine with a network."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from targets import cache
from targets.cache import cache_dir
from targets.entry import SUFFIX, Entry
from targets.kvm import build_native
from targets.kvm.lab import cpio, image, modules
from targets.kvm.lab.cpio import Entry as File
from targets.kvm.lab.userland import bytecode, distributions, packages, programs
from targets.kvm.lab.userland.image import CACHE, HOME, ROOT
from targets.kvm.lab.userland.tree import below, files, with_directories

MEMORY_MIB = 3072
"""Of a machine with it: the archive, all that is in it, and what a slice takes."""

SHELL = "busybox-static"
OWN = ("corpus", "targets", "db", "fuzz")
SITE = PurePosixPath("site")
"""Where Python's packages of this environment lie."""

PLACE = "/work"
"""The directory of what is brought, in which the command runs."""

KEPT = (
    *("usr/bin/busybox", "usr/bin/python3*", "usr/lib/python3*"),
    *("usr/lib/ld-linux*", "usr/lib/aarch64-linux-gnu/*.so*"),
)
LEFT_OUT = (
    *("*/gconv/*", "*/test/*", "*/tests/*", "*/pydoc_data/*", "*/idlelib/*", "*/lib2to3/*"),
    *("*/_pyrepl/*", "*/numpy/f2py/*", "*/include/*", "*/ensurepip/*"),
)
"""What of Debian's packages goes in: patterns over paths, the second tuple over the first."""

_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp; mkdir /dev/shm; mount -t tmpfs shm /dev/shm
for module in {modules}; do insmod /modules/$module; done
ip link set lo up; ip link set eth0 up
# What QEMU's network gives the only machine in it; the host is 10.0.2.2.
ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
hostname arm64; echo 127.0.0.1 localhost > /etc/hosts
export HOME=/root PATH=/usr/bin LC_ALL=C.UTF-8 PYTHONPATH={home}:/{site} VCPUFUZZ_CACHE={cache}
# Debian chooses among these by links that only an installation makes.
export LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu/blas:/usr/lib/aarch64-linux-gnu/lapack
cd {place}
{command}
echo "{ended} $?"
poweroff -f
"""

ENDED = "vcpufuzz: the command ended with"
"""What the console says last, before the exit code."""

_PROGRAM = b"""\
#!/usr/bin/python3
from fuzz.cli.main import main

if __name__ == "__main__":
    main()
"""


def archive(command: Sequence[str], brought: Mapping[str, bytes]) -> bytes:
    """An initramfs that runs a command, in which vcpufuzz is one, in a directory with the files
    that are brought, and then turns the machine off. Raises TransportError, OSError."""
    kernel = modules.fetch()
    init = _INIT.format(
        modules=" ".join(path.name for path in kernel.modules),
        home=HOME,
        site=SITE,
        cache=CACHE,
        place=PLACE,
        command=shlex.join(command),
        ended=ENDED,
    )
    around = _around()
    told, version = distributions.told()
    inside = [
        File("lib", stat.S_IFLNK | 0o777, b"usr/lib"),
        File("bin", stat.S_IFLNK | 0o777, b"usr/bin"),
        cpio.character_device("dev/console", 5, 1),
        cpio.executable("init", init.encode()),
        cpio.executable("usr/bin/vcpufuzz", _PROGRAM),
        File(f"{SITE}/{told}", stat.S_IFREG | 0o644, version),
        *(cpio.directory(name) for name in ("proc", "sys", "tmp", "etc", "root", PLACE[1:])),
        *(File(f"modules/{p.name}", stat.S_IFREG | 0o644, p.read_bytes()) for p in kernel.modules),
        *(File(f"{PLACE[1:]}/{n}", stat.S_IFREG | 0o600, data) for n, data in brought.items()),
        *files(around, "", list(below(around))),
    ]
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as work:
        inside += _own(Path(work, "own"))
        inside += _extension(Path(work, "cache"))
        return cpio.archive(_once(with_directories(inside)))


def _once(inside: Sequence[File]) -> list[File]:
    """Directories that are named twice are there once."""
    return list({entry.name: entry for entry in reversed(inside)}.values())[::-1]


def is_kept(path: str) -> bool:
    """Whether a file of Debian's packages goes in."""
    return any(fnmatchcase(path, pattern) for pattern in KEPT) and not any(
        fnmatchcase(path, pattern) for pattern in LEFT_OUT
    )


def _around() -> Path:
    """All but what is this project's own, as the root of a file system; made once."""
    found = distributions.taken()
    wanted = sorted({SHELL, *distributions.DEBIAN.values()})
    names = [f"{name} {one.version}" for name, one in sorted(found.items())]
    parts = (wanted, names, KEPT, LEFT_OUT, Path(distributions.__file__).read_bytes())
    store = cache_dir() / "userland" / "whole"

    def make(staged: Path) -> None:
        debian = programs.tree(wanted)
        sources = [(debian / path, path) for path in below(debian) if is_kept(str(path))]
        for one in found.values():
            sources += [(here, SITE / path) for here, path in distributions.files(one)]
        for here, path in sources:
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, staged / path, follow_symlinks=False)
        bytecode.compile_below(staged)
        for old in store.glob("*"):  # each is large
            if old.is_dir() and not old.name.startswith("."):
                cache.remove(old)
                cache.remove(old.with_name(old.name + SUFFIX))

    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return Entry(store / key, "what a guest has around vcpufuzz").get(make)


def _own(into: Path) -> Iterator[File]:
    """This project's packages, compiled: they change too often to be kept."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in OWN:
        shutil.copytree(ROOT / name, into / name, ignore=ignored)
    bytecode.compile_below(into)
    yield from files(into, HOME[1:], list(below(into)))


def _extension(cache: Path) -> list[File]:
    """The executor, where the guest's cache has it."""
    unpacked = packages.fetch()
    tag = unpacked.python.removeprefix("python").replace(".", "")
    headers = (unpacked.headers / unpacked.python, unpacked.headers)
    suffix = f".cpython-{tag}-aarch64-linux-gnu.so"
    build_native.cross_compile(image.find_compiler(), headers, suffix, cache)
    return files(cache, CACHE[1:], [PurePosixPath(path) for path in below(cache)])
