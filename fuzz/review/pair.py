"""The two kernels in one mode: cases run on both, and what is different in each of three runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.case import Case
from corpus.text import format_case
from corpus.trace import Trace
from db.records import FindingView
from fuzz.followup.retest import OTHER, PASSES, SHOWS, Again
from fuzz.oracle import agreement
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.verdict import Diverge, Verdict
from fuzz.review.book import Broken, Differing, Speed, Where
from fuzz.review.differences import differences
from targets.base import Target, WireTarget
from targets.kvm.lab.coverage.changed import Change, How
from targets.kvm.lab.transport import LabTransport
from targets.transport import TransportError

RUNS = 3
"""What differs has to do so in each of so many runs."""
TIMED = 40
"""Cases that are timed."""
TIMINGS, TIMING_S = 4, 2.0
"""How many timings there are of each, of which the fastest counts, and how long each may take."""


@dataclass(slots=True)
class Compared:
    """What cases showed so far. `reached`: by changed function, the first case that came to it."""

    broken: list[Broken] = field(default_factory=list)
    differing: list[Differing] = field(default_factory=list)
    reached: dict[Change, tuple[str, Case]] = field(default_factory=dict)
    cases: int = 0
    sound: list[Case] = field(default_factory=list)


class Pair:
    """Legs `base` and `new`, which are of one mode."""

    def __init__(self, base: Target, new: Target, mode: str, changes: Sequence[Change]) -> None:
        self.base, self.new, self.mode = base, new, mode
        self._both = base, new
        self._legs = Everywhere(self._both)
        self._profiles = {leg.name: leg.profile for leg in (base, new)}
        self._changes = [change for change in changes if change.how is not How.GONE]
        self.found = Compared()

    def try_(self, case: Case, name: str) -> None:
        """Run a case on both and note what is different. Raises TransportError."""
        if any(case.min_vq > leg.profile.max_vq for leg in (self.base, self.new)):
            return
        seen = self._legs.look(case)
        self.found.cases += 1
        self._note_reached(case, name)
        rules = self._rules(case, seen)
        if rules == ("", ""):
            self.found.sound.append(case)
            if seen.traces[self.base.name] == seen.traces[self.new.name]:
                return
        elif rules[0] == rules[1]:
            return
        again = [seen, *(self._legs.look(case) for _ in range(RUNS - 1))]
        if rules != ("", ""):
            self._note_broken(case, again)
            return
        runs: list[Mapping[str, Trace]] = [one.traces for one in again]
        names = self.base.name, self.new.name
        self.found.differing += differences(case, runs, self._profiles, *names, self.mode)

    def _note_reached(self, case: Case, name: str) -> None:
        if not self.new.blocks:
            return
        blocks = sorted(self.new.blocks)
        for change in self._changes:
            if change not in self.found.reached and within(change, blocks):
                self.found.reached[change] = name, case

    def _rules(self, case: Case, seen: Seen) -> tuple[str, str]:
        """The rule that each of the two breaks, or nothing."""
        one, other = (
            responsible(case, verdict) if isinstance(verdict, Diverge) else ""
            for verdict in (seen.verdicts[leg.name] for leg in (self.base, self.new))
        )
        return one, other

    def _note_broken(self, case: Case, runs: Sequence[Seen]) -> None:
        """A rule that one breaks in each run and the other in none, if the other got as far."""
        rules = [self._rules(case, seen) for seen in runs]
        reached = [[_reached(seen.verdicts[leg.name]) for seen in runs] for leg in self._both]
        for side, where in enumerate((Where.GONE, Where.NEW)):
            leg = self._both[side]
            mine = {pair[side] for pair in rules}
            theirs = {pair[1 - side] for pair in rules}
            if len(mine) != 1 or mine == {""} or mine & theirs:
                continue
            if min(reached[1 - side]) <= max(reached[side]):
                continue
            verdict = runs[0].verdicts[leg.name]
            assert isinstance(verdict, Diverge)
            (rule,) = mine
            told = Broken(
                where, self.mode, rule, verdict.strict, verdict.explanation, format_case(case)
            )
            self.found.broken.append(told)

    def settle(self, finding: FindingView, bucket: str) -> Broken:
        """On which of the two a stored finding shows. Raises TransportError."""
        again = Again(finding)
        outcomes: dict[str, list[str]] = {self.base.name: [], self.new.name: []}
        for _ in range(RUNS):
            for name, tried in again.run([self.base, self.new]).items():
                outcomes[name].append(tried.outcome)
        return Broken(
            where_of(outcomes[self.base.name], outcomes[self.new.name]),
            *(self.mode, finding.culprit or finding.rule, finding.strict, finding.explanation),
            *(finding.minimal_text, bucket),
        )

    def timed(self) -> Speed | None:
        """How fast the two run cases in which nothing is wrong, left to themselves."""
        labs = [lab for lab in map(_lab, (self.base, self.new)) if lab is not None]
        requests = [case.request for case in self.found.sound[:TIMED]]
        if len(labs) < 2 or not requests:
            return None
        try:
            once = labs[0].repeat(requests)
            rounds = max(1, min(20, int(TIMING_S / once)))
            took = [[lab.repeat(requests, rounds) for lab in labs] for _ in range(TIMINGS)]
        except TransportError:
            return None
        each = list(zip(*took, strict=True))
        base, new = (1e6 * min(times) / (len(requests) * rounds) for times in each)
        spread = max(100 * (sorted(times)[1] / min(times) - 1) for times in each)
        return Speed(self.mode, round(base, 1), round(new, 1), round(spread, 1))


def _reached(verdict: Verdict) -> float:
    """The op at which a leg went wrong; if it did not, where judging stopped or that it did not."""
    if isinstance(verdict, Diverge):
        return verdict.op_index
    return verdict.judged if verdict.reason else float("inf")


def _lab(leg: Target) -> LabTransport | None:
    transport = leg.transport if isinstance(leg, WireTarget) else None
    return transport if isinstance(transport, LabTransport) else None


def where_of(base: Sequence[str], new: Sequence[str]) -> Where:
    """What several runs on each say. A leg that does something else that is wrong does not pass."""
    shows = SHOWS in base, SHOWS in new
    if all(shows):
        return Where.BOTH
    clean = [all(one == PASSES for one in side) for side in (base, new)]
    most = [2 * side.count(SHOWS) > len(side) for side in (base, new)]
    if most[1] and clean[0]:
        return Where.NEW
    if most[0] and clean[1]:
        return Where.GONE
    return Where.HIDDEN if any(most) and OTHER in (*base, *new) else Where.CHANCE


def between_the_two(finding: FindingView) -> bool:
    """Whether a finding says only that legs differ where the specification says nothing."""
    return finding.oracle == agreement.ORACLE


def within(change: Change, blocks: Sequence[int]) -> bool:
    """Whether some of `blocks` lie in a function of the newer kernel."""
    return any(change.offset <= block < change.offset + change.size for block in blocks)


def first_to_reach(
    changes: Sequence[Change], reached: Sequence[tuple[str, Sequence[int]]]
) -> Iterator[tuple[Change, str]]:
    """By changed function, the first of some cases that came to it. `reached`: the oldest first."""
    for change in changes:
        if change.how is How.GONE:
            continue
        first = next((case for case, blocks in reached if within(change, blocks)), None)
        if first is not None:
            yield change, first
