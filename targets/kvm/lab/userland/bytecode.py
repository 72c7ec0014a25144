"""Modules compiled for the guest's Python, on this machine: under emulation that takes minutes.

Done by Python of the same Debian suite, whose bytecode is the same on every architecture.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels, unpacked
from targets.kvm.lab.apt import AptRoot
from targets.kvm.lab.userland.packages import SUITE
from targets.transport import TransportError

PACKAGE = "python3-minimal"
LIBRARY = "libpython3-stdlib"

_SOME_FAILED = 1
"""The exit code where a module is of another Python: it is left as it is."""


def compile_below(tree: Path) -> None:
    """Put bytecode beside the modules of a tree that never changes: their times are not looked
    at. Raises TransportError."""
    python = _python()
    argv = [
        *unpacked.command(python, "usr/bin/python3"),
        *("-B", "-X", "utf8", "-m", "compileall", "-q", "-q"),
        *("--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/", str(tree)),
    ]
    environment = {"PYTHONHOME": str(python / "usr"), "PATH": "/usr/bin"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _SOME_FAILED):
        said = (done.stderr or done.stdout).strip().splitlines()
        why = said[-1] if said else f"exit code {done.returncode}"
        raise TransportError(f"modules cannot be compiled for the guest: {why}")


def _python() -> Path:
    """The suite's Python for this machine, as a tree; downloaded if not kept."""
    entry = Entry(
        cache_dir() / "userland" / f"{SUITE}-compiler",
        "the Python that compiles for a guest",
        how="is fetched anew",
    )

    def download(staged: Path) -> None:
        root = AptRoot(SUITE, unpacked.architecture())
        root.update()
        for name in (PACKAGE, LIBRARY):
            for deb in root.download_with_dependencies(name):
                kernels.unpack(deb, staged)
                deb.unlink()

    return entry.get(download)
