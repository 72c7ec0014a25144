"""How soon seeded defects are found, and exactly how small they get.

`minimal.json` holds, by defect, a case that shows it, the smallest case that a campaign makes of
that one, and how many cases hunts took on average when this was written. `produce.py` writes it
anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from corpus.case import Case
from corpus.text import format_case, parse_case
from fuzz.followup.passes import cost
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from quality.hunting import SEEDS, hunt, leg_of, minimal
from targets.mutants import MUTANTS

KEPT: dict[str, Any] = json.loads(Path(__file__).with_name("minimal.json").read_text())
SLACK, LEAST = 4, 200
"""A generator that takes so many times as long is broken; luck alone may cost LEAST cases."""
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
    "reinit-keeps-z": 7,
    "host-el0-el1-length": 9,
    "zcr-el2-uncapped-below": 11,
}
"""Ops that the smallest case of a mutant takes where it is more than LARGEST."""


def test_every_seeded_defect_is_held() -> None:
    assert set(KEPT) == set(MUTANTS)
    assert len(KEPT) >= 30


@pytest.mark.parametrize("name", sorted(KEPT))
@pytest.mark.long
def test_the_minimal_case_is_exactly_this(name: str) -> None:
    found = minimal(name, parse_case(KEPT[name]["witness"]))
    assert format_case(found.minimal) == KEPT[name]["minimal"]
    assert found.signature.title == KEPT[name]["bucket"]


@cache
def _found(name: str) -> Case | None:
    most = max(LEAST, SLACK * KEPT[name]["cases"])
    tries = (hunt(name, most, seed) for seed in SEEDS[:2])
    return next((found[0] for found in tries if found), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_defect_is_found_in_time(name: str) -> None:
    assert _found(name), f"{name}: not found in time, twice"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KEPT))
def test_whatever_was_found_of_a_defect_gets_small(name: str) -> None:
    """Not from a witness that was chosen, but from the case that a hunt comes to."""
    case = _found(name)
    assert case is not None
    leg = leg_of(name)
    found = minimal(name, case).minimal
    assert isinstance(judge(found, leg.run(found), leg.profile), Diverge)
    assert len(found.ops) <= NEEDS.get(name, LARGEST_OF_EL2 if MUTANTS[name].el2 else LARGEST)
    assert cost(found) <= cost(case)
