"""Reading what a command is given, which may be a device or a pipe that never ends."""

from __future__ import annotations

import io
from pathlib import Path

from corpus.store import naming
from fuzz.cli.errors import Exit, UserError

_CHUNK = 1 << 20


def read_within(path: Path, most: int) -> bytes:
    """All that a file, a pipe or a device gives. Raises UserError for more than `most` bytes, and
    OSError, which names the file."""
    read = io.BytesIO()
    with naming(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            read.write(chunk)
            if read.tell() > most:
                raise UserError(f"{path} is larger than {most >> 20} MiB", Exit.USAGE)
    return read.getvalue()
