"""The standard streams as every command gets them: safe for a terminal, whatever is said.

Names, notes, kernel logs and files are somebody else's; what a terminal would take for a
command is shown as text instead. This is the one place where that is seen to, with
`fuzz.cli.console` for what rich draws.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from fuzz.printable import printable


class SafeStream(io.TextIOBase):
    """A text stream in front of `raw`; None stands for one that was closed from the start.
    `vital`: that it takes no more is an error."""

    def __init__(self, raw: TextIO | None, vital: bool = True) -> None:
        self.raw = raw
        self._excused: tuple[type[OSError], ...] = () if vital else (OSError,)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("text is wanted")
        if self.raw is not None:
            with suppress(*self._excused):
                self.raw.write(printable(text))
        return len(text)

    def flush(self) -> None:
        if self.raw is not None:
            with suppress(*self._excused):
                self.raw.flush()

    def isatty(self) -> bool:
        return self.raw is not None and self.raw.isatty()

    def fileno(self) -> int:
        if self.raw is None:
            raise io.UnsupportedOperation("fileno")
        return self.raw.fileno()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """The stream behind is not ours."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return (self.raw and self.raw.encoding) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"


@contextmanager
def safe_streams() -> Iterator[None]:
    """Put safe streams in the place of standard output and error."""
    _hold_descriptors()
    _forget_odd_sizes()
    before = sys.stdout, sys.stderr
    sys.stdout = SafeStream(_whole(before[0]))
    sys.stderr = SafeStream(_whole(before[1]), vital=False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _whole(stream: TextIO) -> TextIO:
    """A stream that writes all or says that it could not, whatever its encoding lacks."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    # A character that the encoding lacks is no reason to stop.
    stream.reconfigure(errors="backslashreplace")
    if not isinstance(stream.buffer, io.RawIOBase):
        return stream
    # With PYTHONUNBUFFERED what a full disk takes no more of would be lost without a word.
    return open(
        stream.fileno(), "w", 1, stream.encoding, "backslashreplace", newline="", closefd=False
    )


def _hold_descriptors() -> None:
    """Let no file we open take the number of a standard stream that was closed."""
    for number in range(3):
        with suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)


def _forget_odd_sizes() -> None:
    """A terminal of no columns says nothing: libraries are to look for themselves."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "1")
        if not (value.isascii() and value.isdigit() and 0 < int(value) < 100_000):
            del os.environ[name]


def raise_if_left(stream: TextIO | SafeStream) -> None:
    """Raises BrokenPipeError when `stream` is a pipe or a socket that nobody will read from, which
    else only the next line would tell."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):  # it has none, or was closed
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            raise BrokenPipeError
