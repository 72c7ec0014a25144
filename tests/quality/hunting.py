"""Seeded defects hunted as a campaign does, without libFuzzer: the same cases every time."""

from __future__ import annotations

import random

from corpus.case import Case
from db.records import FindingRecord
from fuzz.followup.investigate import Investigator
from fuzz.followup.suspicion import Departure
from fuzz.generate import el2
from fuzz.generate.mutate import fresh, mutated_case
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile

SEEDS = (2, 3, 4, 5)
"""One hunt is luck; each of these has the same chances."""


def leg_of(name: str) -> ModelTarget:
    """The leg that has a seeded defect."""
    mutant = MUTANTS[name]
    leg = ModelTarget(mutant.machine(Profile()), f"mutant:{name}", make=mutant.make)
    leg.kind = "mutant"
    return leg


def drawn(rng: random.Random, el2_share: float) -> Case:
    """A case as a campaign makes them: every second one is changed."""
    case = fresh(rng, el2_share=el2_share)
    return mutated_case(case, rng) if rng.random() < 0.5 else case


def hunt(name: str, most: int, seed: int = SEEDS[0]) -> tuple[Case, int] | None:
    """The first case that shows a defect, and how many it took; None after `most`."""
    leg = leg_of(name)
    rng = random.Random(seed)
    share = el2.share([leg.profile])
    for count in range(1, most + 1):
        case = drawn(rng, share)
        if isinstance(judge(case, leg.run(case), leg.profile), Diverge):
            return case, count
    return None


def minimal(name: str, case: Case) -> FindingRecord:
    """What a campaign makes of a case that shows a defect."""
    leg = leg_of(name)
    verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Diverge), f"{name}: the case shows nothing"
    investigator = Investigator(Everywhere([leg]), lambda _: None, 120.0)
    found = investigator.follow(Departure(case, leg.name, verdict))
    assert isinstance(found, FindingRecord), f"{name}: {found}"
    return found
