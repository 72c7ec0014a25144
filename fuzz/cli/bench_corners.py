"""`vcpufuzz bench --corners`: how many cases drawn defects survive."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from fuzz import output
from fuzz.bench.corners import hunt
from fuzz.bench.corners.ablation import ablate
from fuzz.bench.corners.detection import Report, report
from fuzz.bench.corners.draw import draw_all
from fuzz.bench.corners.hunting import mutant_legs
from fuzz.bench.corners.kept import keeping
from fuzz.bench.corners.searches import HuntFailed, Search, search
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.table import Column, print_table
from targets.profile import Profile


def bench_corners(
    seed: int,
    count: int,
    budget: int,
    searches: int,
    plot: Path | None,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Draw, hunt, and print. Raises UserError."""
    hunt_for = _kept(keep, lambda plan: search(plan, _say))
    plans = [hunt.Plan(seed, count, budget, number + 1) for number in range(searches)]
    corners = list(draw_all(seed, count, Profile()))
    try:
        results = [hunt_for(plan) for plan in plans]
    except HuntFailed as error:
        raise UserError(str(error)) from None
    told = report(
        *(plans, corners, [r.found for r in results], [r.seconds for r in results]),
        [r.features for r in results],
    )
    if plot is not None:
        _plot(told, plot)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        _print(told)


def bench_ablation(
    seed: int, count: int, budget: int, searches: int, keep: Path | None, as_json: bool
) -> None:
    """Hunt with each source of guidance on and off, and print. Raises UserError."""
    hunt_for = _kept(keep, search)

    def say(text: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"{text} ...", err=True)

    numbers = [number + 1 for number in range(searches)]
    try:
        told = ablate(seed, count, budget, numbers, len(mutant_legs()), hunt_for, say)
    except HuntFailed as error:
        raise UserError(str(error)) from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
        return
    rows = [
        (
            *(one.name, f"{one.corners:.1f}", f"{one.corner_cases:.0f}", f"{one.sooner:.2f}"),
            *(f"{one.mutants:.1f}", f"{one.mutant_cases:.0f}", f"{one.seconds:.0f}"),
        )
        for one in told.effects
    ]
    print_table(_EFFECTS, rows)
    click.echo(
        f"Of {told.count} drawn defects (seed {told.seed}) and {told.mutants} mutants within"
        f" {told.cases} cases; means of {len(numbers)} search(es), medians of cases. Sooner: by"
        " what factor than with none, for defects that either found."
    )


_EFFECTS = (
    *(Column("Guidance"), Column("Corners", "right"), Column("Cases", "right")),
    *(Column("Sooner", "right"), Column("Mutants", "right"), Column("Cases", "right")),
    Column("Seconds", "right"),
)


def _kept(path: Path | None, how: Callable[[hunt.Plan], Search]) -> Callable[[hunt.Plan], Search]:
    """`how`, with its results kept in a file where one is named. Raises UserError."""
    if path is None:
        return how
    try:
        return keeping(path, how)
    except ValueError as error:
        raise UserError(f"--keep: {error}", Exit.USAGE) from None
    except OSError as error:
        raise UserError(f"--keep: {path}: {error.strerror}") from None


def _say(progress: hunt.Progress) -> None:
    if sys.stderr.isatty():
        click.echo(f"{progress.cases} cases, {progress.left} left to find ...", err=True)


def _plot(told: Report, path: Path) -> None:
    from fuzz.bench.corners.plot import draw_detection  # noqa: PLC0415

    output.write(path, draw_detection(told, path.suffix.removeprefix(".").lower()))


def _print(told: Report) -> None:
    steps = sorted({rate.cases for rate in told.rates})
    columns = (
        *(Column("Predicates", "right"), Column("Defects", "right")),
        *(Column(f"{cases} cases", "right") for cases in steps),
    )
    rows: list[Sequence[str]] = []
    for size in sorted({rate.predicates for rate in told.rates}):
        group = [rate for rate in told.rates if rate.predicates == size]
        cells = (
            f"{100 * r.found / r.defects:.0f} % ({100 * r.low:.0f}-{100 * r.high:.0f})"
            for r in group
        )
        rows.append((str(size), str(group[0].defects), *cells))
    print_table(columns, rows)
    missed = [d for d in told.defects if None in d.found]
    click.echo(
        f"Found, with bounds at 95 %; {len(told.defects) - len(missed)} of {len(told.defects)}"
        f" by every search; seed {told.seed}, {len(told.searches)} search(es) of up to"
        f" {told.cases} cases in {sum(told.seconds):.0f} s, load {told.load}."
    )
    for one in missed[:8]:
        click.echo(f"  {one.index}: {one.guard} => {one.wrong}")
    if len(missed) > 8:
        click.echo(f"  and {len(missed) - 8} more that a search missed; --json lists all.")
