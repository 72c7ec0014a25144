"""From a divergence that was seen once to a finding: confirmed, minimised, described."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from corpus.case import Case
from corpus.trace import Ending, Trace
from db.records import Earlier, FindingRecord
from fuzz.followup.confirm import (
    compared,
    confirm,
    confirm_difference,
    judge_all,
    pattern_of,
    run_everywhere,
    same_kind,
)
from fuzz.followup.inquest import SECONDS, inquire
from fuzz.followup.minimise import Minimizer
from fuzz.followup.signature import signature
from fuzz.oracle.conformance import judge
from fuzz.oracle.faults import HANG
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Diverge, Verdict
from targets.base import Ran, Target
from targets.transport import TransportError

MINIMIZE_RUNS = 600
FAULT_RUNS = 60
"""Runs of a minimiser that each cost a restart."""


class Investigator:
    """Follows divergences up on `legs`; `note` gets a line for people now and then. From `end`
    on, a moment of the monotonic clock, the little that has to be done is all that is."""

    def __init__(
        self, legs: Sequence[Target], note: Callable[[str], None], minimize_seconds: float
    ) -> None:
        self._legs, self._note, self._minimize_seconds = legs, note, minimize_seconds
        self.end = float("inf")

    def divergence(self, case: Case, leg: Target, verdict: Diverge) -> FindingRecord | None:
        """What is wrong with `leg`; None if it never shows again. Raises TransportError."""
        confirmed = confirm(case, leg, verdict, self._legs)
        if not confirmed.seen:
            return None
        minimal = self._minimized(case, leg, confirmed.verdict)
        traces = run_everywhere(minimal, self._legs)
        verdicts = judge_all(minimal, traces, self._legs)
        last = verdicts[leg.name]
        if not isinstance(last, Diverge):
            minimal, traces, verdicts = case, confirmed.traces, confirmed.verdicts
            last = confirmed.verdict
        found = (confirmed.seen, confirmed.tried)
        return _record(minimal, case, leg, last, verdicts, traces, found)

    def difference(self, case: Case, first: Mapping[str, Diverge]) -> FindingRecord | None:
        """How twins differ where the model says nothing; None if that is not always so.
        `first`: the verdicts of those in question. Raises TransportError."""
        confirmed = confirm_difference(case, first, self._legs)
        if not confirmed.steady:
            return None
        name, verdict = next(iter(first.items()))
        leg = next(leg for leg in self._legs if leg.name == name)
        groups = twins(self._legs)
        alike = [leg for leg in self._legs if any(leg.name in group.names for group in groups)]

        def still(candidate: Case) -> Mapping[str, Diverge]:
            traces = run_everywhere(candidate, alike)
            verdicts = judge_all(candidate, traces, alike)
            suspects = compared(candidate, traces, verdicts, alike).suspects
            same = suspects.keys() == first.keys() and same_kind(suspects[name], verdict)
            return suspects if same else {}

        minimal, last = self._minimal(case, leg.name, lambda smaller: bool(still(smaller))), first
        if minimal is not case:
            last = still(minimal)
            again = confirm_difference(minimal, last, self._legs, restart=False)
            if last and again.steady:
                confirmed = again
            else:
                minimal, last = case, first
        found = (confirmed.seen, confirmed.tried)
        verdicts, traces = confirmed.verdicts, confirmed.traces
        return _record(minimal, case, leg, last[name], verdicts, traces, found)

    def fault(
        self, case: Case, leg: Target, verdict: Diverge, trace: Trace, preceding: Sequence[Ran]
    ) -> FindingRecord | None:
        """Why `leg` ended badly; None if that never shows again and was no doing of the
        machine under test, or a mere hang, which a busy neighbour can cause. What the machine
        itself said is always a finding. `preceding`: what it had run before. Raises
        TransportError."""
        fault = verdict.fault
        assert fault is not None
        left = min(SECONDS, max(0.0, self.end - time.monotonic()))
        found = inquire(leg, case, trace, preceding, left)
        if not found.seen and (not fault.of_guest or fault.kind == HANG):
            self._note(f"{leg.name}: {fault}: did not show again in {found.tried} tries")
            return None
        self._note(
            f"{leg.name}: {fault}: reproduced {found.seen} of {found.tried}"
            + (f", after {len(found.preceding)} other cases" if found.preceding else "")
        )
        minimal, last, shown = case, verdict, found.trace
        if found.seen and not found.preceding:
            smaller = self._minimized(case, leg, verdict)
            if smaller is not case:
                again = leg.run(smaller)
                latest = judge(smaller, again, leg.profile)
                if isinstance(latest, Diverge) and same_kind(latest, verdict):
                    minimal, last, shown = smaller, latest, again
        others = [other for other in self._legs if other is not leg]
        traces = {**run_everywhere(minimal, others), leg.name: shown}
        verdicts = {**judge_all(minimal, traces, others), leg.name: last}
        record = _record(minimal, case, leg, last, verdicts, traces, (found.seen, found.tried))
        earlier = tuple(Earlier(ran.case, ran.shared) for ran in found.preceding)
        return replace(record, preceding=earlier)

    def recorded(self, case: Case, leg: Target, verdict: Diverge) -> FindingRecord:
        """A kept case that diverges on `leg` as it is known to. Raises TransportError."""
        traces = run_everywhere(case, self._legs)
        verdicts: dict[str, Verdict] = {
            other.name: judge(case, traces[other.name], replace(other.profile, defects={}))
            for other in self._legs
        }
        return _record(case, case, leg, verdict, verdicts, traces, (1, 1))

    def _minimized(self, case: Case, leg: Target, verdict: Diverge) -> Case:
        slow = verdict.observed in (Ending.CRASH.value, Ending.HANG.value)

        def still(candidate: Case) -> bool:
            return same_kind(judge(candidate, leg.run(candidate), leg.profile), verdict)

        return self._minimal(case, leg.name, still, FAULT_RUNS if slow else MINIMIZE_RUNS)

    def _minimal(
        self, case: Case, name: str, shows: Callable[[Case], bool], runs: int = MINIMIZE_RUNS
    ) -> Case:
        """The smallest case found that still `shows` it."""
        started = time.monotonic()

        def still(candidate: Case) -> bool:
            try:
                return shows(candidate)
            except TransportError:
                return False

        left = max(0.0, self.end + self._minimize_seconds - started)
        minimizer = Minimizer(still, runs, min(self._minimize_seconds, left))
        minimal = minimizer.minimize(case)
        spent = time.monotonic() - started
        self._note(
            f"{name}: minimised {len(case.ops)} to {len(minimal.ops)} ops "
            f"in {minimizer.runs} runs, {spent:.1f} s"
        )
        return minimal


def _record(
    minimal: Case,
    original: Case,
    leg: Target,
    verdict: Diverge,
    verdicts: dict[str, Verdict],
    traces: Mapping[str, Trace],
    reproduced: tuple[int, int],
) -> FindingRecord:
    deviating = tuple(sorted(n for n, v in verdicts.items() if isinstance(v, Diverge)))
    return FindingRecord(
        signature=signature(minimal, verdict, pattern_of(verdicts) or leg.name, leg.profile),
        minimal=minimal,
        original=original,
        strict=verdict.strict,
        op_index=verdict.op_index,
        expected=verdict.expected,
        observed=verdict.observed,
        explanation=verdict.told or f"{leg.name}: {verdict.explanation}",
        reproduced=reproduced,
        deviating=deviating or (leg.name,),
        traces=traces,
    )
