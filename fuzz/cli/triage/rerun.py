"""`triage retest`, `matrix` and `rejudge`: is it still there, where, and still wrong?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.filters import BucketFilter
from db.records import CellRecord, CellView, Rejudged, RejudgedRecord
from db.store import Store
from fuzz.cli.plain_options import db_option, json_option
from fuzz.cli.table import Column, print_table
from fuzz.cli.triage.keys import Key, actor_option, bucket_argument, existing, keys
from fuzz.web.views.matrix import matrix as by_kernel

if TYPE_CHECKING:
    from fuzz.followup.retest import Again
    from targets.base import Target

_kernel = click.option(
    "--kernel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An arm64 Image of your own, beside the kernels that are there.",
)

_RETEST_COLUMNS = (
    Column("Leg", wrap=True),
    Column("Shows", "right"),
    Column("Otherwise", wrap=True),
)

_MATRIX_COLUMNS = (Column("Leg", wrap=True), Column("Outcome"), Column("What", wrap=True))

_JUDGED_COLUMNS = (
    Column("Finding"),
    Column("Bucket"),
    Column("Outcome"),
    Column("What", wrap=True),
)


@click.command()
@bucket_argument
@click.option("--legs", default=None, metavar="LEG,...", help="By default, those that deviated.")
@click.option("--times", type=click.IntRange(1, 1000), default=3, show_default=True)
@_kernel
@json_option
@db_option
def retest(
    url: str, bucket: Key, legs: str | None, times: int, kernel: Path | None, as_json: bool
) -> None:
    """Run a bucket's shortest finding again, and note how it did.

    When every leg that ever deviated passed three times in a row, the bucket is fixed; a fixed
    one that shows again is new.

    \b
    Example:
      vcpufuzz triage retest B3
      vcpufuzz triage retest B3 --legs kvm:7.2:vhe --times 10
    """
    from fuzz.followup.retest import affected  # noqa: PLC0415
    from fuzz.followup.retest import retest as run_again  # noqa: PLC0415

    with existing(url) as store:
        number = store.best_finding(bucket[1])
        names = ",".join(affected(store.bucket(bucket[1]))) if legs is None else legs
        again = _again(store, number)
        opened, missing = _open(names, kernel)
        try:
            records = run_again(again, opened, times, missing)
        finally:
            for leg in opened:
                leg.close()
        outcome = store.add_retest(number, records)
    if as_json:
        told = {
            "bucket": f"B{bucket[1]}",
            "finding": f"F{number}",
            "status": outcome.status.value,
            "fixed": outcome.fixed,
            "returned": outcome.returned,
            "settled": [
                {"bucket": f"B{one.bucket_id}", "other": f"B{one.other_id}", "same": one.same}
                for one in outcome.settled
            ],
            "legs": [
                {"leg": one.name, "seen": one.seen, "tried": one.tried, "said": one.said}
                for one in records
            ],
        }
        click.echo(json.dumps(told, indent=2))
        return
    rows = [
        (one.name, f"{one.seen}/{one.tried}" if one.tried else "not run", one.said or "-")
        for one in records
    ]
    print_table(_RETEST_COLUMNS, rows)
    word = "is fixed" if outcome.fixed else "RETURNED" if outcome.returned else "is"
    rest = "" if outcome.fixed else f" {outcome.status.value}"
    click.echo(f"B{bucket[1]} {word}{rest if word == 'is' else ''}")
    for one in outcome.settled:
        word = "is the same as, and part of," if one.same else "is another than"
        click.echo(f"B{one.bucket_id} {word} B{one.other_id}")


@click.command()
@bucket_argument
@click.option("--legs", default=None, metavar="LEG,...", help="Only these; patterns are welcome.")
@_kernel
@json_option
@db_option
def matrix(url: str, bucket: Key, legs: str | None, kernel: Path | None, as_json: bool) -> None:
    """Run a bucket's shortest case on every kernel and mode that is there, and keep the
    result with the bucket.

    Kernels of trees are many, and run only where --legs names them.

    \b
    Example:
      vcpufuzz triage matrix B3
      vcpufuzz triage matrix B3 --legs 'kvm:6.12:*,emulator:keep'
      vcpufuzz triage matrix B3 --legs 'kvm:linux@*'
    """
    from fuzz.followup.retest import matrix as run_matrix  # noqa: PLC0415

    with existing(url) as store:
        number = store.best_finding(bucket[1])
        again = _again(store, number)
        cells: list[CellRecord] = []
        # One machine at a time: many of them would fill the memory of this one.
        for name in _everywhere(kernel) if legs is None else _names(legs, kernel):
            opened, missing = _open(name, None)
            try:
                cells += run_matrix(again, opened, missing)
            finally:
                for leg in opened:
                    leg.close()
            store.set_matrix(number, cells)
            if not as_json:
                click.echo(f"{name}: {cells[-1].outcome}", err=True)
        stored = store.matrix(bucket[1])
    if as_json:
        told = [{"leg": c.name, "outcome": c.outcome, "said": c.said} for c in cells]
        click.echo(json.dumps(told, indent=2))
    elif legs is None:
        _print_by_kernel(stored)
    else:
        print_table(_MATRIX_COLUMNS, [(c.name, c.outcome, c.said or "-") for c in cells])


def _print_by_kernel(cells: Sequence[CellView]) -> None:
    """All that is known, with a row for each kernel and a column for each mode, and why some
    cells say nothing."""
    grid = by_kernel(cells, {}, ())
    columns = (Column("", wrap=True), *(Column(mode, wrap=True) for mode in grid.columns))
    rows = [
        (name, *(" ".join(dict.fromkeys(one.outcome for one in cell)) or "-" for cell in row))
        for name, row in grid.rows
    ]
    print_table(columns, rows)
    for cell in cells:
        if cell.said and cell.outcome not in ("shows", "passes"):
            click.echo(f"{cell.leg}: {cell.outcome}: {cell.said}")


@click.command()
@click.argument("buckets", nargs=-1, callback=keys("B"), metavar="[BUCKET]...")
@click.option("--apply", "applied", is_flag=True, help="Enter the difference.")
@actor_option
@json_option
@db_option
def rejudge(url: str, buckets: tuple[int, ...], applied: bool, actor: str, as_json: bool) -> None:
    """Judge stored traces by the specification as it is now, without running anything.

    Shows which findings are gone, since what they show is permitted, which are another
    divergence now, and which divergences nobody saw before. With --apply that is entered;
    `triage undo` takes it back. A bucket of which nothing stands becomes a model-bug.

    \b
    Example:
      vcpufuzz triage rejudge
      vcpufuzz triage rejudge B3 B4 --apply
    """
    with existing(url) as store:
        judged = _judged(store, buckets)
        changes = [one for one in judged if one.outcome not in (Rejudged.STANDS, Rejudged.UNKNOWN)]
        if applied:
            store.apply_rejudged(changes, actor)
    if as_json:
        click.echo(json.dumps([_judged_json(one) for one in judged], indent=2))
        return
    if changes:
        print_table(_JUDGED_COLUMNS, [_judged_row(one) for one in changes])
    counted = Counter(one.outcome.value for one in judged)
    click.echo(", ".join(f"{number} {word}" for word, number in sorted(counted.items())) or "none")
    reasons = Counter(one.why for one in judged if one.outcome is Rejudged.UNKNOWN)
    for why, number in reasons.most_common():
        click.echo(f"{number} could not be judged: {why}")
    if changes:
        click.echo("Entered." if applied else "Nothing is entered yet; --apply does that.")


def _judged(store: Store, buckets: Sequence[int]) -> list[RejudgedRecord]:
    from fuzz.oracle.knowledge import Knowledge  # noqa: PLC0415
    from fuzz.suites.rejudge import rejudge as judge_again  # noqa: PLC0415

    knowledge = Knowledge.shipped()
    seen = store.known_divergences()
    found: list[RejudgedRecord] = []
    numbers = buckets or [one.id for one in store.buckets(BucketFilter())]
    for bucket in numbers:
        store.bucket(bucket)
        for line in store.finding_lines(bucket):
            if not line.traced:
                found.append(
                    RejudgedRecord(
                        line.id, bucket, Rejudged.UNKNOWN, why="its traces were not kept"
                    )
                )
                continue
            finding, traces = store.finding(line.id), store.traces(line.id)
            new = list(judge_again(finding, traces, knowledge, seen))
            for one in new:
                if one.verdict:
                    seen |= {one.verdict.signature.digest, one.verdict.culprit}
            found += new
    return found


def _judged_row(one: RejudgedRecord) -> tuple[str, ...]:
    what = one.verdict.explanation if one.verdict else ""
    return f"F{one.finding_id}", f"B{one.bucket_id}", one.outcome.value, what or "-"


def _judged_json(one: RejudgedRecord) -> dict[str, object]:
    verdict = one.verdict
    return {
        "finding": f"F{one.finding_id}",
        "bucket": f"B{one.bucket_id}",
        "outcome": one.outcome.value,
        "why": one.why,
        "signature": verdict.signature.text if verdict else None,
        "explanation": verdict.explanation if verdict else None,
    }


def _again(store: Store, finding: int) -> Again:
    from fuzz.followup.retest import Again  # noqa: PLC0415

    return Again(store.finding(finding))


def _names(legs: str, kernel: Path | None) -> Sequence[str]:
    from fuzz.cli.options import resolve_legs  # noqa: PLC0415

    return resolve_legs(legs, kernel)


def _everywhere(kernel: Path | None) -> list[str]:
    """Every leg with code of its own that this machine has now, with all vector lengths."""
    from targets.catalogue import State, is_of_tree, offers  # noqa: PLC0415

    extra = [str(kernel.absolute())] if kernel else []
    return [
        offer.name
        for offer in offers(extra)
        if offer.kind in ("kvm", "emulator")
        and offer.state is State.READY
        and "vq=" not in offer.name
        and not is_of_tree(offer.name)
    ]


def _open(legs: str, kernel: Path | None) -> tuple[list[Target], dict[str, str]]:
    """Those of the legs that can be had, and why the others cannot."""
    from targets.legs import open_legs  # noqa: PLC0415

    missing: dict[str, str] = {}
    names = _names(legs, kernel)
    return open_legs(names, missing=missing), missing


COMMANDS = (retest, matrix, rejudge)
