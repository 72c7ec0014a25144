"""`vcpufuzz rules` and `vcpufuzz isa`: the specification's tables, and what exercised them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from db.session import shown
from db.store import Store
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import db_option, json_option, legs_option, resolve_legs
from fuzz.cli.plain_options import DEFAULT_DB, LARGEST
from fuzz.cli.table import Column, print_table
from fuzz.cli.together import use_of
from fuzz.followup.cause import is_tail
from fuzz.generate import el2
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.report.exercised import LAST_CAMPAIGNS, Exercised
from fuzz.suites.isa import LENGTHS, SuiteCase, SuiteResult, run_suite, suite
from targets.base import Target
from targets.legs import open_legs
from targets.profile import Profile
from targets.spec.rules import RULES, Rule


@click.command()
@json_option
@db_option
def rules(as_json: bool, url: str) -> None:
    """Print the rules of the specification, and how often campaigns used each.

    \b
    Example:
      vcpufuzz rules --json
    """
    used = exercised(url)
    if as_json:
        rows = [_rule_json(rule, used, rule.id) for rule in RULES.values()]
        click.echo(json.dumps(rows, indent=2))
        return
    columns = (
        *(Column("Rule"), Column("Class"), Column("Used", "right"), Column("Legs", "right")),
        Column("Source", wrap=True),
    )
    print_table(
        columns,
        [(r.id, r.cls, *used.cells(r.id), f"{r.source}: {r.text}") for r in RULES.values()],
    )
    _say_per_leg(used, set(RULES), "rules")


_USES = {"": ("url",), "--check": ("draws", "vqs", "together", "strict", "seed", "legs")}
"""Options of `isa` that only printing the table takes, and those of `--check`."""


@click.command()
@json_option
@db_option
@click.option("--check", is_flag=True, help="Run every form on the legs and judge it.")
@click.option("--draws", type=click.IntRange(1, 1000), default=1, help="With --check: how often.")
@click.option("--vq", "vqs", multiple=True, type=click.IntRange(1, 16), help="With --check.")
@click.option("--together", type=click.IntRange(1, 16), default=4, help="Forms a case.")
@click.option("--strict", is_flag=True, help="With --check: also report known defects.")
@click.option("--only", default="", help="Forms whose name or group contains this.")
@click.option("--seed", type=click.IntRange(-LARGEST, LARGEST), default=1, show_default=True)
@legs_option
def isa(
    as_json: bool,
    url: str,
    check: bool,
    draws: int,
    vqs: tuple[int, ...],
    together: int,
    only: str,
    seed: int,
    strict: bool,
    legs: str,
) -> int:
    """Print the instruction table, and how often campaigns ran each form.

    With --check, run every form with edge and random operands at several vector lengths
    on the legs; ends with 77 if one diverges.

    \b
    Example:
      vcpufuzz isa --json
      vcpufuzz isa --check --vq 3 --legs emulator:keep,kvm
    """
    use_of(_USES)
    forms = [f for f in FORMS.values() if only in f.name or only in f.group]
    if not forms:
        raise UserError(f"no form's name or group contains {only!r}.", Exit.USAGE)
    names = resolve_legs(legs, None)
    if check:
        tests = partial(suite, random.Random(seed), forms, vqs or LENGTHS, draws, together)
        return _check(tests, forms, vqs or LENGTHS, names, strict, as_json)
    used = exercised(url)
    if as_json:
        rows = [_form_json(form, used, f"isa.{form.name}") for form in forms]
        click.echo(json.dumps(rows, indent=2))
    else:
        columns = (
            *(Column("Form"), Column("Group"), Column("Cap"), Column("Used", "right")),
            *(Column("Legs", "right"), Column("Syntax", wrap=True)),
        )
        print_table(
            columns,
            [(f.name, f.group, f.cap, *used.cells(f"isa.{f.name}"), f.syntax) for f in forms],
        )
        _say_per_leg(used, {f"isa.{form.name}" for form in forms}, "forms")
    return Exit.OK


def exercised(url: str) -> Exercised:
    """What the last campaigns of a store used; nothing without a store, which is said."""
    if not Store.exists(url) and url == DEFAULT_DB:
        click.echo(f"No campaign is counted: there is no database {shown(url)}.", err=True)
        return Exercised.of(())
    with Store.read(url) as store:
        return Exercised.of(store.campaigns()[:LAST_CAMPAIGNS])


def _say_per_leg(used: Exercised, rows: set[str], what: str) -> None:
    """How much of a table each leg went through, of what can be reached on it."""
    for leg, rules in sorted(used.legs.items()):
        beyond = used.beyond(leg, rows)
        hit, most = len(rules & rows), len(rows - beyond) or 1
        apart = f"; {len(beyond)} more need another machine" if beyond else ""
        click.echo(f"{leg}: {hit} of {most} {what} ({100 * hit / most:.1f} %){apart}")


def _rule_json(rule: Rule, used: Exercised, name: str) -> dict[str, Any]:
    return {
        "id": rule.id,
        "class": rule.cls,
        "source": rule.source,
        "text": rule.text,
        "since": list(rule.since),
        "until": list(rule.until),
        "values": [[list(release), value] for release, value in rule.values],
        "used": used.counts[name],
        "legs": used.on(name),
        "out_of_reach": used.out_of_reach(name),
    }


def _form_json(form: Form, used: Exercised, name: str) -> dict[str, Any]:
    return {
        "name": form.name,
        "syntax": form.syntax,
        "words": [f"{word:08x}" for word in form.words],
        "operands": [operand.name for operand in form.operands],
        "group": form.group,
        "cap": form.cap,
        "used": used.counts[name],
        "legs": used.on(name),
        "out_of_reach": used.out_of_reach(name),
    }


@dataclass(slots=True)
class _Checked:
    """What the suite showed so far; by leg, what it ran, and what of that was checked: a case of
    which the leg's machine has no instruction says only that it traps."""

    found: dict[tuple[str, str, str], list[SuiteResult]]
    runs: Counter[str]
    checked: Counter[str]
    unjudged: Counter[str]

    def add(self, result: SuiteResult, lacks: frozenset[str]) -> None:
        self.runs[result.leg] += 1
        self.checked[result.leg] += any(FORMS[f].cap not in lacks for f in result.tested.forms)
        self.unjudged[result.leg] += bool(result.unjudged)
        if result.diverged:
            key = result.leg, result.diverged.rule, _kind(result)
            self.found.setdefault(key, []).append(result)


def _check(
    tests: Callable[[float], Iterator[SuiteCase]],
    forms: Sequence[Form],
    vqs: Sequence[int],
    names: Sequence[str],
    strict: bool,
    as_json: bool,
) -> int:
    checked = _Checked({}, Counter(), Counter(), Counter())
    opened: list[Target] = []
    try:
        opened = open_legs(names)
        lacks = {leg.name: leg.profile.lacks for leg in opened}
        knowledge = NOTHING if strict else Knowledge.shipped()
        share = el2.SHARE_IF_ALL if el2.all_have([leg.profile for leg in opened]) else 0
        for result in run_suite(tests(share), Everywhere(opened, knowledge)):
            checked.add(result, lacks[result.leg])
    finally:
        for leg in opened:
            leg.close()
        if opened:  # whatever ended it, what was seen until then is told
            _tell_checked(checked, len(forms), as_json)
    idle = [leg for leg in opened if not checked.checked[leg.name]]
    for leg in idle:
        why = _why_idle(leg.profile, forms, vqs)
        click.echo(f"{leg.name}: nothing was checked: {why}", err=True)
    if checked.found:
        return Exit.DIVERGENCE
    return Exit.UNAVAILABLE if idle else Exit.OK


def _why_idle(machine: Profile, forms: Sequence[Form], vqs: Sequence[int]) -> str:
    if not any(machine.vqs >> vq - 1 & 1 for vq in vqs):
        lengths = ", ".join(str(128 * vq) for vq in vqs)
        return f"its machine has no vector length of {lengths} bits"
    caps = sorted({form.cap for form in forms} & machine.lacks)
    return f"its machine lacks {', '.join(caps)}" if caps else "none of these forms runs by itself"


def _tell_checked(checked: _Checked, forms: int, as_json: bool) -> None:
    found = checked.found
    if as_json:
        click.echo(json.dumps([_found_json(key, seen) for key, seen in found.items()], indent=2))
        return
    for (name, rule, _), results in sorted(found.items()):
        diverged = results[0].diverged
        assert diverged
        click.echo(f"{name}: {rule} ({len(results)} times): {diverged.explanation}")
    for name, count in checked.runs.items():
        click.echo(
            f"{name}: {count} cases of {forms} forms, "
            f"{len([k for k in found if k[0] == name])} kinds of divergence, "
            f"{checked.unjudged[name]} cases not judged to their end"
        )


def _kind(result: SuiteResult) -> str:
    """What is wrong: the tail of a V register, a trap, or a result."""
    diverged = result.diverged
    assert diverged
    if diverged.label in ("mmio address", "errno", "esr_el1", "elr_el1", "ending"):
        return "stop"
    if diverged.label.startswith("z") and is_tail(diverged.wrong):
        return "tail"
    return "fpsr" if diverged.label == "fpsr" else "result"


def _found_json(key: tuple[str, str, str], results: Sequence[SuiteResult]) -> dict[str, Any]:
    leg, rule, kind = key
    diverged = results[0].diverged
    assert diverged
    smallest = min(results, key=lambda r: len(r.tested.case.encoded))
    return {
        "leg": leg,
        "rule": rule,
        "kind": kind,
        "times": len(results),
        "forms": sorted({form for r in results for form in r.tested.forms}),
        "explanation": diverged.explanation,
        "case": smallest.tested.case.encoded.hex(),
    }
