"""Vcpus with EL2 on real KVM: the nested leg keeps to the rules about them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from corpus.kept import load_kept
from corpus.ops import Init
from corpus.store import kept_files
from fuzz.followup.confirm import judge_all, run_everywhere
from fuzz.generate import random_case
from fuzz.oracle.verdict import Agree
from fuzz.worker.session import known_defects
from targets.base import Target
from targets.legs import open_legs

FILES = [path for path in kept_files("regressions") if path.stem.startswith("nested")]
HAS_EL2 = 1 << 7
LIVES = 8


@pytest.fixture(scope="module")
def leg() -> Iterator[Target]:
    (opened,) = open_legs(["kvm:newest:nested"])
    known = [load_kept(path) for path in kept_files("known")]
    opened.profile = replace(opened.profile, defects=known_defects(opened, known))
    yield opened
    opened.close()


def test_kept_cases_agree_to_their_end(leg: Target) -> None:
    used: set[str] = set()
    for path in FILES:
        case = load_kept(path).case
        trace = run_everywhere(case, [leg])
        verdict = judge_all(case, trace, [leg])[leg.name]
        assert isinstance(verdict, Agree), verdict
        assert verdict.judged == len(case.ops), path.stem
        used |= set(verdict.rules)
    assert used >= {"el2.limits-vl", "el2.hvc", "el2.host-el0", "el2.trap-zen", "el2.trap-fpen"}
    assert used >= {"el2.illegal-return", "el2.eret-by-name", "el2.trap-cpacr"}
    assert used >= {"el2.zcr-by-zen-alone", "el2.without-vhe"}


def test_generated_lives_agree(leg: Target) -> None:
    rng, lives = random.Random(7), 0
    while lives < LIVES:
        case = random_case(rng)
        features = [op.features for op in case.ops if isinstance(op, Init)]
        if not features or not features[0] & HAS_EL2:
            continue
        lives += 1
        verdict = judge_all(case, run_everywhere(case, [leg]), [leg])[leg.name]
        assert isinstance(verdict, Agree), verdict
