"""How soon seeded defects are found, and exactly how small they get.

`minimal.json` holds, by defect, a case that shows it, the smallest case that a campaign makes of
that one, and how many cases hunts took on average when this was written. `produce.py` writes it
anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.text import format_case, parse_case
from quality.hunting import SEEDS, hunt, minimal
from targets.mutants import MUTANTS

KEPT: dict[str, Any] = json.loads(Path(__file__).with_name("minimal.json").read_text())
SLACK, LEAST = 4, 200
"""A generator that takes so many times as long is broken; luck alone may cost LEAST cases."""


def test_every_seeded_defect_is_held() -> None:
    assert set(KEPT) == set(MUTANTS)
    assert len(KEPT) >= 30


@pytest.mark.parametrize("name", sorted(KEPT))
def test_the_minimal_case_is_exactly_this(name: str) -> None:
    found = minimal(name, parse_case(KEPT[name]["witness"]))
    assert format_case(found.minimal) == KEPT[name]["minimal"]
    assert found.signature.title == KEPT[name]["bucket"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KEPT))
def test_a_defect_is_found_in_time(name: str) -> None:
    most = max(LEAST, SLACK * KEPT[name]["cases"])
    assert any(hunt(name, most, seed) for seed in SEEDS[:2]), f"{name}: not in {most} cases, twice"
