"""Tables on the screen: drawn on a terminal, plain aligned columns for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click
from rich import box
from rich.table import Table
from rich.text import Text

from fuzz.cli.console import console

_GAP = 3
"""Between two columns of a drawn table."""
_READABLE = 16
"""What a column that wraps needs to be read with ease."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading; `wrap` says that long values may take several lines."""

    heading: str
    justify: Literal["left", "right"] = "left"
    wrap: bool = False


def on_terminal() -> bool:
    """Whether somebody watches standard output."""
    return sys.stdout.isatty()


def rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """The table as rich draws it. Values are taken as they are, without markup."""
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(
            column.heading,
            justify=column.justify,
            no_wrap=not column.wrap,
            overflow="fold" if column.wrap else "ellipsis",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """The table as text: a heading line, then one line per row, nothing cut off."""
    lines = [[column.heading.upper() for column in columns], *rows]
    cells = [[" ".join(value.split()) for value in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            value.rjust(width) if column.justify == "right" else value.ljust(width)
            for value, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    )


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the table in the form that suits standard output: drawn where it fits."""
    screen = console()
    if on_terminal() and _least_width(columns, rows) <= screen.width:
        screen.print(rich_table(columns, rows))
    else:
        click.echo(plain_table(columns, rows))


def _least_width(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The columns of a terminal that a drawn table takes without cutting anything off."""
    width = 0
    for index, column in enumerate(columns):
        values = [column.heading, *(row[index] for row in rows)]
        longest = max(max(map(len, value.splitlines() or [""])) for value in values)
        width += _GAP + (min(longest, _READABLE) if column.wrap else longest)
    return width
