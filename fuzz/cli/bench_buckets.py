"""`vcpufuzz bench --buckets`: how many buckets one defect makes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from statistics import median

import click
import msgspec

from fuzz.bench.buckets.counting import INTACT, Counted, count_mutant
from fuzz.cli.errors import UserError
from fuzz.cli.table import Column, print_table
from targets.mutants import MUTANTS
from targets.transport import TransportError

CASES = 300

_COLUMNS = (
    *(Column("Defect"), Column("Divergences", "right"), Column("Buckets", "right")),
    *(Column("Joined", "right"), Column("Suspects", wrap=True)),
)


class Report(msgspec.Struct, frozen=True):
    """All defects: how many were `sought` and `seen`, how many buckets those made at the
    `median` and at `most`, and the same where those are one that probably are the same."""

    cases: int
    seed: int
    sought: int
    seen: int
    median: float
    most: int
    median_joined: float
    most_joined: int
    defects: list[Counted]


def bench_buckets(cases: int, seed: int, only: str, kernels: bool, as_json: bool) -> None:
    """Hunt each defect, and print. Raises UserError."""
    try:
        counted = list(
            _told(_kernels(cases, seed, only) if kernels else _mutants(cases, seed, only))
        )
    except TransportError as error:
        raise UserError(str(error)) from None
    if not counted:
        raise UserError(f"no defect is called like {only}")
    told = report(counted, cases, seed)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        _print(told)


def _mutants(cases: int, seed: int, only: str) -> Iterator[Counted]:
    for name in sorted(MUTANTS):
        if fnmatchcase(name, only):
            yield count_mutant(name, cases, seed)


def _kernels(cases: int, seed: int, only: str) -> Iterator[Counted]:
    from fuzz.bench.buckets.kerneldefects import KERNEL_DEFECTS  # noqa: PLC0415
    from fuzz.bench.buckets.kernels import count_kernels  # noqa: PLC0415

    wanted = [defect for defect in KERNEL_DEFECTS if fnmatchcase(defect.name, only)]
    if wanted:
        yield from count_kernels(wanted, cases, seed, _say)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{text} ...", err=True)


def _told(results: Iterator[Counted]) -> Iterator[Counted]:
    for one in results:
        _say(f"{one.name}: {len(one.buckets)} buckets, {one.groups} joined, {one.seconds:.0f} s")
        yield one


def report(counted: list[Counted], cases: int, seed: int) -> Report:
    """What the counts say together. A defect that no case came to says nothing. Pure."""
    defects = [one for one in counted if one.name != INTACT]
    seen = [one for one in defects if one.buckets]
    made = [len(one.buckets) for one in seen] or [0]
    joined = [one.groups for one in seen] or [0]
    return Report(
        *(
            cases,
            seed,
            len(defects),
            len(seen),
            median(made),
            max(made),
            median(joined),
            max(joined),
            counted,
        )
    )


def _print(told: Report) -> None:
    rows = [
        (
            *(one.name, str(one.divergences), str(len(one.buckets)), str(one.groups)),
            one.failed or one.suspects or "-",
        )
        for one in told.defects
    ]
    print_table(_COLUMNS, rows)
    for one in told.defects:
        if len(one.buckets) > 1:
            click.echo(f"\n{one.name}: {one.about}")
            for bucket in one.buckets:
                same = f", probably the same as {bucket.same_as}" if bucket.same_as else ""
                click.echo(f"  {bucket.title}{same}")
    click.echo(
        f"\n{told.seen} of {told.sought} defects seen in {told.cases} cases each (seed"
        f" {told.seed}): {told.median:g} bucket(s) at the median, {told.most} at most; with those"
        f" as one that are probably the same, {told.median_joined:g} and {told.most_joined}."
    )
