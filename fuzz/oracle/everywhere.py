"""A case on every leg: run, judged, and held against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from corpus.case import Case
from corpus.trace import Trace
from fuzz.oracle import agreement
from fuzz.oracle.agreement import Compared
from fuzz.oracle.conformance import judge
from fuzz.oracle.facts import late_at
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Diverge, Verdict
from targets.base import Target
from targets.profile import Profile
from targets.spec.model import Model


@dataclass(frozen=True, slots=True)
class Seen:
    """What legs did with a case, and what that is worth, by leg name."""

    traces: Mapping[str, Trace]
    verdicts: Mapping[str, Verdict]


LATE_TRIES = 3
"""How often a leg is asked again whose run took too long."""


def _late(case: Case, trace: Trace, verdict: Verdict) -> bool:
    return isinstance(verdict, Diverge) and late_at(case, trace, verdict.op_index)


class Everywhere:
    """Legs, and the machines by which they are judged: as they are, but for what `knowledge`
    says of their defects."""

    def __init__(self, legs: Sequence[Target], knowledge: Knowledge = NOTHING) -> None:
        self.legs = tuple(legs)
        self.knowledge = knowledge
        self.machines: Mapping[str, Profile] = {
            leg.name: knowledge.machine(leg) for leg in self.legs
        }
        self.twins = twins(self.legs)
        self._by_name = {leg.name: leg for leg in self.legs}

    def leg(self, name: str) -> Target:
        """The leg of that name."""
        return self._by_name[name]

    def as_is(self) -> Everywhere:
        """The same legs, with every defect judged."""
        return Everywhere(self.legs)

    def only(self, names: Sequence[str]) -> Everywhere:
        """Some of the legs."""
        return Everywhere([leg for leg in self.legs if leg.name in names], self.knowledge)

    def run(self, case: Case) -> dict[str, Trace]:
        """Traces by leg name; the legs run at the same time. Raises TransportError."""
        tickets = [(leg, leg.submit(case)) for leg in self.legs]
        return {leg.name: leg.collect(ticket) for leg, ticket in tickets}

    def judge_one(
        self, case: Case, name: str, trace: Trace, make: Callable[[Profile], Model] = Model
    ) -> Verdict:
        """What a leg's trace is worth."""
        return judge(case, trace, self.machines[name], make)

    def judge(self, case: Case, traces: Mapping[str, Trace]) -> dict[str, Verdict]:
        """What each leg's trace is worth, against the machine behind it."""
        return {name: self.judge_one(case, name, trace) for name, trace in traces.items()}

    def look(self, case: Case) -> Seen:
        """Run a case on every leg and judge each; a leg that diverges since the time of a run was
        over is asked again, for its machine may have been busy. Raises TransportError."""
        traces = self.run(case)
        verdicts = self.judge(case, traces)
        for _ in range(LATE_TRIES):
            late = [n for n, verdict in verdicts.items() if _late(case, traces[n], verdict)]
            if not late:
                break
            again = self.only(late).run(case)
            traces |= again
            verdicts |= self.judge(case, again)
        return Seen(traces, verdicts)

    def compare(self, case: Case, seen: Seen) -> Compared:
        """Twins held against each other, where the model said nothing."""
        if not agreement.concerns(seen.verdicts):
            return Compared()
        return agreement.compare(case, seen.traces, seen.verdicts, self.twins)
