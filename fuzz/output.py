"""Writing what a command was asked to write: one way for every file.

What is no regular file (a device, a FIFO, `/dev/stdout`, `-`) is written through. A regular
file is replaced in one step, so that a reader never sees half of it and a full disk costs
nothing that was there; it keeps its mode, its owner and the links that lead to it.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

STDOUT = Path("-")

_OURS = re.compile(r"/dev/(?P<name>stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(?P<number>\d+)")
_NAMES = {"stdin": 0, "stdout": 1, "stderr": 2}

_NOT_BESIDE = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV, errno.ENOTSUP)
)
"""Why a file may not be replaced by another though it can be written."""


_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))


class OutputError(RuntimeError):
    """A file could not be written; the message is one sentence that names it."""


class OutputRefused(OutputError):
    """A file cannot be written, found out before there was anything to write. `disk`: it is the
    disk that takes nothing, not the name that is wrong."""

    def __init__(self, message: str, error: Exception | None = None) -> None:
        super().__init__(message)
        self.disk = isinstance(error, OSError) and error.errno in _DISK


def check(path: Path) -> None:
    """Raises OutputRefused if `write` could not work: to be asked before the work is done."""
    descriptor = _descriptor(path)
    try:
        if path == STDOUT:
            return
        if descriptor is not None:
            os.fstat(descriptor)
            return
        found = _stat(path)
        if found is None:
            target = Path(os.path.realpath(path))
            _probe(target.parent)
            return
        if stat.S_ISDIR(found.st_mode):
            raise OutputRefused(f"{path}: it is a directory, so it cannot be written")
        if stat.S_ISSOCK(found.st_mode):
            raise OutputRefused(f"{path}: it is a socket, so it cannot be written")
        if stat.S_ISREG(found.st_mode):
            os.close(os.open(path, os.O_WRONLY))
        elif not os.access(path, os.W_OK):
            raise OutputRefused(f"{path}: permission denied, so it cannot be written")
    except (OSError, ValueError) as error:
        raise OutputRefused(f"{path}: {_why(error)}, so it cannot be written", error) from None


def check_directory(path: Path) -> None:
    """Raises OutputRefused if files could not be written below `path`, which need not exist."""
    there = path.absolute()
    try:
        while _stat(there) is None:
            there = there.parent
        if not there.is_dir():
            raise OutputRefused(f"{path}: {there} is a file, so nothing can be written below it")
        _probe(there)
    except (OSError, ValueError) as error:
        raise OutputRefused(
            f"{path}: {_why(error)}, so nothing can be written there", error
        ) from None


def _probe(directory: Path) -> None:
    """Raises OSError if a directory takes no file, or the disk nothing."""
    with tempfile.TemporaryFile(dir=directory) as probe:
        probe.write(bytes(4096))
        probe.flush()


def replaces(path: Path) -> bool:
    """Whether `write` would put something in the place of what a file holds."""
    try:
        found = _stat(path)
    except OSError:
        return False
    ours = path == STDOUT or _descriptor(path) is not None
    return not ours and found is not None and stat.S_ISREG(found.st_mode)


def write(path: Path, content: str | bytes) -> None:
    """Write text, as UTF-8, or bytes to `path`. Raises OutputError; then an old file is as it
    was."""
    if path == STDOUT and isinstance(content, str):
        if sys.stdout is not None:
            sys.stdout.write(content)
        return
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    try:
        descriptor = 1 if path == STDOUT else _descriptor(path)
        if descriptor is None:
            descriptor = _open_beneath_us(path)
        if descriptor is not None:
            _flush_ours()
            _through(descriptor, data)
            return
        found = _stat(path)
        if found is not None and not stat.S_ISREG(found.st_mode):
            opened = os.open(path, os.O_WRONLY)
            try:
                _through(opened, data)
            finally:
                os.close(opened)
        else:
            _replace(Path(os.path.realpath(path)), data, found)
    except OSError as error:
        raise OutputError(f"{path}: {_why(error)}, so it was not written") from error


def _replace(target: Path, data: bytes, old: os.stat_result | None) -> None:
    """Put `data` in the place of a regular file, in one step wherever that can be."""
    if old is not None and old.st_nlink > 1:
        _in_place(target, data)
        return
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".vcpufuzz-")
    except OSError as error:
        if old is None or error.errno not in _NOT_BESIDE:
            raise
        _in_place(target, data)
        return
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            _dress(out.fileno(), old)
            os.fsync(out.fileno())
        os.replace(name, target)
    except OSError as error:
        os.unlink(name)
        if old is None or error.errno not in _NOT_BESIDE:
            raise
        _in_place(target, data)
    except BaseException:
        os.unlink(name)
        raise


def _dress(handle: int, old: os.stat_result | None) -> None:
    """Give a new file the owner and mode of the old one, or what any new file gets."""
    if old is None:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(handle, 0o666 & ~mask)
        return
    mine = os.fstat(handle)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _in_place(target: Path, data: bytes) -> None:
    """Overwrite a file that has other names, or stands where nothing may be put beside it."""
    handle = os.open(target, os.O_WRONLY)
    try:
        size = os.fstat(handle).st_size
        try:
            if len(data) > size:  # a full disk is to be found before anything is lost
                os.posix_fallocate(handle, size, len(data) - size)
        except OSError:
            os.ftruncate(handle, size)
            raise
        _through(handle, data)
        os.ftruncate(handle, len(data))
    finally:
        os.close(handle)


def _through(handle: int, data: bytes) -> None:
    """All of `data`, also to a pipe that does not wait."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(handle, rest) :]
        except BlockingIOError:
            select.select([], [handle], [])


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path names."""
    match = _OURS.fullmatch(str(path))
    if match is None:
        return None
    return _NAMES[match["name"]] if match["name"] else int(match["number"])


def _open_beneath_us(path: Path) -> int | None:
    """The standard stream that already goes to this very file: replacing the file would send
    the rest of the stream nowhere."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
    return None


def _flush_ours() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _why(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error)).lower()
