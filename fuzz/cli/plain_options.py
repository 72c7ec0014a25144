"""Options that need nothing but click, so that commands which start no leg start at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from fuzz.output import STDOUT, OutputRefused, check, check_directory, replaces

DEFAULT_DB = "sqlite:///vcpufuzz.db"

LARGEST = (1 << 31) - 1
"""What a database, a generator of random numbers and a loop take: a number without another bound
ends here."""

COUNT = click.IntRange(1, LARGEST)
"""How many, or the number of something that the database has."""

WORD_SIZE = 255
"""Characters of a word, as the database keeps them."""


class Word(click.ParamType[str]):
    """Text that is stored, or sought, as a word."""

    name = "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail(f"{text!r} holds bytes that are no UTF-8.", param, ctx)
        if len(text) > WORD_SIZE:
            self.fail(f"it has {len(text)} characters, and {WORD_SIZE} are the most.", param, ctx)
        return text


WORD = Word()

db_option = click.option(
    "--db",
    "url",
    metavar="URL",
    envvar="VCPUFUZZ_DB",
    default=DEFAULT_DB,
    show_default=True,
    show_envvar=True,
    help="Where findings are kept: an SQLite file or any SQLAlchemy URL.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


class OutputPath(click.ParamType[Path]):
    """A path that a command will write to, by `fuzz.output`: whether it can is found out
    here, before the work and not after it."""

    def __init__(self, name: str, check: Callable[[Path], None]) -> None:
        self.name = name
        self._check = check

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        text = str(value)
        if not text:
            self.fail("the name is empty.", param, ctx)
        path = Path(text)
        try:
            self._check(path)
        except OutputRefused as refusal:
            if refusal.disk:
                raise
            self.fail(f"{refusal}.", param, ctx)
        if self.name == "file":
            self._alone(path, param, ctx)
        return path

    def _alone(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> None:
        """Refuse a file that would be lost: a database, and one that another option names, too."""
        if replaces(path) and _is_database(path):
            self.fail(f"{path}: it is a database, which would be lost.", param, ctx)
        if param is None or ctx is None or (path.exists() and not replaces(path)):
            return
        others = ctx.meta.setdefault(f"{__name__}.outputs", {})
        other = others.setdefault(str(path) if path == STDOUT else os.path.realpath(path), param)
        if other is not param:
            self.fail(f"{path}: {other.opts[0]} is written there, too.", param, ctx)


_SQLITE = b"SQLite format 3\0"
"""How a database begins."""


def _is_database(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE
    return False


OUTPUT_FILE = OutputPath("file", check)
"""A file; `-` is standard output."""

OUTPUT_DIRECTORY = OutputPath("directory", check_directory)
"""A directory, which is made when there is none."""

__all__ = [
    "COUNT",
    "LARGEST",
    "OUTPUT_DIRECTORY",
    "OUTPUT_FILE",
    "STDOUT",
    "WORD",
    "db_option",
    "json_option",
]
