"""From a divergence that was seen once to a finding: confirmed, minimised, described."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from corpus.blocks import has_block
from corpus.case import Case
from db.records import Earlier, FindingRecord, SignatureRecord
from fuzz.followup.inquest import SECONDS
from fuzz.followup.minimise import Minimizer, backwards
from fuzz.followup.steady import StandIns, Steadied, no_stand_ins, often, steadied
from fuzz.followup.suspicion import Confirmed, Departure, Dropped, Shown, Suspicion
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge, Verdict
from targets.model.target import is_avoided
from targets.transport import TransportError

BOOTS = 20
"""Where each showing costs a machine, minimising may take as long as so many of them do to start:
from 64 ops to 4 it takes some ten showings."""
LONGEST_S = 240.0
"""And no longer."""
TRACINGS = 3
"""How often a cause is looked for anew in what was minimised, at most."""


class Investigator:
    """Follows suspicions up on `legs`; `note` gets a line for people now and then. What is chance
    is made small on a leg that `stand_ins` knows. From `end` on, a moment of the monotonic clock,
    the little that has to be done is all that is."""

    def __init__(
        self,
        legs: Everywhere,
        note: Callable[[str], None],
        minimize_seconds: float,
        enough: Callable[[SignatureRecord], bool] = lambda _: False,
        stand_ins: StandIns = no_stand_ins,
    ) -> None:
        self._legs, self._note, self._minimize_seconds = legs, note, minimize_seconds
        self._enough, self._stand_ins = enough, stand_ins
        self.end = float("inf")

    def follow(self, suspicion: Suspicion) -> FindingRecord | SignatureRecord | Dropped:
        """What there is to a suspicion; no more than its bucket, where `enough` of that are
        known. Raises TransportError."""
        left = min(SECONDS, max(0.0, self.end - time.monotonic()))
        confirmed = suspicion.confirm(self._legs, self._note, left)
        if isinstance(confirmed, Dropped):
            return confirmed
        original, shown = suspicion.case, confirmed.shown
        steady: Steadied | None = None
        if not confirmed.seen:
            rare = self._rare(suspicion, confirmed)
            return rare or record(suspicion, confirmed, original, self._legs)
        if not confirmed.preceding:
            traced = suspicion.traced(self._legs)
            earlier = traced.settle(traced.case, self._legs) if traced is not suspicion else None
            if earlier:
                suspicion, shown = traced, earlier
            bucket = suspicion.signature(shown, self._legs)
            if self._enough(bucket):
                return bucket
            if self._breaks_as_known(suspicion.name, shown):
                return record(suspicion, replace(confirmed, shown=shown), original, self._legs)
            steady = self._steadied(suspicion)
            small = bool(steady and steady.shown)
            if steady and steady.shown:
                suspicion, shown = steady.suspicion.at(steady.shown), steady.shown
            suspicion, shown = self._settled(suspicion, shown, small)
            if suspicion.signature(shown, self._legs) != bucket:
                bucket = suspicion.signature(shown, self._legs)
                if self._enough(bucket):
                    return bucket
        found = record(suspicion, replace(confirmed, shown=shown), original, self._legs)
        return self._told(found, steady) if steady else found

    def recorded(self, case: Case, name: str, verdict: Diverge) -> FindingRecord:
        """A kept case that diverges on the leg `name` as it is known to. What other legs do
        wrong there counts if it is recorded of them, too. Raises TransportError."""
        as_is = self._legs.as_is()
        seen = as_is.look(case)
        known = {n: v for n, v in seen.verdicts.items() if self._is_known(n, case, v)}
        shown = Shown(case, verdict, seen.traces, {**known, name: verdict})
        return record(Departure(case, name, verdict), Confirmed(shown, 1, 1), case, as_is)

    def _breaks_as_known(self, name: str, shown: Shown) -> bool:
        """Whether a machine broke as it is recorded to, of which there is a small case."""
        if not (shown.verdict.fault and shown.verdict.fault.named):
            return False
        leg = self._legs.leg(name)
        return self._legs.knowledge.explains(leg, shown.case, shown.verdict) is not None

    def _is_known(self, name: str, case: Case, verdict: Verdict) -> bool:
        """Whether nothing is wrong, or what is known to be."""
        if not isinstance(verdict, Diverge):
            return True
        return self._legs.knowledge.explains(self._legs.leg(name), case, verdict) is not None

    def _rare(self, suspicion: Suspicion, confirmed: Confirmed) -> FindingRecord | None:
        """What broke a machine and did not again, if it does where the clock goes by instructions.
        Raises TransportError."""
        first = confirmed.shown
        if self._breaks_as_known(suspicion.name, first) or self._enough(
            suspicion.signature(first, self._legs)
        ):
            return None
        steady = self._steadied(suspicion, seen=False)
        if steady is None or steady.there is None:
            return None
        there = steady.there
        others = [leg.name for leg in self._legs.legs if leg.name != suspicion.name]
        beside = self._legs.only(others).look(there.case)
        traces = {**beside.traces, **there.traces}
        shown = replace(there, traces=traces, verdicts={**beside.verdicts, **there.verdicts})
        confirmed = replace(confirmed, shown=shown, preceding=())
        found = record(steady.suspicion.at(shown), confirmed, suspicion.case, self._legs)
        return self._told(found, steady)

    def _told(self, found: FindingRecord, steady: Steadied) -> FindingRecord:
        """The same with how often it shows. Raises TransportError."""
        running = often(steady.suspicion, found.minimal, self._legs)
        told = steady.told(running, found.minimal)
        self._note(f"{steady.suspicion.name}: {told}")
        return replace(found, explanation=f"{found.explanation}; {told}")

    def _steadied(self, suspicion: Suspicion, *, seen: bool = True) -> Steadied | None:
        """What is left of a suspicion, which was `seen` again, where the clock goes by
        instructions; None where nothing is chance, there is no such leg, or no time."""
        if not any(map(has_block, suspicion.case.ops)) or time.monotonic() > self.end:
            return None
        found: Steadied | None = None
        for standing_in in self._stand_ins(suspicion.name, suspicion.case):
            with standing_in as leg:
                if leg is None:
                    continue
                steady = Everywhere([leg], self._legs.knowledge)
                with suppress(TransportError):
                    found = steadied(suspicion, self._legs, steady, self._minimise, seen)
            if found and found.again:
                break
        return found

    def _settled(self, suspicion: Suspicion, shown: Shown, small: bool) -> tuple[Suspicion, Shown]:
        """The smallest case that shows it, and its cause as that one tells: with less around,
        there is more room to look, and less that may be to blame. A case that is `small` already
        stays: chance would make it one that shows less often. Raises TransportError."""
        for _ in range(TRACINGS):
            smaller = [suspicion.case]
            if not small:
                self._minimise(suspicion, partial(self._shows, suspicion, smaller))
            shown = self._last_shown(suspicion, smaller) or shown
            small = False
            traced = suspicion.at(shown).traced(self._legs)
            if traced.cause == suspicion.cause:
                break
            earlier = traced.settle(traced.case, self._legs)
            if earlier is None:
                break
            suspicion, shown = traced, earlier
            if self._enough(suspicion.signature(shown, self._legs)):
                break
        return suspicion, shown

    def _is_one_of_enough(self, suspicion: Suspicion, case: Case) -> bool:
        """Whether a smaller case tells that enough is known of this, where asking is cheap.
        Raises TransportError."""
        if suspicion.restarts or any(map(has_block, case.ops)):
            return False
        shown = suspicion.settle(case, self._legs)
        if shown is None:
            return False
        here = suspicion.at(shown)
        traced = here.traced(self._legs)
        if traced is not here:
            shown = traced.settle(traced.case, self._legs)
        return shown is not None and self._enough(traced.signature(shown, self._legs))

    def _shows(self, suspicion: Suspicion, smaller: list[Case], case: Case) -> bool:
        """Whether a case shows it; if so, it is among the smaller ones. Raises TransportError."""
        if not suspicion.shows(case, self._legs):
            return False
        smaller.append(case)
        return True

    def _last_shown(self, suspicion: Suspicion, smaller: Sequence[Case]) -> Shown | None:
        """The smallest that shows it once more: what is chance may have shown once by luck. None
        where nothing is smaller than the first. Raises TransportError."""
        shown = (suspicion.settle(case, self._legs) for case in backwards(smaller[1:]))
        return next(filter(None, shown), None)

    def _seconds(self, suspicion: Suspicion) -> float:
        """What minimising it may take."""
        given = self._minimize_seconds
        if given <= 0 or not suspicion.restarts:
            return given
        boot = self._legs.leg(suspicion.name).boot_seconds
        return max(given, min(BOOTS * boot, LONGEST_S))

    def _minimise(self, suspicion: Suspicion, shows: Callable[[Case], bool]) -> None:
        """Ask of ever smaller cases whether they show it; no more than of those with fewer ops,
        where these tell that enough is known of it. Raises TransportError."""
        started = time.monotonic()
        machine = self._legs.machines[suspicion.name]
        apart = not is_avoided(suspicion.case, machine)

        def still(candidate: Case) -> bool:
            if apart and is_avoided(candidate, machine):
                return False  # it would be another's, which is recorded
            try:
                return shows(candidate)
            except TransportError:
                return False

        left = max(0.0, self.end + self._minimize_seconds - started)
        minimizer = Minimizer(still, suspicion.runs, min(self._seconds(suspicion), left))
        minimal = minimizer.fewer_ops(suspicion.case)
        if minimal is suspicion.case or not self._is_one_of_enough(suspicion, minimal):
            minimal = minimizer.minimize(minimal)
        spent = time.monotonic() - started
        by_pass = ", ".join(str(one) for one in minimizer.passes if one.calls)
        self._note(
            f"{suspicion.name}: minimised {len(suspicion.case.ops)} to {len(minimal.ops)} ops "
            f"in {minimizer.runs} runs, {spent:.1f} s" + (f" ({by_pass})" if by_pass else "")
        )


def record(
    suspicion: Suspicion, confirmed: Confirmed, original: Case, legs: Everywhere
) -> FindingRecord:
    """A confirmed suspicion as it is stored; `original`: the case that showed it first."""
    shown = confirmed.shown
    verdict = shown.verdict
    return FindingRecord(
        signature=suspicion.signature(shown, legs),
        minimal=shown.case,
        original=original,
        strict=verdict.strict,
        op_index=verdict.op_index,
        expected=verdict.expected,
        observed=verdict.observed,
        explanation=verdict.told or f"{suspicion.name}: {verdict.explanation}",
        reproduced=(confirmed.seen, confirmed.tried),
        deviating=suspicion.deviating(shown),
        traces=shown.traces,
        preceding=tuple(Earlier(ran.case, ran.shared) for ran in confirmed.preceding),
        culprit=responsible(shown.case, verdict),
    )
