"""Drawing defects, and proving that each can be seen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

from corpus.case import Case
from corpus.isa.form import Form
from corpus.ops import HostRun, Op, Run
from fuzz.bench.corners.executing import WrongResult, draw_wrong_result, wrongly
from fuzz.bench.corners.guards import Predicate, draw_predicates
from fuzz.bench.corners.outcomes import Before, Context, Wrong, draw_wrong
from fuzz.bench.corners.sites import CALLS, FAILURES, Site, instruction
from fuzz.bench.corners.watched import Moment, Watched, moment_of
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.cpu import Cpu
from targets.spec.permitted import Permitted
from targets.spec.semantics.registry import SEMANTICS

MOST = 4
"""Predicates of a guard, at most; the first is the op and the class of its fields."""


@dataclass(frozen=True, slots=True)
class Corner:
    """A defect: at `site`, where all `predicates` hold, `wrong` happens. `witness` shows it."""

    index: int
    site: Site
    predicates: tuple[Predicate, ...]
    wrong: Wrong | WrongResult
    witness: Case

    @property
    def size(self) -> int:
        """How many predicates its guard has."""
        return 1 + len(self.predicates)

    @property
    def about(self) -> str:
        """In words."""
        return f"{' and '.join((self.site.about, *(p.about for p in self.predicates)))}"

    @property
    def families(self) -> tuple[str, ...]:
        """What the predicates are about, without numbers."""
        return (self.site.about, *(p.family for p in self.predicates))

    def open(self, profile: Profile) -> Target:
        """The leg that has the defect."""
        return ModelTarget(profile, f"corner:{self.index}", make=partial(Cornered, self))


def holds(predicates: Sequence[Predicate], moment: Moment) -> bool:
    """Whether all of them do."""
    return all(predicate.holds(moment) for predicate in predicates)


def form_of(corner: Corner, op: Op) -> Form | None:
    """The instruction form at which a defect shows, if `op` has the guest execute it."""
    form = corner.site.form
    if form is None or not isinstance(op, Run | HostRun):
        return None
    return form if any(insn.form.name == form.name for insn in op.program) else None


class Cornered(Watched):
    """The specification with one corner wrong."""

    def __init__(self, corner: Corner, profile: Profile) -> None:
        super().__init__(profile)
        self._corner = corner

    def step(self, op: Op) -> Permitted:
        corner = self._corner
        form = form_of(corner, op)
        if form:
            right = SEMANTICS[form.name]
            assert isinstance(corner.wrong, WrongResult)
            wrong = wrongly(right, corner.wrong, partial(self._at_instruction, op))
            with patch.dict(SEMANTICS, {form.name: wrong}):
                return super().step(op)
        site = corner.site
        if site.form or not isinstance(op, site.kind) or not site.matches(op):
            return super().step(op)
        moment = moment_of(self, op)
        if not holds(corner.predicates, moment):
            return super().step(op)
        before = Before.of(moment.vcpu) if moment.vcpu else None
        permitted = super().step(op)
        if not site.fits(permitted):
            return permitted
        assert isinstance(corner.wrong, Wrong)
        vcpu = self.vm.vcpus.get(getattr(op, "to", getattr(op, "vcpu", 0)))
        return corner.wrong.change(Context(self, moment, vcpu, before), permitted)

    def _at_instruction(self, op: Op, cpu: Cpu, number: int | None) -> bool:
        length = cpu.vl if cpu.loaded else 0
        return holds(self._corner.predicates, Moment(self, op, cpu.vcpu, number, length))


def diverges(corner: Corner, case: Case, profile: Profile) -> bool:
    """Whether the model tells the defect from the specification by `case`."""
    trace = corner.open(profile).run(case)
    return isinstance(judge(case, trace, profile), Diverge)


def _case(site: Site, predicates: Sequence[Predicate], without: Predicate | None = None) -> Case:
    recipe = site.recipe()
    for predicate in predicates:
        if predicate is without:
            predicate.deny(recipe)
    for predicate in predicates:
        if predicate is not without:
            predicate.provide(recipe)
    return recipe.case()


def _site(rng: random.Random) -> Site:
    roll = rng.random()
    if roll < 0.3:
        return instruction(rng)
    return rng.choice(FAILURES if roll < 0.55 else CALLS)


def _candidate(rng: random.Random, index: int, size: int, profile: Profile) -> Corner | None:
    """A drawn defect, if its witness shows it, and none of its predicates is idle: the case
    without what brings one about must not show it."""
    site = _site(rng)
    predicates = tuple(draw_predicates(rng, size - 1, site.registers, site.faults))
    wrong = draw_wrong_result(rng) if site.form else draw_wrong(rng, site.wrongs)
    corner = Corner(index, site, predicates, wrong, _case(site, predicates))
    if not diverges(corner, corner.witness, profile):
        return None
    for idle in predicates:
        if diverges(corner, _case(site, predicates, idle), profile):
            return None
    return corner


def draw(seed: int, index: int, profile: Profile) -> Corner:
    """Defect number `index` of `seed`, the same whatever else is drawn."""
    size = index % MOST + 1
    rng = random.Random(f"{seed}/{index}")
    while True:
        corner = _candidate(rng, index, size, profile)
        if corner:
            return corner


def draw_all(seed: int, count: int, profile: Profile) -> Iterator[Corner]:
    """The first `count` defects of `seed`: 1, 2, 3 and 4 predicates in turn."""
    return (draw(seed, index, profile) for index in range(count))
