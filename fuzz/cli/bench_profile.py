"""`vcpufuzz bench --profile`: where the time of a case goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from fuzz.bench import profiling
from fuzz.bench.apart import Died, told_by
from fuzz.cli.errors import UserError
from fuzz.cli.table import Column, print_table

_COLUMNS = (Column("Stage"), Column("Microseconds", "right"), Column("Part", "right"))


def bench_profile(legs: Sequence[str], cases: int, seed: int, as_json: bool) -> None:
    """Measure and print. Raises UserError."""
    told = _measured(profiling.Plan(list(legs), cases, seed))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
        return
    whole = sum(stage.microseconds for stage in told.stages)
    rows = [
        (stage.name, f"{stage.microseconds:.0f}", f"{100 * stage.microseconds / whole:.0f} %")
        for stage in told.stages
    ]
    print_table(_COLUMNS, rows)
    load = os.getloadavg()[0]
    click.echo(f"{told.cases} cases, {told.cases_per_second:.0f} cases/s; load {load:.1f}.")


def _measured(plan: profiling.Plan) -> profiling.Profile:
    try:
        with told_by(str(Path(profiling.__file__)), msgspec.json.encode(plan).decode()) as lines:
            line = msgspec.json.decode(next(lines), type=profiling.Line)
    except Died as death:
        raise UserError(f"the measuring process died: {death}") from None
    if line.profile is None:
        raise UserError(line.failed)
    return line.profile
