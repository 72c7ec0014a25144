"""A QEMU that is newer than the machine's own, for what only that emulates.

Taken from a later Debian suite with every library it needs, its C library included, and
run from where it was unpacked: nothing is installed, and the machine's release does not
matter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels, qemu
from targets.kvm.lab.apt import AptRoot
from targets.transport import TransportError

SUITE = "trixie"
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


def program_for(mode: str) -> str:
    """The QEMU that can run a KVM mode: the machine's own if it can. Raises TransportError."""
    if mode != "nested" or os.environ.get(qemu.VARIABLE):
        return qemu.find()
    return qemu.find() if own_suffices() else str(fetch())


def own_suffices() -> bool:
    """Whether the machine's own QEMU is new enough for nested mode."""
    own = shutil.which(os.environ.get(qemu.VARIABLE) or qemu.PROGRAM)
    return own is not None and int(qemu.version(own).partition(".")[0]) >= NESTED_SINCE


def cached() -> Path | None:
    """The kept newer QEMU, or None. Raises CacheError."""
    entry = _entry()
    return entry.path / qemu.PROGRAM if entry.kept() else None


def fetch() -> Path:
    """The newer QEMU; downloaded if not kept. Safe in several processes at once.

    Raises TransportError.
    """
    return _entry().get(_download) / qemu.PROGRAM


def _entry() -> Entry:
    return Entry(cache_dir() / "qemu" / SUITE, "a newer QEMU", how="is fetched anew when needed")


def _download(tree: Path) -> None:
    root = AptRoot(SUITE, _architecture())
    root.update()
    for deb in root.download_with_dependencies(PACKAGE):
        kernels.unpack(deb, tree)
        deb.unlink()
    program = tree / qemu.PROGRAM
    program.write_text(start_script(tree))
    program.chmod(0o755)
    qemu.version(str(program))  # it runs


def _architecture() -> str:
    tool = shutil.which("dpkg")
    if tool is None:
        raise TransportError(
            "dpkg is not installed: a newer QEMU is fetched with it (package dpkg)."
        )
    return subprocess.run(
        [tool, "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()


def start_script(tree: Path) -> str:
    """The program that starts the QEMU of an unpacked tree. Raises TransportError."""
    loaders = [
        p for d in ("lib64", "lib") for p in sorted((tree / "usr" / d).glob("ld-linux*.so*"))
    ]
    if not loaders or not (tree / "usr/bin" / qemu.PROGRAM).exists():
        raise TransportError(f"the packages of {PACKAGE} hold no QEMU that could be run.")
    folders = {library.parent for library in (tree / "usr/lib").rglob("*.so.*")}
    return _START.format(
        loader=loaders[0].relative_to(tree),
        libraries=":".join(f"$here/{folder.relative_to(tree)}" for folder in sorted(folders)),
        program=qemu.PROGRAM,
    )
