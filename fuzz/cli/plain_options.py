"""Options that need nothing but click, so that commands which start no leg start at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from fuzz.output import STDOUT, OutputRefused, check, check_directory

DEFAULT_DB = "sqlite:///vcpufuzz.db"

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
        return path


OUTPUT_FILE = OutputPath("file", check)
"""A file; `-` is standard output."""

OUTPUT_DIRECTORY = OutputPath("directory", check_directory)
"""A directory, which is made when there is none."""

__all__ = ["OUTPUT_DIRECTORY", "OUTPUT_FILE", "STDOUT", "db_option", "json_option"]
