"""Debian's arm64 packages of Python and cffi, unpacked into the cache: nothing is installed."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from targets.cache import cache_dir
from targets.kvm.lab import kernels
from targets.kvm.lab.apt import AptRoot, locked
from targets.transport import TransportError

SUITE = "trixie"
PACKAGE = "python3-cffi"
"""Brings the interpreter, its library and everything these need."""

HEADERS = "libpython3-dev"
"""Depends on the package with the headers of the suite's Python."""


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
    kept = _cached()
    if kept:
        return kept
    with locked(_store()):
        return _cached() or _download()


def _store() -> Path:
    path = cache_dir() / "userland"
    path.mkdir(exist_ok=True)
    return path


def _of(folder: Path) -> Packages:
    return Packages(folder / "tree", folder / "headers", folder.name)


def _cached() -> Packages | None:
    return next((_of(path) for path in sorted(_store().glob(f"{SUITE}-*"))), None)


def _download() -> Packages:
    store = _store()
    for left in store.glob(".fetch-*"):  # of a killed download: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    root = AptRoot(SUITE)
    root.update()
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=store) as scratch:
        staged = Path(scratch) / "packages"
        staged.mkdir()
        names = hashlib.sha256()
        for deb in root.download_with_dependencies(PACKAGE):
            names.update(deb.name.encode() + b"\n")
            kernels.unpack(deb, staged / "tree")
            deb.unlink()
        _add_headers(root, Path(scratch), staged / "headers")
        kept = store / f"{SUITE}-{names.hexdigest()[:16]}"
        shutil.rmtree(kept, ignore_errors=True)
        staged.rename(kept)
    return _of(kept)


def _add_headers(root: AptRoot, scratch: Path, into: Path) -> None:
    package = next((p for p in root.depends(HEADERS) if p.endswith("-dev")), None)
    if package is None:
        raise TransportError(f"suite {root.suite} has no package with Python's headers.")
    kernels.unpack(root.download(package, scratch), scratch / "dev")
    (scratch / "dev/usr/include").rename(into)
