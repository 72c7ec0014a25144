"""`triage export`: what was found, as a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from corpus.text import format_case
from fuzz.cli import views
from fuzz.cli.plain_options import db_option
from fuzz.cli.triage.keys import Key, existing, key


@click.command()
@click.argument("finding", callback=key("F"))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@db_option
def export(url: str, finding: Key, file: Path, force: bool) -> None:
    """Write a finding's minimal case to FILE, with what went wrong as comment; - prints it.

    \b
    Example:
      vcpufuzz triage export F12 stale-ffr.case
    """
    with existing(url) as store:
        found = store.finding(finding[1])
    text = format_case(found.minimal, views.export_comment(found))
    if str(file) == "-":
        sys.stdout.write(text)
        return
    with file.open("w" if force else "x", encoding="utf-8") as out:
        out.write(text)
    click.echo(f"F{found.id}: written to {file}")


COMMANDS = (export,)
