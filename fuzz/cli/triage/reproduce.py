"""A finding as a C program: written, compiled, and run in the lab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import click

from corpus.trace import Trace
from db.records import FindingView, LegRecord
from db.store import Store
from fuzz.cli.errors import Exit, UserError
from fuzz.cli.options import resolve_legs
from fuzz.reproduce import tried as lab
from fuzz.reproduce.expect import Unsayable
from fuzz.reproduce.finding import Reproducer, deviating_kvm, reproducer
from fuzz.reproduce.strace import strace
from fuzz.reproduce.tried import Outcome, Tried
from targets.catalogue import State, offers
from targets.kvm.legname import parse

NESTED = "nested"
"""The mode that has a QEMU of its own."""
MOST_OTHERS = 4
"""Legs that are tried for one that agrees."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A finding with what is kept of the legs that saw it."""

    finding: FindingView
    legs: tuple[LegRecord, ...]
    traces: Mapping[str, Trace]
    passing: tuple[str, ...]
    """Legs on which its bucket's case passed when the matrix was made."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a program: its text, what to tell, and what to keep as a note."""

    code: Exit
    text: str
    told: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


def stored(url: str, number: int) -> Stored:
    """Finding F`number`. Raises StoreError."""
    with Store.read(url) as store:
        finding = store.finding(number)
        views = store.traces(number)
        taken = store.campaign(finding.campaign_id).legs
        cells = store.matrix(finding.bucket_id)
    legs = {leg.name: leg for leg in (*taken, *(view.leg for view in views))}
    return Stored(
        finding,
        tuple(legs.values()),
        {view.leg.name: view.trace for view in views},
        tuple(cell.leg for cell in cells if cell.outcome == "passes"),
    )


def made(found: Stored) -> Reproducer:
    """The program of a finding. Raises UserError where C cannot say it."""
    try:
        leg = deviating_kvm(found.finding, found.legs)
        return reproducer(found.finding, leg, found.traces.get(leg.name))
    except Unsayable as why:
        raise UserError(f"F{found.finding.id}: {why}", Exit.USAGE) from None


def system_calls(url: str, number: int) -> str:
    """The calls of a finding, with what a leg that deviates made of them."""
    found = stored(url, number)
    deviating = (name for name in found.finding.deviating if name in found.traces)
    name = next(deviating, "")
    trace = found.traces.get(name)
    heading = f"# F{number} on {name}\n" if name else f"# F{number}\n"
    return heading + strace(found.finding.minimal, trace)


def tried_program(url: str, number: int, legs: str | None, no_run: bool) -> Done:
    """The program of a finding, and whether it shows the finding where it is run. Raises
    UserError, TransportError."""
    wanted = () if legs is None else resolve_legs(legs, None)
    found = stored(url, number)
    program = made(found)
    if no_run:
        return Done(Exit.OK, program.text())
    tried = try_it(found, program, wanted)
    shows = lab.reproduces(tried, found.finding.deviating)
    said = sentence(found.finding, tried, shows)
    told = {
        "said": said,
        "reproduces": shows,
        "legs": {one.leg: {"outcome": one.outcome.value, "said": one.said} for one in tried},
    }
    return Done(Exit.OK if shows else Exit.UNAVAILABLE, program.text(tried), told, said)


def sentence(finding: FindingView, tried: Sequence[Tried], shows: bool) -> str:
    """How a program did, and what follows."""
    how = [
        f"{one.outcome.value} on {one.leg}" + (f" ({one.said})" if one.said else "")
        for one in tried
    ]
    end = "it reproduces" if shows else "that does not reproduce it"
    return f"F{finding.id} in C: {', '.join(how) or 'it could be run nowhere'}: {end}."


def try_it(found: Stored, program: Reproducer, wanted: Sequence[str]) -> list[Tried]:
    """Run the program on the legs that deviate, and on `wanted`, or on others until one agrees.
    Raises TransportError."""
    deviating = [leg for leg in found.finding.deviating if lab.can_run(leg)]
    if not deviating:
        raise UserError("no leg of the lab deviates: --no-run writes the program alone")
    binary = lab.built(program.text())
    tried = [_on(leg, binary) for leg in deviating]
    if wanted:
        return [*tried, *(_on(leg, binary) for leg in wanted if leg not in deviating)]
    for leg in _others(found, deviating):
        tried.append(_on(leg, binary))
        if tried[-1].outcome is Outcome.PASSES:
            break
    return tried


def _on(leg: str, binary: bytes) -> Tried:
    (one,) = lab.run({"program": binary}, leg)
    click.echo(f"{leg}: {one.outcome.value}", err=True)
    return one


def _others(found: Stored, deviating: Sequence[str]) -> Iterator[str]:
    """Legs that may agree: those that did, then those that this machine has, unlike ones
    first."""
    seen = [leg.name for leg in found.legs if leg.kind == "kvm" and leg.name in found.traces]
    here = [o.name for o in offers() if o.kind == "kvm" and o.state is State.READY]
    named = dict.fromkeys((*found.passing, *seen, *_unlike(here, deviating), *here))
    able = [name for name in named if name not in deviating and lab.can_run(name)]
    yield from able[:MOST_OTHERS]


def _unlike(names: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Of lab legs, one of each kernel and of each QEMU that none of the others has."""
    specs = [parse(name) for name in others]
    kernels = {spec.kernel for spec in specs}
    modes = {spec.mode == NESTED for spec in specs}
    for name in filter(lab.can_run, names):
        spec = parse(name)
        if spec.kernel not in kernels or (spec.mode == NESTED) not in modes:
            kernels.add(spec.kernel)
            modes.add(spec.mode == NESTED)
            yield name
