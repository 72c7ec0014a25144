"""Cases in which the second vcpu does what mostly the first one does."""

from __future__ import annotations

import random

from corpus.ops import Init, Op, Run, SetReg
from corpus.text import parse_case
from fuzz.generate.combine import combined_case, exchanged
from fuzz.generate.pairs import Chooser

DRAWN = 600


def _on_second(ops: tuple[Op, ...]) -> bool:
    return any(isinstance(op, Run) and op.vcpu == 1 and op.program for op in ops)


def test_vcpus_are_exchanged_and_nothing_else() -> None:
    case = parse_case(
        "create v0\ncreate v1\ninit v1\nset v0 x1 1\nget v2 x1\nwrite-mem 32768 0x1\n"
        "migrate v0\nmigrate v0 to=v2\n"
    )
    other = parse_case(
        "create v1\ncreate v0\ninit v0\nset v1 x1 1\nget v2 x1\nwrite-mem 32768 0x1\n"
        "migrate v1\nmigrate v1 to=v2\n"
    )
    assert tuple(exchanged(case.ops)) == other.ops
    assert tuple(exchanged(other.ops)) == case.ops


def test_one_in_ten_cases_works_on_the_second_vcpu() -> None:
    rng = random.Random(2)
    cases = [combined_case(rng, Chooser(rng)) for _ in range(DRAWN)]
    second = [case for case in cases if _on_second(case.ops)]
    assert 0.06 < len(second) / DRAWN < 0.18
    # The first one has a life beside it, and the second all that cases do to a vcpu.
    assert any(isinstance(op, Init) and op.vcpu == 0 for case in second for op in case.ops)
    registers = {
        op.reg for case in second for op in case.ops if isinstance(op, SetReg) and op.vcpu == 1
    }
    assert len(registers) > 100
