"""Guests that outlive their exceptions: a handler returns to the instruction behind."""

from __future__ import annotations

import pytest

from corpus.isa.system import LOOP_VECTORS
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import CODE_BASE, MMIO_BASE
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile

BEGIN = "create v0\ninit v0\nfinalize v0\n"
MACHINE = Profile()
WORDS = 21
"""Instructions of `return-vectors`."""
UNDEFINED, SVE_TRAP, FP_TRAP = 0x200_0000, 0x6600_0000, 0x1FE0_0000


def observed(code: str, *registers: str, machine: Profile = MACHINE) -> tuple[Observation, ...]:
    """What a run and the registers behind it show; it agrees with itself."""
    gets = "".join(f"get v0 {name}\n" for name in registers)
    case = parse_case(f"{BEGIN}run v0 {{\nreturn-vectors\n{code}\n}}\n{gets}")
    trace = ModelTarget(machine).run(case)
    verdict = judge(case, trace, machine)
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    return trace.observations[3:]


def value(seen: Observation) -> int:
    assert seen.err == 0
    return int.from_bytes(seen.data, "little")


def exit_address(seen: Observation) -> int:
    return int.from_bytes(seen.data[8:16], "little")


@pytest.mark.parametrize(
    ("instruction", "esr"),
    [("udf #1", UNDEFINED), ("add z1.b, z2.b, z3.b", SVE_TRAP), ("fabs d1, d2", FP_TRAP)],
)
def test_what_an_exception_leaves(instruction: str, esr: int) -> None:
    run, *rest = observed(f"{instruction}\nmov x5, #7", "x5", "esr_el1", "elr_el1", "vbar_el1")
    assert exit_address(run) == MMIO_BASE
    behind = CODE_BASE + 4 * WORDS + 4
    assert [value(seen) for seen in rest] == [7, esr, behind, LOOP_VECTORS]


def test_exceptions_from_el0_return_there() -> None:
    run, x5, spsr, pstate = observed(
        "eret-to el0t\nudf #1\nmsr tpidr_el1, x0\nmov x5, #7", "x5", "spsr_el1", "pstate"
    )
    assert exit_address(run) == MMIO_BASE
    assert (value(x5), value(spsr) & 0xF, value(pstate) & 0xF) == (7, 0, 0)


def test_units_that_are_switched_on_in_between_work() -> None:
    on = "movz x0, #0x33, lsl #16\nmsr cpacr_el1, x0\nisb"
    code = f"index z1.b, #1, #1\n{on}\nindex z2.b, #1, #1"
    _, first, second = observed(code, "z1", "z2")
    assert value(first) == 0
    assert value(second) & 0xFFFF == 0x0201


def test_from_el0_no_handler_can_be_put_anywhere() -> None:
    case = parse_case(f"{BEGIN}run v0 {{\neret-to el0t\nreturn-vectors\n}}\nget v0 esr_el1\n")
    trace = ModelTarget(Profile()).run(case)
    verdict = judge(case, trace, Profile())
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    assert value(trace.observations[-1]) == 0x6212_DFAA, "IC IVAU, X29"


@pytest.mark.parametrize("lost", ["elr_el1", "x5", "vbar_el1"])
def test_a_guest_that_does_not_come_back_right_is_told(lost: str) -> None:
    case = parse_case(f"{BEGIN}run v0 {{\nreturn-vectors\nudf #1\nmov x5, #7\n}}\nget v0 {lost}\n")
    trace = ModelTarget(Profile()).run(case)
    wrong = Observation(0, data=(value(trace.observations[-1]) ^ 4).to_bytes(8, "little"))
    verdict = judge(case, Trace((*trace.observations[:-1], wrong)), Profile())
    assert isinstance(verdict, Diverge)


@pytest.mark.parametrize(
    "code",
    [
        "return-vectors\nsvc #1",
        "return-vectors\neret-to el0t\neret-to el0t",
    ],
)
def test_what_the_handler_cannot_step_over_is_not_judged(code: str) -> None:
    case = parse_case(f"{BEGIN}run v0 {{\n{code}\n}}\n")
    verdict = judge(case, ModelTarget(Profile()).run(case), Profile())
    assert isinstance(verdict, Agree)
    assert verdict.reason


def test_put_there_again_from_el0_it_steps_over_what_el0_may_not_do() -> None:
    run, x5, x29, esr, elr, vectors = observed(
        "eret-to el0t\nreturn-vectors\nmov x5, #7",
        *("x5", "x29", "esr_el1", "elr_el1", "vbar_el1"),
    )
    assert exit_address(run) == MMIO_BASE
    assert (value(x5), value(x29), value(vectors)) == (7, LOOP_VECTORS, LOOP_VECTORS)
    last = CODE_BASE + 4 * (2 * WORDS + 5 - 1)  # the ISB: MSR VBAR_EL1 is UNDEFINED
    assert (value(esr), value(elr)) == (UNDEFINED, last)


def test_what_movprfx_prefixes_traps_again() -> None:
    run, x5, esr, elr = observed(
        "movprfx+add z1.s, p0/z, z2.s, z3.s\nmov x5, #7", "x5", "esr_el1", "elr_el1"
    )
    assert exit_address(run) == MMIO_BASE
    behind = CODE_BASE + 4 * WORDS + 8
    assert (value(x5), value(esr), value(elr)) == (7, SVE_TRAP, behind)


def test_each_part_of_a_copy_that_the_cpu_does_not_have_is_stepped_over() -> None:
    run, x5, esr, elr = observed(
        "cpyf-pme [x1]!, [x2]!, x3!\nmov x5, #7",
        *("x5", "esr_el1", "elr_el1"),
        machine=Profile(lacks=frozenset({"mops"})),
    )
    assert exit_address(run) == MMIO_BASE
    assert value(x5) == 7
    assert (value(esr), value(elr)) == (UNDEFINED, CODE_BASE + 4 * (WORDS + 3))
