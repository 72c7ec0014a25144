"""A leg's machine broke, complained or hung."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.trace import Ending, Trace
from fuzz.followup.inquest import inquire
from fuzz.followup.suspicion import Confirmed, Dropped, Shown, Suspicion, runs_of, showings
from fuzz.oracle.attribution import alike
from fuzz.oracle.conformance import ENDING
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge, Verdict
from targets.base import Ran

FAULT_RUNS = 200
"""Runs of a minimiser that each cost a restart if they show it; most of them do not."""
FRESH_RUNS = 60
"""Runs that each cost a restart."""


class Breakage(Suspicion):
    """`preceding`: what the machine had run before, oldest first, which may be why."""

    oracle = ENDING

    def __init__(
        self, case: Case, name: str, verdict: Diverge, trace: Trace, preceding: Sequence[Ran] = ()
    ) -> None:
        super().__init__(case, name, verdict)
        self._trace, self._preceding = trace, preceding
        self._once_per_boot = False
        """It shows in a fresh machine alone, as what a kernel warns of once does."""

    @property
    def _fault(self) -> Fault:
        assert self.verdict.fault is not None
        return self.verdict.fault

    @property
    def kind(self) -> Hashable:
        # One case may break several machines, each in its own way.
        return super().kind, self.name

    @property
    def runs(self) -> int:
        if self._once_per_boot:
            return FRESH_RUNS
        return super().runs if self._trace.ending is Ending.HOST_LOG else FAULT_RUNS

    @property
    def restarts(self) -> bool:
        return True

    def at(self, shown: Shown) -> Suspicion:
        other = Breakage(shown.case, self.name, shown.verdict, self._trace, self._preceding)
        other.cause, other._once_per_boot = self.cause, self._once_per_boot
        return other

    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        """What the machine itself said is always a finding. What never shows again and was no
        doing of the machine, or a mere hang, which a busy neighbour can cause, is none."""
        fault = self._fault
        found = inquire(legs.leg(self.name), self.case, self._trace, self._preceding, seconds)
        if not found.seen and (not fault.of_guest or fault.kind is FaultKind.HANG):
            return Dropped(f"{fault}: did not show again in {found.tried} tries")
        after = f", after {len(found.preceding)} other cases" if found.preceding else ""
        note(f"{self.name}: {fault}: reproduced {found.seen} of {found.tried}{after}")
        if found.seen and not found.preceding and self._trace.ending is Ending.HOST_LOG:
            self._once_per_boot = not self.shows(self.case, legs)
        shown = self._beside(self.case, self.verdict, found.trace, legs)
        return Confirmed(shown, found.seen, found.tried, found.preceding)

    def shows(self, case: Case, legs: Everywhere) -> bool:
        return showings(case, lambda: alike(self._once(case, legs)[0], self.verdict))

    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        again = self._again(case, legs)
        return self._beside(case, *again, legs) if again else None

    def _again(self, case: Case, legs: Everywhere) -> tuple[Diverge, Trace] | None:
        """The same break of another case, if it shows."""
        for _ in range(runs_of(case)):
            last, trace = self._once(case, legs)
            if alike(last, self.verdict):
                return last, trace
        return None

    def _once(self, case: Case, legs: Everywhere) -> tuple[Verdict, Trace]:
        leg = legs.leg(self.name)
        if self._once_per_boot:
            leg.restart()
        trace = leg.run(case)
        return legs.judge_one(case, self.name, trace), trace

    def _beside(self, case: Case, verdict: Diverge, trace: Trace, legs: Everywhere) -> Shown:
        """What the other legs do, beside what broke this one: it is not broken once more."""
        others = legs.only([leg.name for leg in legs.legs if leg.name != self.name]).look(case)
        traces = {**others.traces, self.name: trace}
        return Shown(case, verdict, traces, {**others.verdicts, self.name: verdict})
