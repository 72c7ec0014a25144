"""One worker's work on a case: run it on every leg, judge, steer, follow divergences up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from corpus.case import Case
from db.records import FindingRecord, RetestRecord, SignatureRecord
from fuzz.followup.breakage import Breakage
from fuzz.followup.disagreement import Disagreement
from fuzz.followup.hypotheses import HYPOTHESES
from fuzz.followup.investigate import Investigator
from fuzz.followup.kinship import Family, Kin
from fuzz.followup.otherwise import Otherwise
from fuzz.followup.retest import Again, retest
from fuzz.followup.steady import StandIns, no_stand_ins
from fuzz.followup.suspicion import CONFIRM_RUNS, Departure, Dropped, Shown, Suspicion
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.facts import late_at
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.oracle.selfsame import compare, retellings
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from fuzz.worker.features import features_of, rules_of, share_judged
from fuzz.worker.feedback import Feedback
from fuzz.worker.focus import Focus
from fuzz.worker.marks import Marks
from fuzz.worker.runner import Result, Runner
from fuzz.worker.schedules import struck
from fuzz.worker.spare import Due
from fuzz.worker.steering import Steering
from fuzz.worker.tally import Tally
from targets.base import Incident, Ran, Target
from targets.kind import KINDS
from targets.mutants.mutant import Make
from targets.profile import Profile
from targets.spec.judge import Choices
from targets.spec.model import Model

RETOLD_SHARE = 24
"""Of how many cases one is told otherwise, too: each telling costs a run on every leg."""
FOLLOW_UPS = 2
"""Divergences of one rough kind that are confirmed and minimised; later ones are counted."""


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Blocks of a leg's kernel that no case of this session had reached before."""

    leg: str
    case: Case
    at: float
    blocks: Sequence[int]


class Session:
    """Runs cases on `legs`; tells `found`, `again` and `note` what a campaign must know.

    `knowledge`: recorded defects of legs. What those can spoil is not judged, so that a
    campaign sees what lies behind; `show_known` reports the recorded cases themselves.
    `traced`: makes the model that steers libFuzzer, for the first judgement of each case.
    `share_vms`: cases run in VMs that served others; divergences are confirmed in fresh ones.
    `incident` is told, by leg, of every machine that broke, and whether that was during an
    investigation; `restarted`, how many seconds the machine after it took to start;
    `unconfirmed`, of what was suspected and did not show again.
    `steering` is shown every case, and how near it came to `focus`; `akin` is told of buckets
    that are probably the same, as `hypotheses` of what may be wrong tell, too. `stand_ins` knows,
    for some legs, others on which what is chance comes again.
    """

    def __init__(
        self,
        legs: Sequence[Target],
        feedback: Feedback | Marks | None,
        found: Callable[[FindingRecord], None],
        again: Callable[[SignatureRecord], None],
        note: Callable[[str], None],
        minimize_seconds: float = 12.0,
        knowledge: Knowledge = NOTHING,
        share_vms: bool = False,
        traced: Callable[[Profile], Model] = Model,
        incident: Callable[[str, Incident, bool], None] = _ignore,
        unconfirmed: Callable[[Suspicion, Dropped], None] = _ignore,
        restarted: Callable[[str, float], None] = _ignore,
        steering: Steering | None = None,
        akin: Callable[[Kin], None] = _ignore,
        hypotheses: Mapping[str, Make] = HYPOTHESES,
        stand_ins: StandIns = no_stand_ins,
        focus: Focus | None = None,
    ) -> None:
        self.legs = sorted(legs, key=lambda leg: KINDS[leg.kind].turn)
        self.everywhere = Everywhere(self.legs, knowledge)
        self.tally = Tally()
        self.exercised: dict[str, set[str]] = {}
        """By leg, the rules that its observations were held against."""
        self.reached: list[Reached] = []
        self._feedback, self._steering, self._focus = feedback, steering, focus
        self._found, self._again, self._note = found, again, note
        self._incident, self._restarted, self._akin = incident, restarted, akin
        self._unconfirmed = unconfirmed
        self._family = Family(self.everywhere, hypotheses)
        self._buckets: Counter[SignatureRecord] = Counter()
        self._investigator = Investigator(
            self.everywhere,
            note,
            minimize_seconds,
            lambda bucket: self._buckets[bucket] >= FOLLOW_UPS,
            stand_ins,
        )
        self._preceding: dict[tuple[str, str], Sequence[Ran]] = {}
        self._boots = {leg.name: leg.boots for leg in self.legs}
        self._down: dict[str, int] = {}  # leg -> its boots when it broke
        self._traced = traced
        # Beside other legs the model is what they are judged by: it runs with each of them.
        self._run = [leg for leg in self.legs if not KINDS[leg.kind].reference] or self.legs
        self.runner = Runner(self._run, share_vms, self.everywhere.machines)
        self._followed: Counter[tuple[str, ...]] = Counter()
        self._signatures: dict[tuple[str, ...], SignatureRecord] = {}
        self._reasons: set[str] = set()
        self.stopped: dict[str, Case] = {}
        """Why verdicts stopped that was not told yet, each with the first case."""

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
        seen = Seen({name: result.trace for name, result in results.items()}, verdicts)
        compared = self.everywhere.compare(case, seen)
        self.tally.compared_legs += bool(compared.legs)
        self.tell_incidents()
        self.tally.cases += 1
        final = {**verdicts, **compared.suspects}
        for name, verdict in final.items():
            self._count(name, verdict, case)
        if self._feedback:
            wanted = self._feedback.sources
            new = self._feedback.report(
                chain(
                    rules_of(final) if "rules" in wanted else (),
                    features_of(case, seen.traces, final) if "semantic" in wanted else (),
                )
            )
            blocks = self._report_blocks(case, results, self._feedback)
            new += blocks if "kernel" in wanted else 0
            if self._steering:
                near = self._near(results)
                self._steering.note(case, seen.traces.values(), new, near, share_judged(final))
                met = tuple(struck(case, {n: r.interrupted for n, r in results.items()}))
                self.tally.interrupted += self._steering.schedules.note(case, met)
        followed = set()
        for suspicion in (
            *self._suspicions(case, seen, compared.suspects),
            *self._retold(case, seen),
        ):
            if suspicion.kind not in followed:
                self._follow_up(suspicion, Seen(seen.traces, final))
            followed.add(suspicion.kind)
        self.tell_incidents(bool(followed))
        self._preceding = {k: v for k, v in self._preceding.items() if k[1] != case.id}

    def _report_blocks(
        self, case: Case, results: Mapping[str, Result], feedback: Feedback | Marks
    ) -> int:
        """Steer by what the case reached in the legs' kernels; note what is new, and tell
        how many blocks that is."""
        count = 0
        for leg in self.legs:
            if leg.code is not None:
                new = feedback.report_blocks(leg.name, results[leg.name].blocks)
                if new:
                    self.reached.append(Reached(leg.name, case, time.monotonic(), new))
                    count += len(new)
        return count

    def _near(self, results: Mapping[str, Result]) -> float:
        if self._focus is None:
            return 0.0
        return sum(self._focus.near(name, result.blocks) for name, result in results.items())

    def show_known(self) -> None:
        """Run each recorded case; report those that diverge as recorded. Raises
        TransportError."""
        knowledge = self.everywhere.knowledge
        as_is = self.everywhere.as_is()
        for item, legs in knowledge.shown_by(self.legs):
            for leg in legs:
                trace = self.everywhere.leg(leg.name).run(item.case)
                verdict = as_is.judge_one(item.case, leg.name, trace)
                self.tell_incidents()
                if not isinstance(verdict, Diverge):
                    continue
                if not knowledge.explains(leg, item.case, verdict):
                    # It shows something else: news, and it may be a slow machine's doing.
                    seen = Seen({leg.name: trace}, {leg.name: verdict})
                    for suspicion in self._suspicions(item.case, seen, {}):
                        self._follow_up(suspicion, seen)
                else:
                    self._found(self._investigator.recorded(item.case, leg.name, verdict))
                self.tell_incidents(investigating=True)
                break

    def run_again(self, due: Due) -> list[RetestRecord]:
        """How a stored finding does on those of its legs that are here. Raises TransportError."""
        legs = [leg for leg in self._run if leg.name in due.legs]
        if not legs:
            return []
        self.runner.settle()
        self.tell_incidents()
        records = retest(Again(due.finding), legs, CONFIRM_RUNS, {})
        self.tell_incidents(investigating=True)
        return records

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
        machines = self.everywhere.machines
        judged = [other for other in self._run if other.name in results]
        for other in judged:
            same = results[other.name].trace == result.trace
            if same and machines[other.name] == machines[leg.name]:
                return verdicts[other.name]
        make = Model if judged else self._traced
        return self.everywhere.judge_one(case, leg.name, result.trace, make)

    def _count(self, name: str, verdict: Verdict, case: Case) -> None:
        tally = self.tally
        tally.executions[name] += 1
        self._exercise(name, verdict.rules)
        if isinstance(verdict, Agree):
            tally.kept[name] += verdict.choices.kept
            tally.cleared[name] += verdict.choices.cleared
            if verdict.reason:
                tally.not_judged[name] += 1
                tally.unjudged[f"{name}: {verdict.why}"] += 1
                if verdict.why not in self._reasons:
                    self._reasons.add(verdict.why)
                    self.stopped[verdict.why] = case

    def _exercise(self, name: str, rules: frozenset[str]) -> None:
        self.tally.rules.update(rules)
        self.exercised.setdefault(name, set()).update(rules)

    # -- divergences -----------------------------------------------------------------

    def _suspicions(
        self, case: Case, seen: Seen, suspects: Mapping[str, Diverge]
    ) -> Iterator[Suspicion]:
        """What the oracles hold against legs; `suspects`: those that differ from their like."""
        for name, verdict in seen.verdicts.items():
            if isinstance(verdict, Diverge):
                if verdict.fault:
                    preceding = self._preceding.get((name, case.id), ())
                    yield Breakage(case, name, verdict, seen.traces[name], preceding)
                else:
                    late = late_at(case, seen.traces[name], verdict.op_index)
                    yield Departure(case, name, verdict, late=late)
        if suspects:
            yield Disagreement(case, suspects)

    def _retold(self, case: Case, first: Seen) -> Iterator[Suspicion]:
        """What one case in some shows when it is told otherwise. What it then does wrong for
        itself is a suspicion like any other."""
        if int(case.id[:4], 16) % RETOLD_SHARE:
            return
        for leg in self._run:
            if not KINDS[leg.kind].own:
                continue  # the specification decides what is open when it is asked
            trace = first.traces[leg.name]
            for retold in retellings(case, trace):
                self.runner.settle()
                again = leg.run(retold.case)
                self.tally.retold += 1
                self._exercise(leg.name, frozenset({retold.rule}))
                verdict = self.everywhere.judge_one(retold.case, leg.name, again)
                seen = Seen({leg.name: again}, {leg.name: verdict})
                yield from self._suspicions(retold.case, seen, {})
                found = compare(case, trace, retold, again)
                if found and not isinstance(first.verdicts[leg.name], Diverge):
                    yield Otherwise(case, leg.name, found)

    def _follow_up(self, suspicion: Suspicion, seen: Seen) -> None:
        self.tally.divergences += 1
        first = Shown(suspicion.case, suspicion.verdict, seen.traces, seen.verdicts)
        rough = suspicion.signature(first, self.everywhere).parts
        self._followed[rough] += 1
        if self._followed[rough] > FOLLOW_UPS:
            if rough in self._signatures:
                self._again(self._signatures[rough])
            return
        self.runner.settle()
        self.tell_incidents()
        found = self._investigator.follow(suspicion)
        if isinstance(found, Dropped):
            if suspicion.verdict.fault:  # its incident is told already
                self._note(f"{suspicion.name}: {found.why}")
            else:
                self._unconfirmed(suspicion, found)
            if found.harness:
                self._followed[rough] -= 1
                self.tally.infra_errors += 1
            return
        if isinstance(found, SignatureRecord):
            self._signatures[rough] = found
            self._again(found)
            return
        self._signatures[rough] = found.signature
        self._buckets[found.signature] += 1
        self._found(found)
        kin = self._family.relate(found)
        if kin:
            self._akin(kin)

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
