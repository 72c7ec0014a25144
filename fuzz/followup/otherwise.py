"""A leg does not do the same when a case is told otherwise (`fuzz.oracle.selfsame`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from corpus.case import Case
from fuzz.followup.suspicion import CONFIRM_RUNS, Confirmed, Dropped, Shown, Suspicion
from fuzz.oracle import selfsame
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.base import Target

RUNS = 200
"""Runs of a minimiser that each cost several."""


class Otherwise(Suspicion):
    """Only what is the same each time counts, of either telling: else the leg is merely free,
    and says nothing of the order of things."""

    oracle = selfsame.ORACLE

    @property
    def runs(self) -> int:
        return RUNS

    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        shown = self.settle(self.case, legs)
        if shown is None:
            return Dropped("differed from itself, but not every time", harness=False)
        return Confirmed(shown, CONFIRM_RUNS, CONFIRM_RUNS)

    def shows(self, case: Case, legs: Everywhere) -> bool:
        return self._once(case, legs) is not None

    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        first, *others = [self._once(case, legs) for _ in range(CONFIRM_RUNS)]
        if first is None or any(one is None or one.told != first.told for one in others):
            return None
        seen = legs.look(case)
        return Shown(case, first, seen.traces, {**seen.verdicts, self.name: first})

    def _once(self, case: Case, legs: Everywhere) -> Diverge | None:
        found = differences(case, legs.leg(self.name))
        return next((one for one in found if alike(one, self.verdict)), None)


def differences(case: Case, leg: Target) -> Iterator[Diverge]:
    """How a leg differs from itself on a case, in every way of telling it that was tried once.
    Raises TransportError."""
    trace = leg.run(case)
    for retold in selfsame.retellings(case, trace):
        found = selfsame.compare(case, trace, retold, leg.run(retold.case))
        if found:
            yield found
