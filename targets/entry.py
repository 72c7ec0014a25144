"""An entry of the cache: a file or a tree, whole or not at all, known by its digest.

It is made aside and renamed into place, and its digest is written beside it, in NAME.digest;
without that it does not count. Reading 30 MB at every start would be dear, so the digest is
taken again only when size, inode or times of a file are others than they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from targets import cache
from targets.cache import CacheError, locked, scratch
from targets.transport import TransportError

SUFFIX = ".digest"

_SETTLED_NS = 1_000_000_000
"""A file that changed this shortly before it was looked at may change again unseen: file
systems note times in steps."""

_seen: dict[Path, str] = {}
"""Stamps of entries found whole by this process: a cache may be one that cannot be written."""


class _State(Enum):
    WHOLE = "whole"
    UNNOTED = "whole, and its stamp is to be noted"
    MISSING = "missing, or never finished"
    DAMAGED = "damaged"


_FINE = (_State.WHOLE, _State.UNNOTED)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the cache. `what` it is, as one may say it: "the coverage plugin".
    `digest`: its SHA-256 in hexadecimal, where that is known beforehand. `how` it comes back
    when it was damaged."""

    path: Path
    what: str
    digest: str = ""
    how: str = "is made anew"

    def kept(self) -> bool:
        """Whether it is there, as it was made. A damaged one is told of and removed."""
        state = self._look()
        if state in (_State.UNNOTED, _State.DAMAGED):
            # Its maker may just be between the file and its digest. A directory that takes no
            # lock has no maker either.
            with suppress(CacheError), locked(self.path.parent, self.what):
                state = self._settle()
                if state is _State.DAMAGED:
                    cache.remove(self._sidecar)
                    cache.remove(self.path)
        return state in _FINE

    def get(self, make: Callable[[Path], object]) -> Path:
        """Where it is; made first if it is not kept. Safe in several processes at once.

        `make` is called with the path to make it at, in a directory of its own on the same
        file system. Raises CacheError, and what `make` does.
        """
        state = self._look()
        if state is _State.UNNOTED:
            with suppress(CacheError), locked(self.path.parent, self.what):
                state = self._settle()
        if state not in _FINE:
            with locked(self.path.parent, self.what):
                if self._settle() not in _FINE:
                    self._make(make)
        return self.path

    def put(self, make: Callable[[Path], object]) -> Path:
        """As `get`, but it is made even if it is kept."""
        with locked(self.path.parent, self.what):
            self._make(make)
        return self.path

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(self.path.name + SUFFIX)

    def _make(self, make: Callable[[Path], object]) -> None:
        with scratch(self.path.parent) as work:
            staged = work / "new"
            make(staged)
            digest = _digest(staged)
            if self.digest not in ("", digest):
                raise TransportError(f"{self.what} has another digest than it should have.")
            # From here until the digest is written it counts as not finished.
            self._sidecar.unlink(missing_ok=True)
            if os.path.lexists(self.path):
                self.path.rename(work / "old")
            staged.rename(self.path)
            self._note(digest, _Stamp.of(self.path))

    def _settle(self) -> _State:
        """Look again, with the lock held: note a stamp that changed, tell of damage."""
        state = self._look()
        if state is _State.UNNOTED:
            with suppress(OSError, ValueError, CacheError):
                self._note(_digest(self.path), _Stamp.of(self.path))
        elif state is _State.DAMAGED:
            cache.tell(f"{self.path} was damaged: {self.what} {self.how}.")
        return state

    def _look(self) -> _State:
        try:
            stamp = _Stamp.of(self.path)
            known = self._known()
            if known is None:
                return _State.MISSING
            digest, seen = known
            if stamp.text in (seen, _seen.get(self.path)):
                return _State.WHOLE
            if _digest(self.path) != digest:
                return _State.DAMAGED
        except FileNotFoundError:
            return _State.MISSING
        except (OSError, ValueError, KeyError, TypeError):
            return _State.DAMAGED
        if not stamp.settled:
            return _State.WHOLE
        _seen[self.path] = stamp.text
        return _State.UNNOTED

    def _known(self) -> tuple[str, str] | None:
        """The digest it should have and the stamp with which it last had it; None if neither
        is known. Raises OSError, ValueError, KeyError or TypeError if they make no sense."""
        try:
            told = json.loads(self._sidecar.read_bytes())
        except FileNotFoundError:
            return (self.digest, "") if self.digest else None
        written, stamp = str(told["sha256"]), str(told["stamp"])
        return (written, stamp) if self.digest in ("", written) else (self.digest, "")

    def _note(self, digest: str, stamp: _Stamp) -> None:
        text = stamp.text if stamp.settled else ""
        cache.write(self._sidecar, json.dumps({"sha256": digest, "stamp": text}).encode())


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What tells, without reading it, that a file or tree is the one that was looked at.
    `settled`: it cannot change any more without changing this."""

    text: str
    settled: bool

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        """Raises OSError; ValueError for what is neither a file nor a tree of such."""
        now = time.time_ns()
        told, newest = hashlib.sha256(), 0
        for name, status in _files(path):
            newest = max(newest, status.st_ctime_ns)
            facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            told.update(os.fsencode(f"{name} {facts}\n"))
        return cls(told.hexdigest(), newest + _SETTLED_NS < now)


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Files and links of a tree, by their path in it, in a fixed order; of a file, itself.
    Raises OSError, ValueError."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        yield from _below(str(path), "")
    else:
        yield "", _sound(status)


def _below(folder: str, name: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        inside = sorted(found, key=lambda one: one.name)
    for one in inside:
        if one.is_dir(follow_symlinks=False):
            yield from _below(one.path, f"{name}{one.name}/")
        else:
            yield f"{name}{one.name}", _sound(one.stat(follow_symlinks=False))


def _sound(status: os.stat_result) -> os.stat_result:
    """What can be read without waiting. Raises ValueError for anything else."""
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise ValueError("neither a file nor a link")
    return status


def _digest(path: Path) -> str:
    """The SHA-256 of a file; of a tree, one over those of its files, their names, and whether
    they can be executed. Raises OSError, ValueError."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    told = hashlib.sha256()
    for name, status in _files(path):
        full = path / name
        link = stat.S_ISLNK(status.st_mode)
        inside = f"-> {os.readlink(full)}" if link else _digest(full)
        told.update(os.fsencode(f"{inside} {status.st_mode & 0o100} {name}\n"))
    return told.hexdigest()
