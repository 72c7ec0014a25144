"""A QEMU of another version than the machine's own, for what only that emulates, or does right.

Taken from another Debian suite with every library it needs, its C library included, and
run from where it was unpacked: nothing is installed, and the machine's release does not
matter.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels, qemu, unpacked
from targets.kvm.lab.apt import AptRoot
from targets.transport import TransportError

SUITES = {7: "bookworm", 10: "trixie", 11: "sid"}
"""Major version -> the Debian suite that has it."""
PACKAGE = "qemu-system-arm"

NESTED_SINCE = 10
"""Major version that emulates FEAT_NV2 well enough for KVM's nested mode."""

_START = """\
#!/bin/sh
# Run the QEMU of this directory with the loader and the libraries next to it.
here=$(dirname "$(readlink -f "$0")")
exec "$here/{loader}" --library-path "{libraries}" "$here/usr/bin/{program}" \
-L "$here/usr/share/qemu" "$@"
"""


BEST = 11
"""Major version with the fewest defects that corpus/known records of a CPU, as fast as others."""


def program_for(mode: str, major: int | None = None) -> str:
    """The QEMU of a major version. Where none is asked for, the one that $VCPUFUZZ_QEMU names,
    else the best one if it is kept, else one that can run a KVM mode: the machine's own if it can.
    Raises TransportError."""
    if major is not None:
        return qemu.find() if own_major() == major else str(fetch(major))
    if os.environ.get(qemu.VARIABLE):
        return qemu.find()
    best = cached(BEST)
    if best and (own_major() or 0) < BEST:
        return str(best)
    if mode != "nested" or own_suffices():
        return qemu.find()
    return str(cached() or _best_to_be_had())


def _best_to_be_had() -> Path:
    """The best version for nested mode, which it is by far the fastest for, or where its suite has
    moved on the first that will do. Raises TransportError."""
    try:
        return fetch(BEST)
    except TransportError:
        return fetch()


def own_major() -> int | None:
    """Major version of the machine's own QEMU, if it has one. Raises TransportError."""
    own = shutil.which(os.environ.get(qemu.VARIABLE) or qemu.PROGRAM)
    return None if own is None else _major(own)


def own_suffices() -> bool:
    """Whether the machine's own QEMU is new enough for nested mode. Raises TransportError."""
    return (own_major() or 0) >= NESTED_SINCE


def _major(program: str) -> int:
    return int(qemu.version(program).partition(".")[0])


def cached(major: int = NESTED_SINCE) -> Path | None:
    """The kept QEMU of a version, or None. Raises CacheError."""
    entry = _entry(major)
    return entry.path / qemu.PROGRAM if entry.kept() else None


def fetch(major: int = NESTED_SINCE) -> Path:
    """A QEMU of a version in SUITES; downloaded if not kept. Safe in several processes at once.

    Raises TransportError.
    """
    return _entry(major).get(lambda tree: _download(major, tree)) / qemu.PROGRAM


def _entry(major: int) -> Entry:
    path = cache_dir() / "qemu" / SUITES[major]
    return Entry(path, f"QEMU {major}", how="is fetched anew when needed")


def _download(major: int, tree: Path) -> None:
    suite = SUITES[major]
    root = AptRoot(suite, unpacked.architecture())
    root.update()
    for deb in root.download_with_dependencies(PACKAGE):
        kernels.unpack(deb, tree)
        deb.unlink()
    program = tree / qemu.PROGRAM
    program.write_text(start_script(tree))
    program.chmod(0o755)
    found = _major(str(program))  # it runs
    if found != major:  # sid moves on
        raise TransportError(f"Debian's {suite} has QEMU {found} by now, and {major} no more.")


def start_script(tree: Path) -> str:
    """The program that starts the QEMU of an unpacked tree. Raises TransportError."""
    loader = unpacked.loader(tree)
    if loader is None or not (tree / "usr/bin" / qemu.PROGRAM).exists():
        raise TransportError(f"the packages of {PACKAGE} hold no QEMU that could be run.")
    folders = (folder.relative_to(tree) for folder in unpacked.libraries(tree))
    return _START.format(
        loader=loader.relative_to(tree),
        libraries=":".join(f"$here/{folder}" for folder in folders),
        program=qemu.PROGRAM,
    )
