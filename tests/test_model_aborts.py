"""Accesses beyond what any CPU can address, and accesses outside RAM altogether."""

from __future__ import annotations

import pytest
from model_guest import guest, run

from corpus.isa.table import parse_insn
from corpus.kept import Effect
from targets.spec.bus import NO_CPU_HAS
from targets.spec.defects import spoiled
from targets.spec.errors import UNDEFINED, GuestException, MmioExit, RunFailed, Unpredictable
from targets.spec.forks import Forks
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import exact

FAR_AWAY = 0xC972_E1CF_1A64_F7C0
READ, WRITE = 0x9600_0000, 0x9600_0040


@pytest.mark.parametrize(
    ("insn", "esr", "far"),
    [
        ("ldr x3, [x1, #8]", READ, FAR_AWAY + 8),
        ("str x3, [x1, #8]", WRITE, FAR_AWAY + 8),
        ("ldr z3, [x1, #0, mul vl]", READ, None),
        ("st1b {z3.b}, p0, [x1, #0, mul vl]", WRITE, None),
        ("ld1w {z3.s}, p0/z, [x1, z4.s, uxtw]", READ, None),
        ("ldff1b {z3.b}, p0/z, [x1, xzr]", READ, None),
    ],
)
def test_what_no_cpu_can_address_is_a_fault_of_the_guest(
    insn: str, esr: int, far: int | None
) -> None:
    cpu = guest(2)
    cpu.vcpu.p[0] = exact(1)
    cpu.set_x(1, FAR_AWAY)
    with pytest.raises(GuestException) as raised:
        run(cpu, insn)
    assert (raised.value.esr, raised.value.far) == (esr, far)
    assert raised.value.rule == "exception.data-abort"


def test_from_el0_it_is_of_the_class_for_lower_levels() -> None:
    cpu = guest(2)
    cpu.vcpu.core["pstate"] = exact(0)
    cpu.set_x(1, FAR_AWAY)
    with pytest.raises(GuestException) as raised:
        run(cpu, "ldr z3, [x1, #0, mul vl]")
    assert raised.value.esr == 0x9200_0000


def test_what_a_vm_may_have_or_not_is_not_judged() -> None:
    cpu = guest(2)
    for address, ends in ((1 << 36) - 64, RunFailed), (1 << 36, Unpredictable):
        cpu.set_x(1, address)
        with pytest.raises(ends):
            run(cpu, "ldr z3, [x1, #0, mul vl]")
    cpu.set_x(1, (1 << 36) - 16)
    with pytest.raises(MmioExit):
        run(cpu, "ldr x3, [x1, #8]")
    cpu.set_x(1, NO_CPU_HAS - 16)
    with pytest.raises(Unpredictable):
        run(cpu, "ldr x3, [x1, #8]")
    cpu.set_x(1, (1 << 64) - 16)
    with pytest.raises(Unpredictable):
        run(cpu, "ldr z3, [x1, #0, mul vl]")


@pytest.mark.parametrize("insn", ["ld1d {z3.d}, p0/z, [x1, z4.d]", "st1d {z3.d}, p0, [x1, z4.d]"])
@pytest.mark.parametrize(("choice", "stop"), [(0, RunFailed), (1, GuestException)])
def test_of_elements_that_abort_in_different_ways_it_is_any(
    insn: str, choice: int, stop: type[Exception]
) -> None:
    cpu = guest(1)
    cpu.forks = Forks((choice,))
    cpu.vcpu.p[0] = exact(0x0101)
    cpu.vcpu.z[4] = exact(FAR_AWAY << 64 | 0x1000)
    with pytest.raises(stop):
        run(cpu, insn)
    assert cpu.forks.taken == [(choice, 2)]


def test_where_an_instruction_is_undefined_there_is_no_result_that_a_defect_spoils() -> None:
    cpu = guest(1)
    insn = parse_insn("uzp1 z0.q, z1.q, z2.q")
    with pytest.raises(GuestException) as raised:
        spoiled(cpu, Effect.RESULT, SEMANTICS[insn.form.name], insn)
    assert raised.value.esr == UNDEFINED
