"""Files of a tree as those of an initramfs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from targets.kvm.lab import cpio
from targets.kvm.lab.cpio import Entry


def below(tree: Path) -> Iterator[PurePosixPath]:
    """Files and links of a tree, from its root, in a fixed order."""
    for path in sorted(tree.rglob("*")):
        if path.is_symlink() or path.is_file():
            yield PurePosixPath(path.relative_to(tree))


def files(tree: Path, at: str, paths: Sequence[PurePosixPath]) -> list[Entry]:
    """Those of a tree that are named, in the directory `at`. Raises OSError."""
    return [_entry(tree / path, str(PurePosixPath(at) / path)) for path in paths]


def _entry(path: Path, name: str) -> Entry:
    if path.is_symlink():
        return Entry(name, stat.S_IFLNK | 0o777, os.fsencode(path.readlink()))
    return Entry(name, path.stat().st_mode, path.read_bytes())


def with_directories(inside: Sequence[Entry]) -> list[Entry]:
    """The same behind the directories that they are in."""
    parents = {str(parent) for entry in inside for parent in PurePosixPath(entry.name).parents}
    return [*(cpio.directory(name) for name in sorted(parents - {"."})), *inside]
