"""Migrations to vcpus of other features, which old kernels take, are few beside those."""

from __future__ import annotations

import random

from corpus.case import Case
from corpus.ops import CreateVcpu, Init, Migrate
from fuzz.generate import random_case
from fuzz.generate.arriving import OTHERS, takes_others, to_its_own
from targets.profile import Profile

OLD, NEW = Profile(kernel=(6, 1)), Profile(kernel=(6, 12))


def test_only_kernels_that_take_them_make_them_few() -> None:
    assert takes_others([NEW, OLD])
    assert not takes_others([NEW])
    assert not takes_others([])


def test_most_go_to_the_features_of_the_vcpu_that_leaves() -> None:
    others = 0
    for n in range(400):
        case = Case((CreateVcpu(0), Init(0, 0x10), Init(0, n << 8 | 5), Migrate(0, 2, 0x14)))
        changed = to_its_own(case)
        assert changed == to_its_own(case)
        assert changed.ops[:-1] == case.ops[:-1]
        arrived = changed.ops[-1]
        assert isinstance(arrived, Migrate)
        assert arrived.features in (n << 8 | 5, 0x14)
        others += arrived.features == 0x14
    assert 0.5 * OTHERS < others / 400 < 2 * OTHERS


def test_what_has_arrived_may_leave_again_as_it_came() -> None:
    case = Case((Init(0, 0x11), Migrate(0, 1, 0x11), Migrate(1, 2, 0x10), Migrate(5, 6, 0x20)))
    assert to_its_own(case) is case, "POWER_OFF is no other feature, and nothing is known of 5"
    strays = [
        to_its_own(Case((Init(0, n << 8), Migrate(0, 1, n << 8), Migrate(1, 2, 0)))).ops[-1]
        for n in range(1, 100)
    ]
    assert sum(op == Migrate(1, 2, n << 8) for n, op in enumerate(strays, 1)) > 70


def test_cases_without_such_migrations_are_left_alone() -> None:
    cases = [random_case(random.Random(n)) for n in range(300)]
    plain = [c for c in cases if not any(isinstance(op, Migrate) for op in c.ops)]
    assert plain
    assert all(to_its_own(case) is case for case in plain)
