"""Exit codes, and which error becomes which sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """What a process of vcpufuzz ends with. `text`: what that means; `--help` and the README
    print from here."""

    text: str

    def __new__(cls, code: int, text: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    OK = 0, "done, and nothing new"
    REGRESSION = 1, "`replay`: a kept case does not behave as recorded"
    USAGE = 2, "the command line or an input file is wrong"
    UNAVAILABLE = 3, "a leg, a tool, a disk or the database is not usable, or nothing was checked"
    HANG = 70, "a target hung"
    DIVERGENCE = 77, "a divergence that was not known before"
    HUNG_UP = 129, "stopped by SIGHUP, as when its terminal is closed"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    QUIT = 131, "stopped by SIGQUIT, as of Ctrl-\\"
    BROKEN_PIPE = 141, "nobody reads the output any more"
    TERMINATED = 143, "stopped by SIGTERM"


def stopped(number: int) -> Exit:
    """The exit code of a command that this signal ended."""
    return next(code for code in Exit if code == 128 + number)


class UserError(Exception):
    """A command cannot go on; the message is one sentence. `code` is the exit code."""

    def __init__(self, message: str, code: Exit = Exit.UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


def _os_sentence(error: BaseException) -> str:
    assert isinstance(error, OSError)
    names = [
        os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)
    ]
    why = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{' -> '.join(names)}: {why}" if names else why


def _missing_sentence(error: BaseException) -> str:
    name = getattr(error, "name", None) or str(error)
    return f"the Python package {name} is not installed; `make` sets up everything vcpufuzz needs"


# By full name, so that naming an error imports nothing. The most derived class decides.
_TABLE: dict[str, tuple[Exit, Callable[[BaseException], str]]] = {
    "fuzz.output.OutputError": (Exit.UNAVAILABLE, str),
    "db.records.NotFound": (Exit.USAGE, str),
    "db.records.Refused": (Exit.USAGE, str),
    "db.records.StoreError": (Exit.UNAVAILABLE, str),
    "targets.transport.TransportError": (Exit.UNAVAILABLE, str),
    "corpus.wire.WireError": (Exit.UNAVAILABLE, str),
    "corpus.domain.TextError": (Exit.USAGE, str),
    "targets.legs.UnknownLeg": (Exit.USAGE, str),
    "builtins.FileNotFoundError": (Exit.USAGE, _os_sentence),
    "builtins.FileExistsError": (Exit.USAGE, _os_sentence),
    "builtins.IsADirectoryError": (Exit.USAGE, _os_sentence),
    "builtins.NotADirectoryError": (Exit.USAGE, _os_sentence),
    "builtins.OSError": (Exit.UNAVAILABLE, _os_sentence),
    "builtins.ModuleNotFoundError": (Exit.UNAVAILABLE, _missing_sentence),
    "builtins.MemoryError": (Exit.UNAVAILABLE, lambda _: "out of memory"),
}


def explain(error: BaseException) -> tuple[Exit, str]:
    """The exit code and the sentence for an error that ended a command."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UserError):
        return error.code, _one_line(str(error))
    for kind in type(error).__mro__:
        row = _TABLE.get(f"{kind.__module__}.{kind.__qualname__}")
        if row is not None:
            return row[0], _one_line(row[1](error))
    return Exit.UNAVAILABLE, _one_line(
        f"internal error, please report it: {type(error).__name__}: {error} "
        "(VCPUFUZZ_DEBUG=1 shows where)"
    )


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("VCPUFUZZ_DEBUG", "") not in {"", "0"}


def _one_line(text: str) -> str:
    return " ".join(text.split()).removesuffix(".")
