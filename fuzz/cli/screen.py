"""The campaign on the screen: a dashboard on a terminal, a line per interval elsewhere."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self, TypeVar

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fuzz import output
from fuzz.campaign.status import (
    BucketStatus,
    CampaignStatus,
    LegStatus,
    Reruns,
    by_weight,
    clock,
    counted,
    headline,
    plain_line,
)
from fuzz.cli.console import console as open_console
from fuzz.cli.console import print_bold
from fuzz.cli.streams import raise_if_left
from fuzz.cli.table import Column, print_table
from fuzz.cli.views import indented, times
from fuzz.report.findings import strictness
from fuzz.report.recorded import recorded_line
from fuzz.stopping import on_terminal

_Item = TypeVar("_Item")

_WIDE = 120
_ROOMY = 78
"""From so many columns on, numbers stand in a grid, and legs tell their executions, too."""
_MOST_LEGS = 6
_LEAST_EVENTS = 2
_FIXED_LINES = 6  # title, bar, three lines of numbers, a blank line
_GIVE_BACK = b"\x1b[?25h\x1b[?1049l\x1b[0m"
_TAKE = b"\x1b[?1049h\x1b[?25l\x1b[2J"
"""Leave the second screen, with a cursor, and come back to it: rich may be in the middle of a
line when a signal wants that."""
_STATE_STYLES = {"running": "green", "off": "red", "broken": "red"}


class Screen(ABC):
    """Where a campaign is watched. Use it in a `with`; `update` as often as you like."""

    @abstractmethod
    def update(self, status: CampaignStatus) -> None:
        """Show this snapshot."""

    def close(self) -> None:  # noqa: B027
        """Give the terminal back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LiveScreen(Screen):
    """The dashboard, on the terminal's second screen: what was there before comes back."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._held = ExitStack()
        self._live.start()
        self._held.enter_context(on_terminal(self._say(_GIVE_BACK), self._say(_TAKE)))

    def _say(self, sequence: bytes) -> Callable[[], None]:
        def say() -> None:
            with suppress(OSError):
                os.write(self._console.file.fileno(), sequence)

        return say

    def close(self) -> None:
        self._held.close()
        with suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def update(self, status: CampaignStatus) -> None:
        size = self._console.size
        self._live.update(dashboard(status, size.width, size.height), refresh=True)


class PlainScreen(Screen):
    """A line per `interval` seconds of the campaign, and one for each new event."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due = 0.0
        self._told: tuple[str, ...] = ()

    def update(self, status: CampaignStatus) -> None:
        for event in _unseen(self._told, status.events):
            click.echo(f"#{status.cases}\t{event}")
        self._told = status.events
        if status.elapsed >= self._due:
            click.echo(plain_line(status))
            self._due = status.elapsed + self._interval
        raise_if_left(sys.stdout)


def open_screen(interval: float = 10.0) -> Screen:
    """The dashboard if a capable terminal is there to show it, lines otherwise."""
    console = open_console()
    capable = console.is_terminal and not console.is_dumb_terminal
    if capable and console.encoding.startswith("utf"):
        return LiveScreen(console)
    return PlainScreen(interval)


_BESIDE_NAME = 42
"""Columns that the table of legs needs beside the name."""


def dashboard(status: CampaignStatus, width: int, height: int) -> RenderableType:
    """The whole screen, for a terminal of that many columns and lines."""
    head = (_title(status), _bar(status), _numbers(status, width), Text())
    spare = height - _FIXED_LINES
    if width >= _WIDE:
        tallest = max(len(status.legs), _rows(status.buckets), 1)
        rows, events = _share(spare, tallest, len(status.events))
        halves = Table.grid(expand=True, padding=(0, 2, 0, 0))
        names = max((len(leg.name) for leg in status.legs), default=0)
        halves.add_column(width=min(max(2 * width // 5, names + _BESIDE_NAME), 3 * width // 5))
        halves.add_column(ratio=1)
        halves.add_row(
            Group(_rule("legs"), _legs(status.legs, rows, width)),
            Group(_rule("buckets"), _buckets(status.buckets, rows)),
        )
        return Group(*head, halves, _rule("events"), _events(status.events, events))
    legs = min(len(status.legs), _MOST_LEGS)
    rows, events = _share(spare - legs - 2, _rows(status.buckets), len(status.events))
    return Group(
        *head,
        *(_rule("legs"), _legs(status.legs, legs, width)),
        *(_rule("buckets"), _buckets(status.buckets, rows)),
        *(_rule("events"), _events(status.events, events)),
    )


def _share(lines: int, rows: int, events: int) -> tuple[int, int]:
    """How many rows of a table and how many events fit, with two headings and a rule."""
    rows = max(min(rows, lines - 3 - min(events, _LEAST_EVENTS)), 1)
    return rows, max(min(events, lines - 3 - rows), 0)


def print_summary(status: CampaignStatus) -> None:
    """The end of a campaign: a sentence, and what is now to be looked at."""
    click.echo(headline(status))
    if status.incidents:
        broke = ", ".join(f"{number} {kind}" for kind, number in status.incidents)
        click.echo(f"Incidents: {broke}; `vcpufuzz triage incidents` lists them.")
    if status.reruns.buckets:
        click.echo(_rerun(status.reruns))
    for warning in status.warnings:
        click.echo(warning)
    if not status.buckets:
        return
    new = [bucket for bucket in by_weight(status.buckets) if bucket.new]
    for bucket in new[:_LARGE]:
        print_bold("\n".join(_headline(bucket)))
        click.echo(indented(bucket.explanation) + "\n" if bucket.explanation else "")
    rest = [b for b in by_weight(status.buckets) if not b.is_recorded and b not in new[:_LARGE]]
    if rest:
        print_table(_SUMMARY, [_summary_row(bucket) for bucket in rest])
    recorded = _recorded(status.buckets)
    if recorded:
        click.echo(f"{recorded_line(recorded)}; `vcpufuzz triage list --status known` lists them.")
    first = next((b for b in (*new, *rest) if b.id), None)
    if first is not None:
        click.echo(f"`vcpufuzz triage show B{first.id}` tells more.")


def _rerun(done: Reruns) -> str:
    """What came of running stored buckets again."""
    fixed = ", ".join(f"B{bucket}" for bucket in done.fixed)
    came = f"fixed by now: {fixed}" if fixed else "none of them is fixed"
    return f"{counted(done.buckets, 'stored bucket')} ran again in spare time, {came}."


_LARGE = 6
"""New buckets that the end tells in full; others are lines of a table."""

_SUMMARY = (
    *(Column("Bucket"), Column("New"), Column("Class"), Column("Seen", "right")),
    *(Column("Suspect"), Column("Title", wrap=True)),
)


def _headline(bucket: BucketStatus) -> Iterator[str]:
    """A new bucket, and what one asks first."""
    same = f", probably the same as B{bucket.same_as}" if bucket.same_as else ""
    suspect = bucket.suspect or bucket.first_leg
    yield (
        f"B{bucket.id}  NEW, {strictness(bucket.strict)}, suspect: {suspect}, seen"
        f" {times(bucket.count)}{same}"
    )
    yield indented(bucket.title)


def _recorded(buckets: Sequence[BucketStatus]) -> Counter[str]:
    """How many known defects there are, by suspect."""
    return Counter(bucket.suspect for bucket in buckets if bucket.is_recorded)


def write_json(path: Path, content: object) -> None:
    """Write `content` to `path`. Raises OutputError."""
    output.write(path, json.dumps(content, indent=2) + "\n")


def _unseen(told: Sequence[str], events: Sequence[str]) -> Sequence[str]:
    """What came since: `events` is a window that slides over all events."""
    for overlap in range(min(len(told), len(events)), 0, -1):
        if tuple(told[-overlap:]) == tuple(events[:overlap]):
            return events[overlap:]
    return events


def _summary_row(bucket: BucketStatus) -> tuple[str, ...]:
    return (
        f"B{bucket.id}" if bucket.id else "-",
        "new" if bucket.new else "",
        "strict" if bucket.strict else "lenient",
        str(bucket.count),
        bucket.suspect or bucket.first_leg,
        bucket.title,
    )


def _rule(title: str) -> Rule:
    return Rule(Text(title, style="bold"), align="left", style="dim")


def _title(status: CampaignStatus) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    left = Text.assemble(("vcpufuzz", "bold cyan"), f"  {status.state}")
    workers = f"{status.workers} worker{'' if status.workers == 1 else 's'}"
    spent = clock(status.elapsed)
    if status.time_budget:
        spent += f" of {clock(status.time_budget)}"
    line.add_row(left, Text(f"seed {status.seed}, {workers}   {spent}"))
    return line


def _bar(status: CampaignStatus) -> RenderableType:
    share = status.progress
    if share is None:
        return Text("no budget: runs until Ctrl-C", style="dim")
    line = Table.grid(expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", width=5)
    line.add_row(ProgressBar(total=1.0, completed=share), f"{share:4.0%}")
    return line


def _numbers(status: CampaignStatus, width: int) -> RenderableType:
    rules = f"{status.rules_hit}"
    if status.rules_total:
        rules += f"/{status.rules_total}"
    bad = "bold red" if status.divergences else ""
    rows: tuple[tuple[tuple[str, str, str], ...], ...] = (
        (
            ("cases", f"{status.cases:,}", ""),
            ("rules hit", rules, ""),
            ("divergences", f"{status.divergences:,}", bad),
        ),
        (
            ("cases/s", f"{status.cases_per_second:,.1f}", ""),
            ("features", f"{status.features:,}", ""),
            ("buckets", f"{len(status.buckets)} ({status.new_buckets} new)", bad),
        ),
        (
            ("corpus", f"{status.corpus:,}", ""),
            ("discarded", f"{status.discarded:,}", ""),
            (
                "infra errors",
                f"{status.infra_errors} ({status.restarts} restarts)",
                "yellow" if status.infra_errors else "",
            ),
        ),
    )
    grid = Table.grid(padding=(0, 1))
    for least in (8, 14, 10, 14, 12, 20):
        grid.add_column(min_width=least if width >= _ROOMY else None, no_wrap=True)
    for row in rows:
        cells = [(Text(name, style="dim"), Text(value, style=style)) for name, value, style in row]
        grid.add_row(*(cell for pair in cells for cell in pair))
    return grid


def _legs(legs: Sequence[LegStatus], room: int, width: int) -> RenderableType:
    counts = (("executions", 0),) if width >= _ROOMY else ()
    table = _table(("leg", 1), ("state", 0), *counts, ("exec/s", 0), ("restarts", 0))
    for column in table.columns[2:]:
        column.justify = "right"
    shown, hidden = _fit(legs, room)
    for leg in shown:
        table.add_row(
            Text(leg.name),
            Text(leg.state, style=_STATE_STYLES.get(leg.state, "yellow")),
            *((f"{leg.executions:,}",) if counts else ()),
            f"{leg.per_second:,.1f}",
            str(leg.restarts) if leg.restarts else "",
        )
    if hidden:
        table.add_row(Text(f"and {hidden} more", style="dim"))
    return table


def _buckets(buckets: Sequence[BucketStatus], room: int) -> RenderableType:
    """What wants to be looked at, the new ones first; of what is recorded, how much there is."""
    if not buckets:
        return Text("nothing found yet", style="dim")
    recorded = _recorded(buckets)
    known = [Text(recorded_line(recorded), style="dim", overflow="ellipsis")] if recorded else []
    rest = [bucket for bucket in by_weight(buckets) if not bucket.is_recorded]
    if not rest:
        return Group(Text("nothing new", style="green"), *known)
    table = _table(("class", 0), ("seen", 0), ("suspect", 0), ("title", 1))
    table.columns[1].justify = "right"
    shown, hidden = _fit(rest, max(room - len(known), 1))
    for bucket in shown:
        table.add_row(
            Text("strict", style="red") if bucket.strict else Text("lenient", style="yellow"),
            f"{bucket.count:,}",
            Text(bucket.suspect or bucket.first_leg),
            Text(bucket.title, style="bold" if bucket.new else ""),
        )
    if hidden:
        table.add_row("", "", "", Text(f"and {hidden} more", style="dim"))
    return Group(table, *known)


def _rows(buckets: Sequence[BucketStatus]) -> int:
    """Lines that they want, all known defects together one."""
    return sum(not bucket.is_recorded for bucket in buckets) + bool(_recorded(buckets))


def _events(events: Sequence[str], room: int) -> RenderableType:
    if not events or room <= 0:
        return Group()
    lines = [" ".join(event.split()) for event in events[-room:]]
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis", style="dim")


def _fit(items: Sequence[_Item], room: int) -> tuple[Sequence[_Item], int]:
    if len(items) <= room:
        return items, 0
    shown = max(room - 1, 0)
    return items[:shown], len(items) - shown


def _table(*columns: tuple[str, int]) -> Table:
    """A table without lines; a column with a ratio shares the width that is left."""
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for heading, ratio in columns:
        table.add_column(heading, ratio=ratio or None, no_wrap=True, overflow="ellipsis")
    return table
