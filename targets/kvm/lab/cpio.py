"""The initramfs archive format: cpio "newc" (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or device node; `mode` includes the type bits."""

    name: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def executable(name: str, content: bytes) -> Entry:
    return Entry(name, stat.S_IFREG | 0o755, content)


def directory(name: str) -> Entry:
    return Entry(name, stat.S_IFDIR | 0o755)


def character_device(name: str, major: int, minor: int) -> Entry:
    return Entry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) & 3)


def _record(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device, special device, name length, checksum
    fields = (
        *(number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0),
        *(*entry.device, len(name), 0),
    )
    head = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _pad(head + name) + _pad(entry.content)


def archive(entries: Iterable[Entry]) -> bytes:
    """The entries as one archive; the same entries give the same bytes."""
    records = [_record(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*records, _record(0, Entry("TRAILER!!!", 0))])
