"""`vcpufuzz fleet simulate`: how large a fleet may be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from fuzz.cli.errors import Exit, UserError
from fuzz.cli.fleet.options import slice_option
from fuzz.cli.options import json_option, legs_option, resolve_legs
from fuzz.cli.plain_options import DEFAULT_DB
from fuzz.cli.table import Column, print_table

if TYPE_CHECKING:
    from fuzz.fleet.simulate import Costs, Outcome

SAMPLE_S = 20.0


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Slots of all workers together, at most.",
)
@slice_option
@click.option("--hours", type=click.IntRange(1, 48), default=2, show_default=True)
@legs_option
@click.option(
    "--db",
    "url",
    metavar="URL",
    envvar="VCPUFUZZ_DB",
    help=f"Slices that were done there tell what one costs and brings; without, and where there"
    f" is none, a short one is done. Nothing is written there. [e.g. {DEFAULT_DB}]",
)
@click.option(
    "--scratch-db",
    "scratch",
    metavar="URL",
    default="",
    help="An empty database of the kind to be measured; slices are left there.",
)
@json_option
def simulate(
    workers: int,
    slice_seconds: float,
    hours: int,
    legs: str,
    url: str | None,
    scratch: str,
    as_json: bool,
) -> None:
    """Tell how a fleet of many workers would do, and what would be full first.

    What a slice costs the scheduler, the leader and the store is measured on this machine; then
    fleets of up to so many workers are simulated, with the planner that a fleet has.

    \b
    Example:
      vcpufuzz fleet simulate --workers 1000
      vcpufuzz fleet simulate --workers 5000 --slice 10m --json
    """
    from db.session import shown  # noqa: PLC0415
    from db.store import Store  # noqa: PLC0415
    from fuzz.fleet import measure, slices  # noqa: PLC0415
    from fuzz.fleet.simulate import capacity, sizes  # noqa: PLC0415
    from fuzz.fleet.simulate import simulate as run  # noqa: PLC0415
    from fuzz.fleet.task import SliceFailed  # noqa: PLC0415

    asked = list(slices.arms(resolve_legs(legs, None)))
    done = []
    if url is not None:
        with Store.read(url) as store:
            done = store.finished_slices(None, 500)
    if scratch:
        with Store.open(scratch) as store:
            if store.campaigns() or store.finished_slices(None, 1):
                raise UserError(f"--scratch-db: {shown(scratch)} is not empty.", Exit.USAGE)
    try:
        report = measure.sample(measure.LEGS, SAMPLE_S)
    except SliceFailed as error:
        raise UserError(str(error), Exit.UNAVAILABLE) from None
    costs = measure.costs(slice_seconds, report, done, scratch)
    brought = measure.brings(done, asked)
    outcomes = [run(costs, size, brought, float(hours)) for size in sizes(workers)]
    full = capacity(costs)
    if as_json:
        told = {"costs": asdict(costs), "full": full, "fleets": [asdict(one) for one in outcomes]}
        click.echo(json.dumps(told, indent=2))
        return
    _print(costs, outcomes)
    for name, count in sorted(full.items(), key=lambda item: item[1]):
        click.echo(f"The {name} is full at about {count:,.0f} workers.")


def _print(costs: Costs, outcomes: Sequence[Outcome]) -> None:
    click.echo(
        f"A slice of {costs.slice_s:.0f} s takes {costs.scheduler_s * 1000:.1f} ms of the"
        f" scheduler, {costs.leader_s * 1000:.1f} ms of the leader, {costs.store_s * 1000:.1f} ms"
        f" of the store, {costs.fetched / 1e6:.2f} MB from and {costs.sent / 1e6:.2f} MB to the"
        " corpus."
    )
    columns = (
        Column("Workers", "right"),
        Column("busy", "right"),
        Column("Scheduler busy", "right"),
        Column("Leader busy", "right"),
        Column("Slices/s", "right"),
        Column("Writes/s", "right"),
        Column("Corpus MB/s", "right"),
        Column("Stored after s", "right"),
        Column("Plan ms", "right"),
    )
    rows = [
        (
            str(one.workers),
            *(f"{100 * one.busy[name]:.0f} %" for name in ("workers", "scheduler", "leader")),
            f"{one.slices_per_s:.2f}",
            f"{one.writes_per_s:.1f}",
            f"{(one.fetched_per_s + one.sent_per_s) / 1e6:.2f}",
            f"{one.delay_s:.2f}",
            f"{one.plan_ms:.2f}",
        )
        for one in outcomes
    ]
    print_table(columns, rows)
