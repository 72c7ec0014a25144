"""Many hunts in one: a leg that runs the specification, and beside it each defect that a
case comes to.

As long as a defect was not seen, its leg does what the specification does, so the search
that `--legs model,mutant` makes for it is, case for case, the one that it makes for any other
with the same seed. One search therefore hunts all of them, and tells of each after how many
cases a search of its own would have found it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from corpus.case import Case
from corpus.isa.form import Form
from corpus.ops import HostRun, Op, Run
from fuzz.bench.corners.draw import Corner, holds
from fuzz.bench.corners.watched import Watched, moment_of
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Permitted


class Lookout:
    """The defects still hunted, by what they show at."""

    def __init__(self, corners: Sequence[Corner]) -> None:
        self._calls: dict[type[Op], list[Corner]] = {}
        self._forms: dict[str, list[Corner]] = {}
        for corner in corners:
            form = corner.site.form
            group = self._forms.setdefault(form.name, []) if form else self._by_call(corner)
            group.append(corner)

    def _by_call(self, corner: Corner) -> list[Corner]:
        return self._calls.setdefault(corner.site.kind, [])

    def at_call(self, op: Op) -> Sequence[Corner]:
        """Those that may show at a call."""
        return self._calls.get(type(op), ())

    def at_form(self, form: Form) -> Sequence[Corner]:
        """Those that may show at an instruction."""
        return self._forms.get(form.name, ())

    def drop(self, corner: Corner) -> None:
        """It was found."""
        for group in (*self._calls.values(), *self._forms.values()):
            if corner in group:
                group.remove(corner)


class Looking(Watched):
    """The specification; `near` are the defects whose guards may have held."""

    def __init__(self, lookout: Lookout, profile: Profile) -> None:
        super().__init__(profile)
        self._lookout = lookout
        self.near: dict[int, Corner] = {}

    def step(self, op: Op) -> Permitted:
        if isinstance(op, Run | HostRun):
            for insn in op.program:
                # What guards ask of an instruction may change before it: no more is known.
                self.near.update((c.index, c) for c in self._lookout.at_form(insn.form))
        calls = self._lookout.at_call(op)
        guarded = [c for c in calls if c.index not in self.near and c.site.matches(op)]
        if not guarded:
            return super().step(op)
        moment = moment_of(self, op)
        meant = [corner for corner in guarded if holds(corner.predicates, moment)]
        permitted = super().step(op)
        self.near.update((c.index, c) for c in meant if c.site.fits(permitted))
        return permitted


class HuntingLeg(ModelTarget):
    """The specification as a leg; `found` is told of each defect, and after how many cases."""

    kind = "mutant"

    def __init__(
        self,
        corners: Sequence[Corner],
        profile: Profile,
        found: Callable[[Corner, int, Case], None],
    ) -> None:
        super().__init__(profile, "mutant:corners", make=self._new)
        self._lookout = Lookout(corners)
        self._left = {corner.index for corner in corners}
        self._legs: dict[int, Target] = {}
        self._found = found
        self._model: Looking | None = None
        self._others: dict[int, Target] = {}

    @property
    def left(self) -> int:
        """Defects not yet found."""
        return len(self._left) + len(self._others)

    def hunt_too(self, legs: Mapping[int, Target], found: Callable[[int, int, Case], None]) -> None:
        """Run every case on these legs as well, each until it diverges."""
        self._others, self._found_other = dict(legs), found

    def _new(self, profile: Profile) -> Model:
        self._model = Looking(self._lookout, profile)
        return self._model

    def submit(self, case: Case) -> int:
        ticket = super().submit(case)
        assert self._model is not None
        for corner in list(self._model.near.values()):
            if self._shows(corner, case, ticket):
                self._left.discard(corner.index)
                self._lookout.drop(corner)
                self._found(corner, self.executions, case)
        for index, leg in list(self._others.items()):
            if self._differs(leg, case, ticket):
                del self._others[index]
                self._found_other(index, self.executions, case)
        return ticket

    def _shows(self, corner: Corner, case: Case, ticket: int) -> bool:
        leg = self._legs.get(corner.index)
        if leg is None:
            leg = self._legs[corner.index] = corner.open(self.profile)
        return self._differs(leg, case, ticket)

    def _differs(self, leg: Target, case: Case, ticket: int) -> bool:
        trace = leg.run(case)
        if trace == self._traces[ticket]:
            return False
        return isinstance(judge(case, trace, self.profile), Diverge)


def mutant_legs() -> list[str]:
    """The mutants that the default machine can show, by name."""
    return [f"mutant:{name}" for name in sorted(MUTANTS) if not MUTANTS[name].el2]
