"""Which features the vcpus of cases have together."""

from __future__ import annotations

import random
from functools import cache

import pytest

from corpus.case import Case
from corpus.fields import FEATURE_BITS
from corpus.ops import HostRun, Init, Op, Run
from fuzz.generate.combine import combined_case
from fuzz.generate.pairs import Chooser

DRAWN = 2000
AARCH32 = 1 << FEATURE_BITS["el1_32bit"]
SVE = 1 << FEATURE_BITS["sve"]


@cache
def _cases() -> list[Case]:
    rng = random.Random(4)
    return [combined_case(rng, Chooser(rng), el2_share=0) for _ in range(DRAWN)]


def _features(case: Case) -> int:
    return next(op.features for op in case.ops if isinstance(op, Init))


def _runs(op: Op) -> bool:
    return isinstance(op, HostRun) or (isinstance(op, Run) and not op.immediate)


@pytest.mark.long
def test_features_meet_with_aarch32_and_without() -> None:
    sets = {_features(case) for case in _cases()}
    others = [1 << FEATURE_BITS[name] for name in ("psci_0_2", "pmu_v3", "power_off")]
    for mask in range(8):
        some = sum(bit for n, bit in enumerate(others) if mask >> n & 1)
        assert some | AARCH32 in sets
        assert some | SVE in sets


@pytest.mark.long
def test_few_vcpus_are_of_aarch32_and_they_seldom_run() -> None:
    those = [case for case in _cases() if _features(case) & (AARCH32 | SVE) == AARCH32]
    assert 0.02 < len(those) / DRAWN < 0.06
    runs = sum(any(map(_runs, case.ops)) for case in those)
    assert 0 < runs / len(those) < 0.3
