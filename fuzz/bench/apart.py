"""A measuring process apart from this one, which tells line by line what it comes to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO


class Died(Exception):
    """The process ended before it was done; the message is its last words."""


@contextmanager
def told_by(script: str, *arguments: str) -> Iterator[Iterator[bytes]]:
    """The lines that a script writes to the descriptor that is its first argument. It is ended
    with the block, and what it has in TMPDIR is gone then. Whoever reads on when it died gets
    Died."""
    read, write = os.pipe()
    with (
        os.fdopen(read, "rb") as lines,
        TemporaryFile() as said,
        TemporaryDirectory(prefix="vcpufuzz-", ignore_cleanup_errors=True) as scratch,
    ):
        process = subprocess.Popen(
            [sys.executable, script, str(write), *arguments],
            env={**os.environ, "TMPDIR": scratch},
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        os.close(write)
        try:
            yield _until_death(lines, said)
        finally:
            process.kill()
            process.wait()


def _until_death(lines: Iterable[bytes], said: IO[bytes]) -> Iterator[bytes]:
    yield from lines
    said.seek(0)
    last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    raise Died("".join(last) or "it said nothing")
