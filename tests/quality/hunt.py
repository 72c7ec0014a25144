"""How the quality tests look for a seeded defect, and how they follow it up: as a campaign does."""

from __future__ import annotations

import time
from dataclasses import dataclass

from corpus.case import Case
from db.records import FindingRecord
from fuzz.followup.investigate import Investigator
from fuzz.followup.suspicion import Departure
from fuzz.generate import el2
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from fuzz.worker.steering import Steering
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile


@dataclass(frozen=True, slots=True)
class Hunted:
    """The first case that shows a defect, which one it was, and seconds of the processor until
    then."""

    case: Case
    verdict: Diverge
    number: int
    seconds: float


def leg_of(name: str) -> ModelTarget:
    """The leg with this defect."""
    mutant = MUTANTS[name]
    return ModelTarget(mutant.machine(Profile()), f"mutant:{name}", make=mutant.make)


def hunt(name: str, seed: int, most: int) -> Hunted | None:
    """Look for a defect in the first `most` cases that are made with a seed."""
    leg = leg_of(name)
    steering = Steering(seed)
    share = el2.share([leg.profile])
    began = time.process_time()
    for number in range(1, most + 1):
        case = steering.child(share)
        trace = leg.run(case)
        steering.note(case, [trace], 0)
        verdict = judge(case, trace, leg.profile)
        if isinstance(verdict, Diverge):
            return Hunted(case, verdict, number, time.process_time() - began)
    return None


def followed(name: str, case: Case) -> FindingRecord:
    """What a campaign makes of a case that shows a defect, given time enough."""
    leg = leg_of(name)
    leg.kind = "mutant"
    verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Diverge), f"{name} does not show"
    found = Investigator(Everywhere([leg]), lambda _: None, 600).follow(
        Departure(case, leg.name, verdict)
    )
    assert isinstance(found, FindingRecord), found
    return found
