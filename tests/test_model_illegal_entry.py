"""Guests that user space gives PSTATE.IL: their first instruction traps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import CODE_BASE, VECTOR_MMIO
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile

MACHINE = Profile()
NESTED = Profile(features=0x1FF, kernel=(7, 2), mode="nested")
IL = 1 << 20
ILLEGAL = 0x3A00_0000
FLAGS = 5 << 29


def _case(pstate: int, *registers: str, features: str = "sve") -> Case:
    gets = "".join(f"get v0 {name}\n" for name in registers)
    return parse_case(
        f"create v0\ninit v0 features={features}\nfinalize v0\nset v0 x5 7\n"
        f"set v0 pstate {pstate:#x}\nrun v0 {{\nmov x5, #9\n}}\n{gets}"
    )


def _agreed(case: Case) -> list[Observation]:
    trace = ModelTarget(MACHINE).run(case)
    verdict = judge(case, trace, MACHINE)
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    return list(trace.observations[5:])


def _value(seen: Observation) -> int:
    assert seen.err == 0
    return int.from_bytes(seen.data, "little")


@pytest.mark.parametrize(("mode", "vector"), [(0x5, 0x200), (0x4, 0x0), (0x0, 0x400)])
def test_the_first_instruction_traps(mode: int, vector: int) -> None:
    pstate = IL | FLAGS | 0x3C0 | mode
    names = ("x5", "esr_el1", "elr_el1", "spsr_el1", "pstate")
    run, *rest = _agreed(_case(pstate, *names))
    exit_address = int.from_bytes(run.data[8:16], "little")
    assert exit_address == VECTOR_MMIO + 8 * (vector // 0x80)
    assert [_value(one) for one in rest[:4]] == [7, ILLEGAL, CODE_BASE, pstate]
    assert _value(rest[4]) & ~FLAGS == 0x3C5


def test_a_cpu_that_executes_it_all_the_same_diverges() -> None:
    case = _case(IL | 0x3C5, "x5")
    verdict = judge(case, ModelTarget(MACHINE).run(_case(0x3C5, "x5")), MACHINE)
    assert isinstance(verdict, Diverge)
    assert verdict.op_index == 5


def test_a_saved_state_without_the_flag_diverges() -> None:
    case = _case(IL | 0x3C5, "spsr_el1")
    trace = ModelTarget(MACHINE).run(case)
    lost = replace(trace.observations[-1], data=(0x3C5).to_bytes(8, "little"))
    verdict = judge(case, Trace((*trace.observations[:-1], lost)), MACHINE)
    assert isinstance(verdict, Diverge)
    assert verdict.rule == "exception.illegal-state"


def test_where_there_is_el2_nothing_is_said() -> None:
    case = _case(IL | 0x3C5, "x5", features="sve,has_el2")
    verdict = judge(case, ModelTarget(NESTED).run(case), NESTED)
    assert isinstance(verdict, Agree)
    assert "PSTATE 0x1003c5" in verdict.reason
