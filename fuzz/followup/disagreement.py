"""Twins did not do the same where the specification says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from corpus.case import Case
from fuzz.followup.suspicion import CONFIRM_RUNS, Confirmed, Dropped, Shown, Suspicion
from fuzz.oracle import agreement
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.verdict import Diverge


class Disagreement(Suspicion):
    """`suspects`: the verdicts of those in question, by name. Only what is the same each time
    counts: else the difference says nothing."""

    oracle = agreement.ORACLE
    twins = True

    def __init__(self, case: Case, suspects: Mapping[str, Diverge]) -> None:
        name, verdict = next(iter(suspects.items()))
        super().__init__(case, name, verdict)
        self.suspects = suspects

    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        for leg in legs.legs:
            leg.restart()
        shown = self.steady(legs)
        if shown is None:
            # One that is not steady is not looked at without end: most of its kind are like it.
            names = ", ".join(self.suspects)
            return Dropped(f"{names}: differed, but not every time", harness=False)
        return Confirmed(shown, CONFIRM_RUNS, CONFIRM_RUNS)

    def steady(self, legs: Everywhere) -> Shown | None:
        """What the legs did, if they differ in just this way each time. Raises
        TransportError."""
        seen: Seen | None = None
        for _ in range(CONFIRM_RUNS):
            seen = legs.look(self.case)
            if legs.compare(self.case, seen).suspects != self.suspects:
                return None
        assert seen is not None
        return Shown(self.case, self.verdict, seen.traces, {**seen.verdicts, **self.suspects})

    def shows(self, case: Case, legs: Everywhere) -> bool:
        return self._again(case, legs) is not None

    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        last = self._again(case, legs)
        return Disagreement(case, last).steady(legs) if last else None

    def deviating(self, shown: Shown) -> tuple[str, ...]:
        return tuple(sorted(self.suspects))

    def pattern(self, shown: Shown, legs: Everywhere) -> str:
        return ",".join(self.deviating(shown))  # each differs from others of its kind

    def _again(self, case: Case, legs: Everywhere) -> Mapping[str, Diverge] | None:
        """How those that have twins differ on another case; None if it is in another way."""
        alike = legs.only([name for group in legs.twins for name in group.names])
        suspects = alike.compare(case, alike.look(case)).suspects
        if suspects.keys() != self.suspects.keys():
            return None
        a, b = suspects[self.name], self.verdict
        return suspects if (a.op_word, a.label) == (b.op_word, b.label) else None


def steady_difference(case: Case, seen: Seen, legs: Everywhere) -> Mapping[str, Diverge]:
    """How twins differ on a case that ran once, if they do so each time. Raises
    TransportError."""
    suspects = legs.compare(case, seen).suspects
    return suspects if suspects and Disagreement(case, suspects).steady(legs) else {}
