"""`vcpufuzz migrate`: a vcpu saved on one leg and restored on another, and what differs then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from corpus.domain import TextError
from corpus.journey import Journey, parse_journey
from corpus.store import load_text
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import json_option, legs_option, resolve_legs
from fuzz.cli.table import Column, print_table
from fuzz.oracle.verdict import Agree
from fuzz.suites.journey import Arrival, Saved, restore, save
from targets.base import WireTarget
from targets.kind import KINDS
from targets.legs import UnknownLeg, check, kind_of, open_leg
from targets.spec.carried import spelling
from targets.spec.rules import RULES
from targets.transport import TransportError

_SHOWN = 6
"""Names of registers in a line."""


@click.command("migrate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@legs_option
@json_option
def command(file: Path, legs: str, as_json: bool) -> int:
    """Save a vcpu on each leg, restore it on each other, and say what does not arrive, and why.

    FILE is a case whose vcpu goes on on another leg, at a line such as `migrate v0
    to=kvm:6.1:nvhe`, or one that names no leg: then its first vcpu leaves at the end, and goes on
    on every leg of the list. Models and mutants take no part: there is no executor behind them.

    Ends with 77 if something does not arrive that should, with 3 if a leg cannot be had.

    \b
    Example:
      vcpufuzz migrate corpus/seeds/tail-may-vanish.case --legs 'kvm:6.1*:vhe,kvm:6.12:*'
    """
    try:
        journey = parse_journey(load_text(file))
    except TextError as error:
        raise UserError(f"{file}: {str(error).removeprefix(f'{file}: ')}.", Exit.USAGE) from None
    sources = [name for name in resolve_legs(legs, None) if _travels(name)]
    goals = [journey.to] if journey.to else sources
    try:
        check(goals)
    except UnknownLeg as error:
        raise UserError(f"{file}: {error}", Exit.USAGE) from None
    if not sources or not all(map(_travels, goals)):
        raise UserError("a migration is between KVM legs or emulators.", Exit.USAGE)
    missing: dict[str, str] = {}
    arrivals = _travel(journey, sources, goals, missing)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in arrivals], indent=2))
    else:
        _print(arrivals)
    for name, why in missing.items():
        click.echo(f"{name}: {why}", err=True)
    if any(one.wrong for one in arrivals):
        return Exit.DIVERGENCE
    return Exit.UNAVAILABLE if missing else Exit.OK


def _travels(name: str) -> bool:
    kind = KINDS.get(kind_of(name))
    return kind is not None and kind.own


def _travel(
    journey: Journey, sources: Sequence[str], goals: Sequence[str], missing: dict[str, str]
) -> list[Arrival]:
    """From each to each, one machine at a time: many would fill the memory of this one."""
    saved: list[Saved] = []
    arrivals: list[Arrival] = []

    def leave(leg: WireTarget) -> None:
        least, most = journey.before.min_vq, leg.profile.max_vq
        if least > most:
            missing[leg.name] = f"the case needs vq>={least}, {leg.name} has {most}."
        else:
            saved.append(save(leg, journey))

    for name in sources:
        _on(name, leave, missing)
    for name in goals:
        if name not in missing:
            _on(
                name,
                lambda leg: arrivals.extend(restore(leg, journey, one) for one in saved),
                missing,
            )
    return arrivals


def _on(name: str, work: Callable[[WireTarget], None], missing: dict[str, str]) -> None:
    """Do something with a leg, as far as it can be had; `missing` takes why it cannot."""
    try:
        with open_leg(name) as leg:
            assert isinstance(leg, WireTarget)
            work(leg)
    except TransportError as error:
        missing[name] = str(error)


def _print(arrivals: Sequence[Arrival]) -> None:
    if not arrivals:
        return
    goals = list(dict.fromkeys(one.leg for one in arrivals))
    cells = {(one.source, one.leg): _cell(one) for one in arrivals}
    rows = [
        [source, *(cells.get((source, goal), "-") for goal in goals)]
        for source in dict.fromkeys(one.source for one in arrivals)
    ]
    print_table([Column("from"), *(Column(f"to {goal}") for goal in goals)], rows)
    click.echo()
    for line in _reasons(arrivals):
        click.echo(line)
    for one in arrivals:
        for sentence in one.wrong:
            click.echo(f"WRONG from {one.source} to {one.leg}: {sentence}")


def _cell(one: Arrival) -> str:
    """What became of a vcpu, in a few words."""
    if one.wrong:
        return f"WRONG: {len(one.wrong)}"
    if one.refused:
        return f"refused: {one.refused}"
    unjudged = [v for v in (one.arriving, one.after) if isinstance(v, Agree) and v.reason]
    words = [f"{len(one.differences)} differ"] if one.differences else ["arrives"]
    words += [f"{len(one.more)} more"] if one.more else []
    return ", ".join(words + ["not judged to its end"] * bool(unjudged))


def _reasons(arrivals: Sequence[Arrival]) -> list[str]:
    """By rule and registers that may differ, between which legs they do."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for one in arrivals:
        by_rule: dict[str, list[str]] = defaultdict(list)
        for each in one.differences:
            if each.permitted:
                by_rule[each.rule].append(spelling(each.register.id))
        for rule, names in by_rule.items():
            found[rule, tuple(names)].append(f"{one.source} to {one.leg}")
    return [
        f"{rule} ({RULES[rule].text}): {_some(names)}; {_between(ways, len(arrivals))}"
        for (rule, names), ways in sorted(found.items())
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _between(ways: Sequence[str], count: int) -> str:
    return "everywhere" if len(ways) == count else "; ".join(ways)


def _as_json(one: Arrival) -> dict[str, Any]:
    verdicts = {"before": one.saved.verdict, "arriving": one.arriving, "after": one.after}
    return {
        "from": one.source,
        "to": one.leg,
        "refused": one.refused or None,
        "wrong": list(one.wrong),
        "differences": [
            {
                "register": spelling(each.register.id),
                "rule": each.rule,
                "permitted": each.permitted,
                "set": each.register.set_err,
                "get": each.register.get_err,
                "saved": each.register.saved.hex(),
                "found": each.register.found.hex(),
            }
            for each in one.differences
        ],
        "more": [spelling(reg) for reg in one.more],
        "judged": {
            name: verdict.judged if isinstance(verdict, Agree) else None
            for name, verdict in verdicts.items()
        },
        "not_judged": {
            name: verdict.reason
            for name, verdict in verdicts.items()
            if isinstance(verdict, Agree) and verdict.reason
        },
    }
