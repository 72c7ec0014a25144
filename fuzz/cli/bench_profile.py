"""`vcpufuzz bench --profile`: where the time of a case goes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from fuzz.bench import profiling
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
    read, write = os.pipe()
    arguments = [str(Path(profiling.__file__)), str(write), msgspec.json.encode(plan).decode()]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        os.close(write)
        try:
            with os.fdopen(read, "rb") as lines:
                for text in lines:
                    line = msgspec.json.decode(text, type=profiling.Line)
                    if line.profile is None:
                        raise UserError(line.failed)
                    return line.profile
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    raise UserError(f"the measuring process died: {''.join(last) or 'it said nothing'}")
