"""`vcpufuzz fleet status`, `stop`, `drain`: by way of the store alone, from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from db.fleet import GONE
from db.store import Store
from db.work import FleetView, SliceCount, State, Wish
from fuzz.cli.plain_options import db_option, json_option
from fuzz.cli.table import Column, print_table
from fuzz.cli.triage.keys import existing


@click.command()
@json_option
@db_option
def status(url: str, as_json: bool) -> None:
    """Tell what the fleet of a store does, and what its slices brought.

    \b
    Example:
      vcpufuzz fleet status
      vcpufuzz fleet status --db postgresql+psycopg://fuzz@192.0.2.7/fuzz --json
    """
    with existing(url) as store:
        view, counts = store.fleet(), store.slice_counts()
    if as_json:
        click.echo(json.dumps(_as_json(view, counts), indent=2))
        return
    click.echo(_sentence(view))
    if view is not None and view.told.get("trouble"):
        click.echo(f"Trouble: {view.told['trouble']}")
    if counts:
        _print_counts(counts)
    if view is not None and view.told.get("legs"):
        _print_legs(view.told["legs"])


@click.command()
@db_option
def stop(url: str) -> None:
    """Have the fleet of a store end; what runs is planned again.

    \b
    Example:
      vcpufuzz fleet stop
    """
    _wish(url, Wish.STOP, "The fleet ends within some seconds.")


@click.command()
@db_option
def drain(url: str) -> None:
    """Have the fleet of a store end when what runs now is done.

    \b
    Example:
      vcpufuzz fleet drain
    """
    _wish(url, Wish.DRAIN, "The fleet ends when the slices that run are done.")


def _wish(url: str, wish: Wish, told: str) -> None:
    with existing(url) as store:
        assert isinstance(store, Store)
        store.wish(wish)
    click.echo(told)


def _state(view: FleetView | None) -> str:
    if view is None:
        return "none"
    if view.beat is None:
        return "ended"
    return "runs" if datetime.now(UTC) - view.beat < GONE else "lost"


def _sentence(view: FleetView | None) -> str:
    if view is None:
        return "No fleet ever worked on this store."
    workers = len(view.told.get("workers", ()))
    at = f"{view.process} on {view.address}"
    seen = "" if view.beat is None else f"{view.beat:%Y-%m-%d %H:%M:%S} UTC"
    return {
        "runs": f"A fleet runs: {at}, {workers} workers, corpus of"
        f" {view.told.get('corpus', {}).get('cases', 0)} cases.",
        "lost": f"The fleet {at} was last seen at {seen}: start it again, and it goes on.",
        "ended": f"The fleet {at} has ended.",
    }[_state(view)]


def _as_json(view: FleetView | None, counts: Sequence[SliceCount]) -> dict[str, Any]:
    return {
        "state": _state(view),
        "process": view.process if view else None,
        "address": view.address if view else None,
        "beat": view.beat.isoformat() if view and view.beat else None,
        "wish": view.wish.value if view else None,
        "options": view.options if view else None,
        "told": view.told if view else None,
        "slices": [
            {"kind": one.kind, "leg": one.leg, "state": one.state.value, "slices": one.slices}
            for one in counts
        ],
    }


def _print_counts(counts: Sequence[SliceCount]) -> None:
    rows: dict[tuple[str, str], dict[State, int]] = {}
    for one in counts:
        rows.setdefault((one.kind, one.leg), {})[one.state] = one.slices
    columns = (
        Column("Slices"),
        Column("Leg", wrap=True),
        *(Column(state.value.capitalize(), "right") for state in State),
    )
    print_table(
        columns,
        [(*key, *(str(found.get(state, 0)) for state in State)) for key, found in rows.items()],
    )


def _print_legs(legs: Mapping[str, Mapping[str, Any]]) -> None:
    columns = (
        Column("Leg", wrap=True),
        Column("CPU s", "right"),
        Column("Buckets/h", "right"),
        Column("Blocks/h", "right"),
        Column("Pairs/h", "right"),
    )
    rows = [
        (
            f"{leg} (rests)" if one["resting"] else leg,
            f"{one['cpu_seconds']:.0f}",
            *(f"{one['per_cpu_hour'].get(kind, 0):.0f}" for kind in ("buckets", "blocks", "pairs")),
        )
        for leg, one in legs.items()
    ]
    print_table(columns, rows)
