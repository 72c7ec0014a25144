"""`vcpufuzz bench`: figures of this machine, all from one run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from fuzz.bench import driver as benchdriver
from fuzz.bench import measure as measuring
from fuzz.bench.apart import Died, told_by
from fuzz.cli.errors import UserError
from fuzz.cli.options import json_option, resolve_legs
from fuzz.cli.plain_options import COUNT, LARGEST, OUTPUT_FILE
from fuzz.cli.table import Column, print_table
from fuzz.cli.together import use_of
from targets.catalogue import State, offers
from targets.legs import default_kvm

OTHERS = ("model", "emulator:keep", "emulator:zero")

_COLUMNS = (
    *(Column("Kernel"), Column("VMs"), Column("Floor/s", "right")),
    *(Column("Pipeline/s", "right"), Column("Ratio", "right"), Column("RSS MiB", "right")),
)


class _Line(msgspec.Struct, frozen=True):
    """One line of the measuring process."""

    say: str = ""
    failed: str = ""
    report: measuring.Report | None = None


_USES = {
    "": ("legs", "cases", "rounds", "seed", "kernel_coverage"),
    "--corners": ("seed", "count", "budget", "searches", "plot", "keep"),
    "--ablation": ("seed", "count", "budget", "searches", "keep"),
    "--profile": ("legs", "cases", "seed"),
    "--buckets": ("cases", "seed", "kernels", "only"),
}
"""By what is measured, the options that it takes."""


def _picture(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    """The name of a picture tells its format."""
    if path is not None and path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise click.BadParameter(f"{path}: the name has to end in .svg, .png or .pdf.")
    return path


def default_legs() -> tuple[str, ...]:
    """The model, the emulators, and KVM of every kernel that is here."""
    here = [o.name for o in offers() if o.kind == "kvm" and o.state is State.READY]
    kernels = [name for name in here if name.endswith(":vhe")]
    return (*OTHERS, *(kernels or [default_kvm()]))


@click.command()
@json_option
@click.option(
    "--legs", help="What to measure; else the model, the emulators and every kernel here."
)
@click.option(
    "--cases",
    type=click.IntRange(1, 10000),
    default=None,
    help="How many; 60 by default, and 300 with --buckets.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=7, show_default=True)
@click.option("--seed", type=click.IntRange(0, LARGEST), default=1, show_default=True)
@click.option(
    "--kernel-coverage/--no-kernel-coverage",
    default=True,
    show_default=True,
    help="Record the kernel's blocks in the pipeline, as campaigns do.",
)
@click.option(
    "--corners", is_flag=True, help="Measure instead how soon drawn, narrow defects are found."
)
@click.option(
    "--ablation",
    is_flag=True,
    help="Measure instead what each source of guidance brings, by hunts with it and without.",
)
@click.option(
    "--profile",
    is_flag=True,
    help="Show instead where the time of a campaign's case goes, on --legs.",
)
@click.option(
    "--buckets",
    is_flag=True,
    help="Show instead how many buckets each seeded defect makes, where one would be right.",
)
@click.option(
    "--kernels",
    is_flag=True,
    help="--buckets: of kernels with a defect of one line, built for that; takes an hour or two.",
)
@click.option(
    "--only", default="*", show_default=True, metavar="PATTERN", help="--buckets: these defects."
)
@click.option(
    "--count", type=click.IntRange(1, 5000), default=200, show_default=True, help="Drawn defects."
)
@click.option(
    "--budget",
    type=COUNT,
    default=60000,
    show_default=True,
    help="Cases that each drawn defect is hunted for.",
)
@click.option(
    "--searches",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Searches for the drawn defects, each with another seed of its own.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=OUTPUT_FILE,
    callback=_picture,
    help="Draw the detection of drawn defects, as SVG, PNG or PDF by the name's end.",
)
@click.option(
    "--keep",
    metavar="FILE",
    type=OUTPUT_FILE,
    help="--corners, --ablation: keep each search here, and leave out those that are there.",
)
def bench(
    as_json: bool,
    legs: str | None,
    cases: int | None,
    rounds: int,
    seed: int,
    kernel_coverage: bool,
    corners: bool,
    ablation: bool,
    profile: bool,
    buckets: bool,
    kernels: bool,
    only: str,
    count: int,
    budget: int,
    searches: int,
    plot: Path | None,
    keep: Path | None,
) -> None:
    """Measure how many cases per second run: alone, and all together.

    The floor is KVM left to itself: the guest runs the cases in a loop, nobody talks to it.
    The pipeline is what a campaign does with them. Both take turns, with the same cases.

    With --corners, defects of the model are drawn, each behind a guard of one to four things
    that have to meet, and hunted from the seeds, on legs model,mutant; --seed draws them.

    With --buckets, each seeded defect is hunted for as many cases as are asked for, and its
    buckets are counted, as they are and with those as one that probably are the same.

    \b
    Example:
      vcpufuzz bench --json
      vcpufuzz bench --legs model,emulator:keep,kvm:6.12:vhe --cases 50
      vcpufuzz bench --corners --count 40 --budget 5000 --plot corners.svg
      vcpufuzz bench --profile --legs model,kvm --cases 500
      vcpufuzz bench --buckets --only 'zcr-*'
      vcpufuzz bench --buckets --kernels --cases 200 --json
      vcpufuzz bench --ablation --count 100 --budget 3000 --searches 5
    """
    use_of(_USES)
    if buckets:
        from fuzz.cli.bench_buckets import CASES, bench_buckets  # noqa: PLC0415

        bench_buckets(cases or CASES, seed, only, kernels, as_json)
        return
    cases = cases or 60
    if ablation:
        from fuzz.cli.bench_corners import bench_ablation  # noqa: PLC0415

        bench_ablation(seed, count, budget, searches, keep, as_json)
        return
    if profile:
        from fuzz.cli.bench_profile import bench_profile  # noqa: PLC0415

        bench_profile(OTHERS if legs is None else resolve_legs(legs, None), cases, seed, as_json)
        return
    if corners:
        from fuzz.cli.bench_corners import bench_corners  # noqa: PLC0415

        bench_corners(seed, count, budget, searches, plot, keep, as_json)
        return
    names = default_legs() if legs is None else resolve_legs(legs, None)
    names = tuple(dict.fromkeys(default_kvm() if name == "kvm" else name for name in names))
    plan = measuring.Plan(
        kvm=[name for name in names if name.startswith("kvm:")],
        others=[name for name in names if not name.startswith("kvm:")],
        cases=cases,
        seed=seed,
        rounds=rounds,
        kernel_coverage=kernel_coverage,
    )
    report = _measured(plan)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    _print(report)


def _measured(plan: measuring.Plan) -> measuring.Report:
    """The report of a measuring process. Raises UserError."""
    script, wanted = str(Path(benchdriver.__file__)), msgspec.json.encode(plan).decode()
    try:
        with told_by(script, wanted, str(os.getpid())) as lines:
            for line in lines:
                told = msgspec.json.decode(line, type=_Line)
                if told.failed:
                    raise UserError(told.failed)
                if told.report:
                    return told.report
                if sys.stderr.isatty():
                    click.echo(f"{told.say} ...", err=True)
    except Died as death:
        raise UserError(f"the measuring process died: {death}") from None
    raise AssertionError("unreachable")


def _print(report: measuring.Report) -> None:
    for alone in report.legs:
        click.echo(f"{alone.name}: {alone.cases_per_second:.0f} cases/s alone")
    click.echo(f"model, typical cases: {report.model_typical_per_second:.0f} cases/s")
    click.echo(f"judging: {report.judged_per_second:.0f} traces/s")
    rows = []
    for kernel in report.kvm:
        for vms, pace in (("fresh", kernel.fresh), ("reused", kernel.reuse)):
            if pace is None:
                rows.append((kernel.name, vms, "not sound here", "", "", ""))
            else:
                rows.append(
                    (
                        *(kernel.name, vms, f"{pace.floor:.1f}", f"{pace.pipeline:.1f}"),
                        *(f"{pace.pipeline_over_floor:.2f}", f"{kernel.rss_mib:.0f}"),
                    )
                )
    print_table(_COLUMNS, rows)
    click.echo(
        f"{report.cases} cases, {report.left_out} left out as they diverge; medians of"
        f" {report.rounds} rounds; {report.cpus} CPUs, load {report.load}."
    )
