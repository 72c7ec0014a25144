"""The seeds use every rule that a case can use."""

from __future__ import annotations

from make_seeds import WITHOUT, used, wanted

from corpus.store import kept_cases
from targets.spec.rules import RULES


def test_each_rule_is_used_by_a_seed() -> None:
    missing = wanted() - used(kept_cases("seeds"))
    assert not missing, "python tests/make_seeds.py adds seeds for these"


def test_what_needs_no_seed_is_a_rule() -> None:
    assert set(WITHOUT) <= set(RULES)
