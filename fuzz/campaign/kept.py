"""The corpus directory of a campaign: how many cases it holds, and whether it takes more.

libFuzzer does not say when a file could not be written: on a full disk it leaves an empty one,
and where nothing can be made it leaves none.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

_ADDRESSED = re.compile(r"[0-9a-f]{40}")
"""What libFuzzer calls a file: by the SHA-1 of its content."""

PROBE_BYTES = 4096


class KeptCases:
    """Counts what is really in `directory`. Looking again costs only what is new."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._whole: set[str] = set()
        self.count = 0
        self.broken = 0
        """Files that hold only a part of their case, or nothing."""
        self.trouble = ""
        """Why the directory takes no more cases, in a few words."""

    def look(self) -> None:
        """Count again."""
        try:
            with os.scandir(self.directory) as entries:
                names = {entry.name for entry in entries if entry.is_file()}
        except OSError as error:
            self.count, self.trouble = 0, _words(error)
            return
        self._whole &= names
        self._whole |= {name for name in names - self._whole if self._is_whole(name)}
        self.count, self.broken = len(self._whole), len(names) - len(self._whole)

    def probe(self) -> None:
        """Find out whether one more case could be written."""
        try:
            with tempfile.TemporaryFile(dir=self.directory) as probe:
                probe.write(bytes(PROBE_BYTES))
                probe.flush()
            self.trouble = ""
        except OSError as error:
            self.trouble = _words(error)

    def _is_whole(self, name: str) -> bool:
        try:
            content = (self.directory / name).read_bytes()
        except OSError:
            return False
        if not content:
            return False
        if not _ADDRESSED.fullmatch(name):
            return True
        return hashlib.sha1(content, usedforsecurity=False).hexdigest() == name


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
