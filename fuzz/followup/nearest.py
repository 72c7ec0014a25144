"""Which functions of the kernel a finding's case executes, and its nearest neighbour that agrees
does not: a hint at the place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from corpus.case import Case
from corpus.domain import Domain
from corpus.opfields import fields_of, simpler_op
from corpus.ops import Init
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.base import Target
from targets.codemap import Function
from targets.profile import Profile

SHARED: dict[str, Domain[Any]] = {f.name: f.domain for f in fields_of(Init) if f.name == "features"}
"""Fields that ops of one VM have to agree on."""
MOST = 40
"""Neighbours that are run."""
PATIENCE_S = 90.0
"""After so long no more neighbours are run: where it shows, each may cost a machine."""
TURNS = 3
"""Runs of a case: what interrupts execute is not in all of them."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What only the case executes: `functions`, and the number of `blocks` of those that both
    enter, by name. `neighbour`: the case that was compared with."""

    neighbour: Case
    functions: tuple[Function, ...]
    blocks: tuple[tuple[str, int], ...]


def neighbours(case: Case) -> Iterator[Case]:
    """The same case with something simpler that several ops say alike, with one simpler op, or
    with one op less."""
    yield from _together(case)
    for at, op in enumerate(case.ops):
        for other in simpler_op(op):
            yield Case((*case.ops[:at], other, *case.ops[at + 1 :]), case.min_vq)
    for at in reversed(range(len(case.ops))):
        yield Case((*case.ops[:at], *case.ops[at + 1 :]), case.min_vq)


def _together(case: Case) -> Iterator[Case]:
    """Fields that several ops have with the same value, such as INIT's features, which have to
    be those of the VM."""
    said: dict[tuple[str, Any], int] = {}
    for op in case.ops:
        for f in fields_of(type(op)):
            key = f.name, getattr(op, f.name)
            said[key] = said.get(key, 0) + (f.name in SHARED)
    for (name, value), times in said.items():
        if times < 2:
            continue
        domain = SHARED[name]
        for other in domain.simpler(value):
            ops = [
                replace(op, **{name: other}) if getattr(op, name, None) == value else op
                for op in case.ops
            ]
            yield Case(tuple(ops), case.min_vq)


def hint(case: Case, leg: Target, profile: Profile) -> Hint | None:
    """Run the case and its neighbours on a leg that records coverage, and compare; None where
    no neighbour agrees. Raises TransportError."""
    mine = frozenset.intersection(*_runs(case, leg))
    best: tuple[int, Case, frozenset[int]] | None = None
    until = time.monotonic() + PATIENCE_S
    for tried, other in enumerate(neighbours(case)):
        if tried == MOST or time.monotonic() > until:
            break
        verdict = judge(other, leg.run(other), profile)
        if not isinstance(verdict, Agree) or verdict.reason:
            continue
        theirs = frozenset.union(*_runs(other, leg))
        left = len(mine - theirs)
        if best is None or left < best[0]:
            best = left, other, mine - theirs
    if best is None or leg.code is None:
        return None
    _, neighbour, only = best
    inside: dict[Function, set[int]] = {}
    for block in only:
        function = leg.code.function_at(block)
        if function is not None:
            inside.setdefault(function, set()).add(block)
    entered = {f for f in inside if f.offset in only}
    shared = [(f.name, len(blocks)) for f, blocks in inside.items() if f not in entered]
    return Hint(neighbour, tuple(sorted(entered)), tuple(sorted(shared)))


def _runs(case: Case, leg: Target) -> Iterator[frozenset[int]]:
    """Blocks that each of some runs of a case executes."""
    for _ in range(TURNS):
        leg.run(case)
        yield frozenset(leg.blocks)
