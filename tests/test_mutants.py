"""Every seeded defect is found by random cases, minimised well, and only by its own leg."""

from __future__ import annotations

import random
import time

import pytest
from quality.hunting import drawn

from corpus.case import Case
from fuzz.followup.cause import trace_back
from fuzz.followup.minimise import Minimizer
from fuzz.followup.passes import cost
from fuzz.generate import el2
from fuzz.oracle.attribution import alike
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile

SECONDS = 200
LARGEST, LARGEST_OF_EL2 = 6, 8
NEEDS = {
    "vls-survives-reinit": 8,
    "exit-cuts-registers": 8,
    "exit-leaves-maximum": 7,
    "asimd-keeps-tail": 8,
    "narrowing-clears-half": 8,
    "predicate-permute-odd": 8,
    "shift-long-keeps-tail": 8,
    "str-short-steps": 7,
    "zcr-el2-uncapped-below": 11,
}
"""Ops that the smallest case of a mutant takes where it is more than LARGEST."""


def _hunt(leg: ModelTarget) -> tuple[Case, Diverge]:
    rng = random.Random(2)
    deadline = time.monotonic() + SECONDS
    share = el2.share([leg.profile])
    while time.monotonic() < deadline:
        case = drawn(rng, share)
        verdict = judge(case, leg.run(case), leg.profile)
        if isinstance(verdict, Diverge):
            return case, verdict
    pytest.fail(f"{leg.name} not found in {SECONDS} s")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_found_and_minimised(name: str) -> None:
    mutant = MUTANTS[name]
    leg = ModelTarget(mutant.machine(Profile()), f"mutant:{name}", make=mutant.make)
    leg.kind = "mutant"
    case, verdict = _hunt(leg)
    # As a campaign does, which minimises what it has traced back.
    traced = trace_back(case, leg.name, verdict, Everywhere([leg]))
    case, verdict = traced.case, traced.verdict

    def still(candidate: Case) -> bool:
        return alike(judge(candidate, leg.run(candidate), leg.profile), verdict)

    minimal = Minimizer(still, 3000, 60).minimize(case)
    assert still(minimal)
    assert len(minimal.ops) <= NEEDS.get(name, LARGEST_OF_EL2 if mutant.el2 else LARGEST)
    assert cost(minimal) <= cost(case)
