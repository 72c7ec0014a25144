"""Debian's arm64 packages of Python and cffi, unpacked into the cache: nothing is installed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
from targets.entry import Entry
from targets.kvm.lab import kernels
from targets.kvm.lab.apt import AptRoot
from targets.transport import TransportError

SUITE = "trixie"
PACKAGE = "python3-cffi"
"""Brings the interpreter, its library and everything these need."""

HEADERS = "libpython3-dev"
"""Depends on the package with the headers of the suite's Python."""

_NAMES = "names"
"""File with the hash of the packages' names and versions."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Unpacked packages: `tree` as the root of a file system, `headers` of its Python apart
    from it. `key` is the hash of the packages' names and versions."""

    tree: Path
    headers: Path
    key: str

    @property
    def python(self) -> str:
        """The interpreter's name with its version, such as python3.13."""
        return next(path.name for path in sorted((self.tree / "usr/bin").glob("python3.*[0-9]")))


def fetch() -> Packages:
    """The packages; downloaded if not kept. Safe in several processes at once.

    Raises TransportError.
    """
    entry = Entry(
        cache_dir() / "userland" / SUITE, "the userland of a guest", how="is fetched anew"
    )
    kept = entry.get(_download)
    return Packages(kept / "tree", kept / "headers", (kept / _NAMES).read_text())


def _download(staged: Path) -> None:
    root = AptRoot(SUITE)
    root.update()
    staged.mkdir()
    names = hashlib.sha256()
    for deb in root.download_with_dependencies(PACKAGE):
        names.update(deb.name.encode() + b"\n")
        kernels.unpack(deb, staged / "tree")
        deb.unlink()
    _add_headers(root, staged.parent, staged / "headers")
    (staged / _NAMES).write_text(names.hexdigest()[:16])


def _add_headers(root: AptRoot, scratch: Path, into: Path) -> None:
    package = next((p for p in root.depends(HEADERS) if p.endswith("-dev")), None)
    if package is None:
        raise TransportError(f"suite {root.suite} has no package with Python's headers.")
    kernels.unpack(root.download(package, scratch), scratch / "dev")
    (scratch / "dev/usr/include").rename(into)
