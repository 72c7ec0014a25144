"""The directory where downloads and builds are kept between runs, and what goes wrong with it.

What is kept in it is an `Entry` (targets/entry.py).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from targets.transport import TransportError

VARIABLE = "VCPUFUZZ_CACHE"
_SCRATCH = ".make-"

_PATIENCE_S = 1.0
"""Waiting for another process this long is not worth a word."""

_FULL = re.compile(r"No space left on device|enough free space|Disk quota exceeded")
_LEAST_FREE = 256 * 1024


class CacheError(TransportError):
    """The cache directory is of no use; the message is one sentence that names it."""


def _to_stderr(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody may be there to read it
        print(f"vcpufuzz: {line}", file=sys.stderr, flush=True)


_listeners: list[Callable[[str], None]] = [_to_stderr]


def listen(listener: Callable[[str], None]) -> None:
    """Say to `listener`, and no longer to standard error, what was damaged and what is waited
    for."""
    _listeners[:] = [listener]


def tell(line: str) -> None:
    """A line for the user, whatever the user watches."""
    for listener in _listeners:
        listener(line)


def cache_dir() -> Path:
    """The cache directory, created if missing: $VCPUFUZZ_CACHE or ~/.cache/vcpufuzz.

    Raises CacheError.
    """
    path = _root()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _unusable(path, "not a directory") from error
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if os.environ.get(VARIABLE, str(path)) != str(path):
        os.environ[VARIABLE] = str(path)  # for processes that start elsewhere
    return path


def _root() -> Path:
    named = os.environ.get(VARIABLE)
    return Path(os.path.abspath(named or os.path.expanduser("~/.cache/vcpufuzz")))


def _unusable(path: Path, why: str) -> CacheError:
    root = _root()
    named = root if path.is_relative_to(root) else path
    return CacheError(
        f"the cache directory {named} cannot be used: {why.lower()} ({VARIABLE} names another one)."
    )


@contextmanager
def using(directory: Path) -> Iterator[None]:
    """Errors of the system in here are those of the cache's `directory`, and those of programs,
    too, when its disk is full. Raises CacheError, or TransportError for a file elsewhere."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        name = error.filename
        if isinstance(name, str) and error.errno != errno.ENOSPC and not _within(name, directory):
            raise TransportError(f"{name}: {why.lower()}.") from error
        raise _unusable(directory, why) from error
    except CacheError:
        raise
    except TransportError as error:
        if _FULL.search(str(error)) or _is_full(directory):
            raise _unusable(directory, os.strerror(errno.ENOSPC)) from error
        raise


def _within(name: str, directory: Path) -> bool:
    """Whether a file lies in `directory`, or `directory` in it."""
    one, other = Path(os.path.abspath(name)), Path(os.path.abspath(directory))
    return one.is_relative_to(other) or other.is_relative_to(one)


def _is_full(directory: Path) -> bool:
    """Whether nothing fits on its disk any more. Raises OSError."""
    disk = os.statvfs(directory)
    no_inode = disk.f_files > 0 and disk.f_favail == 0
    return disk.f_bavail * disk.f_frsize < _LEAST_FREE or no_inode


@contextmanager
def locked(directory: Path, what: str = "") -> Iterator[None]:
    """Hold `directory` against other processes, making it if need be; a killed holder lets go
    by itself. `what` it is held for, as one may say it. Raises CacheError."""
    with using(directory):
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with using(directory):
            _lock(file, what)
        yield
    finally:
        os.close(file)


def _lock(file: int, what: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    if what:
        tell(f"waiting for another process, which is at {what}.")
    fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory in `directory`, which the caller has locked; gone afterwards, as are those
    that killed processes left. Raises CacheError, also at once if there is no room."""
    with using(directory):
        for left in directory.glob(f"{_SCRATCH}*"):
            remove(left)
        if _is_full(directory):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=directory) as name:
            yield Path(name)


def write(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all. Raises CacheError."""
    staged = path.with_name(f"{_SCRATCH}{secrets.token_hex(8)}")
    with using(path.parent):
        try:
            staged.write_bytes(data)
            os.replace(staged, path)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise


def remove(path: Path) -> None:
    """As far as that can be done."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
