"""A stored finding run again: does it still show, and on which of all the legs?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from corpus.trace import Trace
from db.records import BucketView, CellRecord, FindingView, LegRecord, RetestRecord
from fuzz.followup.inquest import run_after
from fuzz.followup.same import is_it
from fuzz.oracle import agreement
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.verdict import Agree, Verdict
from targets.base import Ran, Target
from targets.transport import TransportError

SHOWS, PASSES, OTHER, UNJUDGED, ABSENT = "shows", "passes", "other", "unjudged", "absent"
"""What a leg does with a finding's case: the same divergence, nothing wrong, something else
that is wrong; or it is not judged that far, or could not be run."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One run on one leg; `said` tells what is wrong, or why it is not judged."""

    outcome: str
    said: str = ""


class Again:
    """A finding to be run again."""

    def __init__(self, finding: FindingView) -> None:
        self._finding = finding
        self._preceding = [Ran(earlier.case, earlier.shared) for earlier in finding.preceding]

    def run(self, legs: Sequence[Target]) -> dict[str, Tried]:
        """Once on each leg. What cannot be run is absent; a leg that breaks says so."""
        needed = self._finding.minimal.min_vq
        everywhere = Everywhere([leg for leg in legs if needed <= leg.profile.max_vq])
        traces, lost = self._traces(everywhere)
        present = everywhere.only(list(traces))
        verdicts: dict[str, Verdict] = present.judge(self._finding.minimal, traces)
        if self._finding.oracle == agreement.ORACLE:
            seen = Seen(traces, verdicts)
            verdicts |= present.compare(self._finding.minimal, seen).suspects
        tried = {name: self._tried(verdict) for name, verdict in verdicts.items()}
        short = {leg.name: Tried(ABSENT, f"needs vq>={needed}") for leg in legs}
        return {**short, **lost, **tried}  # in the order of the legs; what ran says more

    def _traces(self, legs: Everywhere) -> tuple[dict[str, Trace], dict[str, Tried]]:
        case = self._finding.minimal
        if not self._preceding:
            try:
                return legs.run(case), {}
            except TransportError:
                pass  # one after the other tells which it was
        traces: dict[str, Trace] = {}
        lost: dict[str, Tried] = {}
        for leg in legs.legs:
            try:
                traces[leg.name] = (
                    run_after(leg, self._preceding, case) if self._preceding else leg.run(case)
                )
            except TransportError as error:
                lost[leg.name] = Tried(ABSENT, str(error))
        return traces, lost

    def _tried(self, verdict: Verdict) -> Tried:
        if isinstance(verdict, Agree):
            # A finding of the other oracle lies where the model says nothing.
            silent = verdict.reason and self._finding.oracle != agreement.ORACLE
            if silent and verdict.judged <= self._finding.op_index:
                return Tried(UNJUDGED, verdict.reason)
            return Tried(PASSES)
        culprit = responsible(self._finding.minimal, verdict)
        same = is_it(self._finding, verdict.oracle, culprit, verdict.op_index)
        return Tried(SHOWS if same else OTHER, verdict.explanation)


def affected(bucket: BucketView) -> tuple[str, ...]:
    """The legs to run it again on: those that deviated, and with them, where legs are held
    against each other, the rest."""
    if bucket.signature.oracle == agreement.ORACLE:
        return tuple(leg for leg in bucket.votes if leg.startswith("kvm"))
    return tuple(leg for leg, vote in bucket.votes.items() if vote["deviated"])


def retest(
    again: Again, legs: Sequence[Target], times: int, missing: Mapping[str, str]
) -> list[RetestRecord]:
    """How often it shows on each leg. `missing`: legs that could not be had, and why."""
    tries: dict[str, list[Tried]] = {leg.name: [] for leg in legs}
    for _ in range(times):
        for name, tried in again.run(legs).items():
            tries[name].append(tried)
    records = {leg.name: LegRecord(leg.name, leg.kind, dict(leg.fingerprint)) for leg in legs}
    return [
        *(_retested(name, runs, records[name]) for name, runs in tries.items()),
        *(RetestRecord(name, 0, 0, why) for name, why in missing.items()),
    ]


def _retested(name: str, runs: Sequence[Tried], leg: LegRecord) -> RetestRecord:
    ran = [one for one in runs if one.outcome != ABSENT]
    shows = sum(one.outcome == SHOWS for one in ran)
    others = Counter(one.said for one in runs if one.outcome not in (SHOWS, PASSES))
    said = max(others, key=others.__getitem__, default="")
    # What does something else that is wrong does not get as far: that is no pass.
    judged = all(one.outcome in (SHOWS, PASSES) for one in ran)
    return RetestRecord(name, shows, len(ran), said, leg, judged)


def matrix(
    again: Again, legs: Sequence[Target], missing: Mapping[str, str]
) -> Iterator[CellRecord]:
    """How each leg does, run once."""
    for name, tried in again.run(legs).items():
        leg = next(leg for leg in legs if leg.name == name)
        record = LegRecord(leg.name, leg.kind, dict(leg.fingerprint))
        yield CellRecord(name, tried.outcome, tried.said, record)
    for name, why in missing.items():
        yield CellRecord(name, ABSENT, why)
