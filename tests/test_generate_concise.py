"""Cases that are cut down to what is disturbed."""

from __future__ import annotations

import random

from corpus.blocks import has_block
from corpus.case import Case
from corpus.ops import CreateVcpu, HostRun, ReadAll, Run
from corpus.text import parse_case
from corpus.wire import Stranger
from fuzz.generate.concise import concise
from fuzz.generate.mutate import fresh
from fuzz.generate.strangers import CONCISE, Beside, accompanied

BESIDE = Beside(tuple(Stranger), threads=True)


def test_what_sets_up_the_block_and_a_look_are_left() -> None:
    case = parse_case(
        "create v0\ninit v0\nread-all v0\nset v0 x3 5\nget v0 x3\nrun v0 { }\n"
        "disturb signal after=7 {\nrun v0 { }\nget v0 x3\n}\n"
        "run v0 { }\nmigrate v0\nread-all v0\n"
    )
    assert concise(case) == parse_case(
        "create v0\ninit v0\nset v0 x3 5\n"
        "disturb signal after=7 {\nrun v0 { }\nget v0 x3\n}\nread-all v0\n"
    )
    plain = parse_case("create v0\nrun v0 { }\nget v0 x3\n")
    assert concise(plain) == plain


def test_blocks_stay_as_they_are_and_each_vcpu_is_looked_at() -> None:
    rng = random.Random(7)
    for _ in range(60):
        case = accompanied(rng, fresh(rng), BESIDE)
        at = next((index for index, op in enumerate(case.ops) if has_block(op)), None)
        if at is None:
            continue
        block = case.ops[at]
        assert has_block(block)
        whole = case.ops[at : at + 1 + block.span]
        ops = concise(case).ops
        begins = ops.index(block)
        assert ops[begins : begins + len(whole)] == whole
        assert not any(isinstance(op, Run | HostRun) for op in ops[:begins])
        created = {op.vcpu for op in ops[:begins] if isinstance(op, CreateVcpu)}
        behind = ops[begins + len(whole) :]
        assert {op.vcpu for op in behind if isinstance(op, ReadAll)} == created
        assert len(behind) == len(created)


def test_about_so_many_are_cut_down() -> None:
    rng = random.Random(3)
    long = parse_case("create v0\ninit v0\nfinalize v0\n" + "get v0 x3\n" * 9 + "run v0 { }\n")
    cases: list[Case] = [accompanied(rng, long, BESIDE) for _ in range(300)]
    few = sum(concise(case) == case for case in cases)
    assert abs(few / len(cases) - CONCISE) < 0.1
