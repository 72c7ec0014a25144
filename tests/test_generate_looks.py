"""Where a look is due, and that it comes."""

from __future__ import annotations

import itertools
import random

import pytest

from corpus import registers as regs
from corpus.case import MAX_OPS
from corpus.ops import (
    CreateVcpu,
    Finalize,
    GetReg,
    Init,
    Op,
    ReadAll,
    RegList,
    Run,
    SetReg,
    SetVls,
)
from corpus.values import Pattern
from fuzz.generate import random_case
from fuzz.generate.looks import SHARE, Lives, insert_look, with_looks
from fuzz.generate.mutate import mutated
from targets.model.target import ModelTarget
from targets.profile import Profile

Z3, X1 = regs.REGISTERS["z3"].id, regs.REGISTERS["x1"].id
VALUE = Pattern("fill", 1)
LIFE: list[Op] = [CreateVcpu(0), Init(0), Finalize(0)]


def _due(ops: list[Op]) -> bool:
    lives = Lives()
    return [lives.due(op) for op in ops][-1]


@pytest.mark.parametrize(
    "ops",
    [
        [SetReg(1, X1, VALUE)],
        [CreateVcpu(0), Init(0)],
        [CreateVcpu(0), CreateVcpu(0)],
        [CreateVcpu(0), Init(0), SetReg(0, Z3, VALUE)],
        [*LIFE, Finalize(0)],
        [*LIFE, SetVls(0, 3)],
        [*LIFE, Init(0, 0)],
        [*LIFE, SetReg(0, X1, VALUE, 4)],
        [*LIFE, GetReg(0, Z3, 16)],
        [*LIFE, SetReg(0, Z3 | 1, VALUE)],
        [*LIFE, SetReg(0, regs.V_IDS[2], VALUE)],
        [*LIFE, RegList(0, 43)],
        [CreateVcpu(0), Init(0), Run(0, 0, ())],
    ],
    ids=lambda ops: f"{len(ops)}-{ops[-1].word}",
)
def test_a_look_is_due(ops: list[Op]) -> None:
    assert _due(ops)
    assert (
        ReadAll(getattr(ops[-1], "vcpu", 0)) in with_looks(random.Random(1), ops, 1.0)[len(ops) :]
    )


@pytest.mark.parametrize(
    "op", [SetReg(0, Z3, VALUE), GetReg(0, X1), RegList(0), Run(0, 0, ()), ReadAll(0)]
)
def test_no_look_is_due_after_what_succeeds(op: Op) -> None:
    assert not _due([*LIFE, op])


def test_what_fails_is_looked_at_in_a_fair_share_of_cases() -> None:
    rng, leg = random.Random(7), ModelTarget(Profile())
    failed = seen = 0
    for _ in range(400):
        case = random_case(rng)
        trace = leg.run(case)
        for at, one in enumerate(trace.observations):
            if one.err:
                failed += 1
                seen += any(isinstance(op, ReadAll) for op in case.ops[at + 1 : at + 5])
    assert failed > 400
    assert seen / failed > 0.8 * SHARE


def test_cases_end_with_a_look_and_keep_their_limit() -> None:
    rng = random.Random(3)
    for _ in range(200):
        ops = [rng.choice(LIFE) for _ in range(rng.randrange(1, MAX_OPS + 1))]
        looked = with_looks(rng, ops)
        assert len(looked) <= MAX_OPS
        assert any(isinstance(op, ReadAll) for op in looked[-5:])


def test_mutation_puts_looks_after_what_fails() -> None:
    plain = [*LIFE, Finalize(0), SetVls(0, 1)]
    found = 0
    for seed in range(200):
        ops = list(plain)
        insert_look(random.Random(seed), ops)
        assert [op for op in ops if op in plain][: len(plain)] == plain
        found += any(
            isinstance(after, ReadAll) for op, after in itertools.pairwise(ops) if op in plain
        )
    assert found > 100
    child = mutated(random_case(random.Random(1)).encoded, 5)
    assert len(child.ops) <= MAX_OPS
