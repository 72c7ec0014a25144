"""What an oracle holds against a leg, until it is confirmed or dropped.

Each oracle has a kind of suspicion of its own, which knows how to show itself again, how often
that has to happen, and what of it makes two findings the same. Whoever follows suspicions up
does not ask which oracle spoke.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from corpus.blocks import has_block
from corpus.case import Case
from corpus.trace import Trace
from db.records import SignatureRecord
from fuzz.followup.cause import Cause, at_face_value, trace_back
from fuzz.followup.signature import signature
from fuzz.oracle import attribution
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.facts import late_at
from fuzz.oracle.verdict import Diverge, Verdict
from targets.base import Ran
from targets.kind import KINDS

CONFIRM_RUNS = 3
DISTURBED_RUNS = 5
"""What is chance, where strangers strike or threads meet, shows in one of so many runs, or does not
show."""
RARE = 4
"""How many times as often a disturbed case that did not show again is run: what takes a stranger
within some instructions shows in one run of thirty."""
MINIMIZE_RUNS = 1000
"""Runs of a minimiser that each cost a case."""


def runs_of(case: Case) -> int:
    """How often a case is run until it is taken not to show something."""
    disturbed = any(map(has_block, case.ops))
    return DISTURBED_RUNS if disturbed else 1


def showings(case: Case, once: Callable[[], bool]) -> bool:
    """Whether something shows in a run, or where it is chance in two: what is made smaller must
    not become rare."""
    most = runs_of(case)
    left = min(most, 2)
    for _ in range(most):
        left -= once()
        if not left:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Shown:
    """A case that shows a suspicion: what is wrong, and what every leg did."""

    case: Case
    verdict: Diverge
    traces: Mapping[str, Trace]
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A suspicion that showed `seen` of `tried` times again, after `preceding` in a fresh
    machine (nothing: the case alone does it)."""

    shown: Shown
    seen: int
    tried: int
    preceding: tuple[Ran, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A suspicion that was not confirmed. `harness`: the fault lies there, for all that is
    known, so the next of its kind is looked into as if this had not been."""

    why: str
    harness: bool = True


class Suspicion(ABC):
    """`verdict` on `case`, of the leg `name` first. `twins`: it says something only of legs
    that have their like beside them."""

    oracle: str
    twins: bool = False

    def __init__(self, case: Case, name: str, verdict: Diverge, cause: Cause | None = None) -> None:
        self.case, self.name, self.verdict = case, name, verdict
        self.cause = cause or at_face_value(case, verdict)

    @property
    def kind(self) -> Hashable:
        """What is followed up once in a case, on however many legs it shows."""
        return self.verdict.oracle, self.verdict.rule, self.verdict.label

    @property
    def runs(self) -> int:
        """What minimising it may cost."""
        return MINIMIZE_RUNS

    @property
    def restarts(self) -> bool:
        """Whether each time that it shows costs a machine."""
        return False

    @abstractmethod
    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        """Show it again. `note` gets a line for people; `seconds` are left for that. Raises
        TransportError."""

    @abstractmethod
    def shows(self, case: Case, legs: Everywhere) -> bool:
        """Whether another case shows the same, run once. Raises TransportError."""

    @abstractmethod
    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        """Every leg's last word on a case that `shows` it; None if it does not after all.
        Raises TransportError."""

    def traced(self, legs: Everywhere) -> Suspicion:
        """The same, from where it first shows, with its cause. Raises TransportError."""
        return self

    def at(self, shown: Shown) -> Suspicion:
        """The same, where another case shows it."""
        return self

    def akin(self, verdict: Diverge) -> Suspicion | None:
        """That `verdict` in its place, where there are such."""
        return None

    def deviating(self, shown: Shown) -> tuple[str, ...]:
        """The legs that do this, sorted; what else is wrong with others is another matter."""
        return attribution.deviating(shown.verdict, shown.verdicts) or (self.name,)

    def pattern(self, shown: Shown, legs: Everywhere) -> str:
        """Who deviates, in a word."""
        kinds = {leg.name: KINDS[leg.kind] for leg in legs.legs}
        return attribution.pattern(self.deviating(shown), shown.verdicts, kinds)

    def signature(self, shown: Shown, legs: Everywhere) -> SignatureRecord:
        """The bucket that it belongs to."""
        return signature(self.oracle, self.cause, self.pattern(shown, legs))


def _busy(seen: int, tries: int) -> Dropped:
    """The guest's clock goes on while the lab's machine waits for a processor."""
    why = "a machine that is busy may be that slow"
    return Dropped(f"the time of a run was over in {seen} of {tries} runs: {why}")


class Departure(Suspicion):
    """A leg observed what the specification does not permit."""

    oracle = "conformance"

    def __init__(
        self,
        case: Case,
        name: str,
        verdict: Diverge,
        cause: Cause | None = None,
        *,
        late: bool = False,
    ) -> None:
        """`late`: it is a run that was ended since its time was over."""
        super().__init__(case, name, verdict, cause)
        self._late = late

    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        tries = CONFIRM_RUNS * runs_of(self.case)
        runs: list[bool | None] = []
        while len(runs) < tries:
            runs.append(self._run_once(self.case, legs))
            if self._late and runs[-1] is None:  # one that is in time tells as much
                return _busy(len(runs) - 1, len(runs))
        most = tries * RARE if tries > CONFIRM_RUNS else tries
        while not (showed := [late for late in runs if late is not None]) and len(runs) < most:
            runs.append(self._run_once(self.case, legs))
        tries, seen = len(runs), len(showed)
        if not seen:
            return Dropped(f"a divergence did not reproduce ({self.verdict.rule})")
        if seen < tries and all(showed):
            return _busy(seen, tries)
        shown = self.settle(self.case, legs)
        if shown is None:  # this time it did not show, but it did before
            everyone = legs.look(self.case)
            verdicts = {**everyone.verdicts, self.name: self.verdict}
            shown = Shown(self.case, self.verdict, everyone.traces, verdicts)
        return Confirmed(shown, seen, tries)

    def at(self, shown: Shown) -> Suspicion:
        return Departure(shown.case, self.name, shown.verdict, self.cause)

    def akin(self, verdict: Diverge) -> Suspicion | None:
        return Departure(self.case, self.name, verdict)

    def traced(self, legs: Everywhere) -> Suspicion:
        found = trace_back(self.case, self.name, self.verdict, legs)
        return Departure(found.case, self.name, found.verdict, found.cause)

    def shows(self, case: Case, legs: Everywhere) -> bool:
        return showings(case, lambda: self._shows_once(case, legs))

    def _shows_once(self, case: Case, legs: Everywhere) -> bool:
        return self._run_once(case, legs) is not None

    def _run_once(self, case: Case, legs: Everywhere) -> bool | None:
        """None if it does not show; else whether that is a run that was ended since its time was
        over."""
        trace = legs.leg(self.name).run(case)
        verdict = legs.judge_one(case, self.name, trace)
        return late_at(case, trace, verdict.op_index) if alike(verdict, self.verdict) else None

    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        for _ in range(runs_of(case)):
            seen = legs.look(case)
            last = seen.verdicts[self.name]
            if alike(last, self.verdict):
                return Shown(case, last, seen.traces, seen.verdicts)
        return None
