"""Programs of a Debian suite, run from where their packages were unpacked.

With the loader and every library that they need, the C library included: nothing is installed,
and the machine's release does not matter.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from targets.transport import TransportError


def architecture() -> str:
    """Debian's name of this machine's. Raises TransportError."""
    tool = shutil.which("dpkg")
    if tool is None:
        raise TransportError(
            "dpkg is not installed: programs of other suites are fetched with it (package dpkg)."
        )
    return subprocess.run(
        [tool, "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()


def loader(tree: Path) -> Path | None:
    """The dynamic loader of an unpacked tree."""
    found = (p for d in ("lib64", "lib") for p in sorted((tree / "usr" / d).glob("ld-linux*.so*")))
    return next(found, None)


def libraries(tree: Path) -> list[Path]:
    """The folders with its libraries."""
    return sorted({library.parent for library in (tree / "usr/lib").rglob("*.so.*")})


def command(tree: Path, program: str) -> list[str]:
    """The words that start a program of it, named from its root. Raises TransportError."""
    start = loader(tree)
    if start is None or not (tree / program).exists():
        raise TransportError(f"the unpacked packages hold no {program} that could be run.")
    paths = ":".join(map(str, libraries(tree)))
    return [str(start), "--library-path", paths, str(tree / program)]
