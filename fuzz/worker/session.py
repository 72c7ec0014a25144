"""One worker's work on a case: run it on every leg, judge, steer, follow divergences up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpus.case import Case
from corpus.isa.table import FORMS
from corpus.kept import Defects, KeptCase, avoided, defects
from corpus.trace import Trace
from db.records import FindingRecord, SignatureRecord
from fuzz.followup.confirm import pattern_of
from fuzz.followup.investigate import Investigator
from fuzz.followup.signature import responsible, signature
from fuzz.oracle.agreement import ORACLE as LEGS
from fuzz.oracle.agreement import compare, concerns
from fuzz.oracle.conformance import judge
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from fuzz.worker.features import features_of
from fuzz.worker.feedback import Feedback
from fuzz.worker.runner import Result, Runner
from targets.base import Incident, Ran, Target
from targets.profile import Profile
from targets.spec.judge import Choices
from targets.spec.model import Model

_SPEED = {"kvm": 0, "emulator": 1, "mutant": 2, "model": 3}
"""Legs are started slowest first and collected fastest first, so that all overlap."""

FOLLOW_UPS = 2
"""Divergences of one rough kind that are confirmed and minimised; later ones are counted."""


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Tally:
    """Totals of a session."""

    cases: int = 0
    discarded: int = 0
    divergences: int = 0
    infra_errors: int = 0
    executions: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    exercised: dict[str, set[str]] = field(default_factory=dict)
    """By leg, the rules that its observations were held against."""
    kept: Counter[str] = field(default_factory=Counter)
    cleared: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    """Cases in which legs were held against each other where the model said nothing."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Blocks of a leg's kernel that no case of this session had reached before."""

    leg: str
    case: Case
    at: float
    blocks: Sequence[int]


def known_defects(leg: Target, known: Sequence[KeptCase]) -> Defects:
    """The defects of a leg that kept cases record."""
    return defects(known, leg.name, leg.fingerprint, list(FORMS))


class Session:
    """Runs cases on `legs`; tells `found`, `again` and `note` what a campaign must know.

    `known`: cases that record defects of legs. What those can spoil is not judged, so that
    a campaign sees what lies behind; `show_known` reports the recorded cases themselves.
    `traced`: makes the model that steers libFuzzer, for the first judgement of each case.
    `share_vms`: cases run in VMs that served others; divergences are confirmed in fresh ones.
    `incident` is told, by leg, of every machine that broke, and whether that was during an
    investigation; `restarted`, how many seconds the machine after it took to start.
    """

    def __init__(
        self,
        legs: Sequence[Target],
        feedback: Feedback | None,
        found: Callable[[FindingRecord], None],
        again: Callable[[SignatureRecord], None],
        note: Callable[[str], None],
        minimize_seconds: float = 12.0,
        known: Sequence[KeptCase] = (),
        share_vms: bool = False,
        traced: Callable[[Profile], Model] = Model,
        incident: Callable[[str, Incident, bool], None] = _ignore,
        restarted: Callable[[str, float], None] = _ignore,
    ) -> None:
        self.legs = sorted(legs, key=lambda leg: _SPEED.get(leg.kind, 1))
        for leg in self.legs:
            leg.profile = replace(
                leg.profile,
                defects=known_defects(leg, known),
                avoid=avoided(known, leg.name, leg.fingerprint),
            )
        self.tally = Tally()
        self.reached: list[Reached] = []
        self._feedback = feedback
        self._found, self._again, self._note = found, again, note
        self._incident, self._restarted = incident, restarted
        self._investigator = Investigator(self.legs, note, minimize_seconds)
        self._preceding: dict[tuple[str, str], Sequence[Ran]] = {}
        self._twins = twins(self.legs)
        self._boots = {leg.name: leg.boots for leg in self.legs}
        self._down: dict[str, int] = {}  # leg -> its boots when it broke
        self._traced = traced
        # Beside other legs the model is what they are judged by: it runs with each of them.
        self._run = [leg for leg in self.legs if leg.kind != "model"] or self.legs
        self.runner = Runner(self._run, share_vms)
        self._followed: Counter[tuple[str, ...]] = Counter()
        self._signatures: dict[tuple[str, ...], SignatureRecord] = {}

    def end_at(self, moment: float) -> None:
        """Investigations are not to outlast this moment of the monotonic clock by much."""
        self._investigator.end = moment

    @property
    def features(self) -> int:
        """Distinct features seen."""
        return self._feedback.seen if self._feedback else 0

    def execute(self, data: bytes) -> None:
        """Run, judge and follow up the case that `data` stands for. Raises TransportError
        when a leg cannot be had any more."""
        begun = self.runner.take(data)
        case = begun.case
        if not begun.fits:
            self.tally.discarded += 1
            return
        results: dict[str, Result] = {}
        verdicts: dict[str, Verdict] = {}
        for leg, result in self.runner.run(begun):
            verdicts[leg.name] = self._verdict(case, leg, result, results, verdicts)
            results[leg.name] = result
        for leg in self.legs:
            verdicts.setdefault(leg.name, Agree(len(case.ops), frozenset(), Choices()))
        traces = {name: result.trace for name, result in results.items()}
        if self._twins and concerns(verdicts):
            found = compare(case, traces, verdicts, self._twins)
            self.tally.compared += bool(found.legs)
            verdicts.update(found.suspects)
        self.tell_incidents()
        self.tally.cases += 1
        for name, verdict in verdicts.items():
            self._count(name, verdict)
        if self._feedback:
            self._feedback.report(features_of(case, traces, verdicts))
            self._report_blocks(case, results, self._feedback)
        followed: set[tuple[str, ...]] = set()
        for name, verdict in verdicts.items():
            if isinstance(verdict, Diverge):
                # One case may break several machines, each in its own way.
                who = (name,) if verdict.fault else ()
                kind = verdict.oracle, verdict.rule, verdict.label, *who
                if kind not in followed:
                    self._follow_up(case, name, verdict, verdicts, traces[name])
                followed.add(kind)
        self.tell_incidents(bool(followed))
        self._preceding = {k: v for k, v in self._preceding.items() if k[1] != case.id}

    def _report_blocks(self, case: Case, results: Mapping[str, Result], feedback: Feedback) -> None:
        """Steer by what the case reached in the legs' kernels; note what is new."""
        for leg in self.legs:
            if leg.code is not None:
                new = feedback.report_blocks(leg.name, results[leg.name].blocks)
                if new:
                    self.reached.append(Reached(leg.name, case, time.monotonic(), new))

    def show_known(self, known: Sequence[KeptCase]) -> None:
        """Run each recorded case; report those that diverge as recorded. Raises
        TransportError."""
        for item in known:
            for leg in self.legs:
                if not item.expects(leg.name, leg.fingerprint):
                    continue
                strict = replace(leg.profile, defects={})
                trace = leg.run(item.case)
                verdict = judge(item.case, trace, strict)
                self.tell_incidents()
                if isinstance(verdict, Diverge):
                    rule = responsible(item.case, verdict)
                    if verdict.fault and not item.covers(leg.name, leg.fingerprint, rule):
                        self._follow_up(item.case, leg.name, verdict, {leg.name: verdict}, trace)
                    else:
                        self._found(self._investigator.recorded(item.case, leg, verdict))
                    self.tell_incidents(investigating=True)
                    break

    def _verdict(
        self,
        case: Case,
        leg: Target,
        result: Result,
        results: Mapping[str, Result],
        verdicts: Mapping[str, Verdict],
    ) -> Verdict:
        """Judging takes most of a worker's time, so it is not done twice on legs that did the
        same on the same machine."""
        judged = [other for other in self._run if other.name in results]
        for other in judged:
            if results[other.name].trace == result.trace and other.profile == leg.profile:
                return verdicts[other.name]
        return judge(case, result.trace, leg.profile, Model if judged else self._traced)

    def _count(self, name: str, verdict: Verdict) -> None:
        tally = self.tally
        tally.executions[name] += 1
        tally.rules.update(verdict.rules)
        tally.exercised.setdefault(name, set()).update(verdict.rules)
        if isinstance(verdict, Agree):
            tally.kept[name] += verdict.choices.kept
            tally.cleared[name] += verdict.choices.cleared
            if verdict.reason:
                tally.unjudged[verdict.reason] += 1

    # -- divergences -----------------------------------------------------------------

    def _follow_up(
        self,
        case: Case,
        name: str,
        verdict: Diverge,
        verdicts: dict[str, Verdict],
        trace: Trace,
    ) -> None:
        self.tally.divergences += 1
        leg = next(leg for leg in self.legs if leg.name == name)
        rough = signature(case, verdict, pattern_of(verdicts), leg.profile).parts
        self._followed[rough] += 1
        if self._followed[rough] > FOLLOW_UPS:
            if rough in self._signatures:
                self._again(self._signatures[rough])
            return
        self.runner.settle()
        self.tell_incidents()
        if verdict.fault:
            preceding = self._preceding.get((name, case.id), ())
            record = self._investigator.fault(case, leg, verdict, trace, preceding)
        elif verdict.oracle == LEGS:
            record = self._difference(case, verdicts)
            if record is None:
                return
        else:
            record = self._investigator.divergence(case, leg, verdict)
        if record is None:
            self._followed[rough] -= 1
            self.tally.infra_errors += 1
            self._note(f"{name}: a divergence did not reproduce ({verdict.rule})")
            return
        self._signatures[rough] = record.signature
        self._found(record)

    def _difference(self, case: Case, verdicts: Mapping[str, Verdict]) -> FindingRecord | None:
        """Follow up how legs differ. One that does not always do the same is not looked at
        without end: what is not steady here is not so in most cases of its kind."""
        suspects = {
            name: verdict
            for name, verdict in verdicts.items()
            if isinstance(verdict, Diverge) and verdict.oracle == LEGS
        }
        record = self._investigator.difference(case, suspects)
        if record is None:
            self._note(f"{', '.join(suspects)}: differed, but not every time")
        return record

    # -- broken machines ---------------------------------------------------------------

    def tell_incidents(self, investigating: bool = False) -> None:
        """Report what broke since this was last called, and which legs are back."""
        for leg in self.legs:
            for incident in leg.incidents():
                if incident.case is not None:
                    self._preceding[leg.name, incident.case.id] = incident.preceding
                self._incident(leg.name, incident, investigating)
                if not investigating:
                    self._down.setdefault(leg.name, self._boots[leg.name])
            if self._down.get(leg.name, leg.boots) < leg.boots:
                del self._down[leg.name]
                self._restarted(leg.name, leg.boot_seconds)
            self._boots[leg.name] = leg.boots
