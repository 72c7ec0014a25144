"""Register 31: the zero register where an instruction computes, the stack pointer where it
addresses or moves."""

from __future__ import annotations

import pytest
from model_guest import DATA, guest, run

from corpus.isa.table import parse_insn
from corpus.kept import Effect
from corpus.text import parse_case
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.defects import spoiled, worst
from targets.spec.errors import Unpredictable
from targets.spec.semantics import SEMANTICS
from targets.spec.sets import exact, join


@pytest.mark.parametrize(
    ("text", "register", "expected"),
    [
        ("add x3, xzr, x1", "x3", 7),
        ("sub x3, xzr, xzr", "x3", 0),
        ("mrs xzr, zcr_el1", "x1", 7),
        ("mov xzr, #5", "x1", 7),
        ("incb x1, all, mul #1", "x1", 7 + 16),
        ("incb xzr, all, mul #1", "sp_el1", DATA),
        ("dup z1.d, sp", "z1", DATA << 64 | DATA),
        ("dup z1.h, wsp", "z1", (DATA & 0xFFFF) * 0x0001_0001_0001_0001_0001_0001_0001_0001),
        ("cpy z1.s, p0/m, wsp", "z1", DATA | DATA << 32 | DATA << 64 | DATA << 96),
        ("insr z0.d, xzr", "z0", 0xFFFF_FFFF_FFFF_FFFF << 64),
        ("dup v1.2d, xzr", "z1", 0),
        ("addvl sp, sp, #-1", "sp_el1", DATA - 16),
        ("whilelo p1.d, xzr, xzr", "p1", 0),
    ],
)
def test_what_number_31_means(text: str, register: str, expected: int) -> None:
    cpu = guest(1)
    cpu.vcpu.core["sp_el1"] = exact(DATA)
    cpu.set_x(1, 7)
    cpu.set_z(0, (1 << 128) - 1)
    cpu.set_p(0, 0xFFFF)
    run(cpu, text)
    vcpu = cpu.vcpu
    if register[0] in "zpx" and register[1:].isdigit():
        seen = {"z": vcpu.z, "p": vcpu.p, "x": vcpu.x}[register[0]][int(register[1:])]
    else:
        seen = vcpu.core[register]
    assert seen == exact(expected)


def test_a_store_of_xzr_stores_zeros() -> None:
    cpu = guest(1)
    cpu.vcpu.core["sp_el1"] = exact(DATA)
    cpu.mem.store(DATA, 8, 0xFFFF_FFFF)
    run(cpu, "str xzr, [sp, #0]")
    assert cpu.mem.load(DATA, 8) == (0, 0)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("ld1 (v6.16b), [sp], x2", "ld1 (v6.16b), [sp], x3"),
        ("ldr q6, [sp], #16", "ldr q6, [sp], #32"),
    ],
)
def test_write_back_to_sp_names_its_instruction(text: str, other: str) -> None:
    case, wrong = (
        parse_case(
            "create v0\ninit v0\nfinalize v0\nset v0 x2 0x10\nset v0 sp_el1 0x4000c100\n"
            f"set v0 cpacr_el1 0x330000\nrun v0 {{\n{line}\n}}\nget v0 sp_el1"
        )
        for line in (text, other)
    )
    assert isinstance(judge(case, ModelTarget(Profile()).run(case), Profile()), Agree)
    verdict = judge(case, ModelTarget(Profile()).run(wrong), Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.rule == "isa." + parse_insn(text).form.name


def test_an_sp_that_is_not_aligned_is_no_address() -> None:
    cpu = guest(1)
    cpu.vcpu.core["sp_el1"] = exact(DATA + 8)
    with pytest.raises(Unpredictable, match="aligned"):
        run(cpu, "ld1b (z1.b), p0/z, [sp, x2]")


@pytest.mark.parametrize(
    ("vq", "odd", "short"),
    [(1, Effect.RESULT, Effect.STOP), (2, None, None), (3, Effect.RESULT, None)],
)
def test_a_defect_of_some_lengths_spoils_nothing_at_others(
    vq: int, odd: Effect | None, short: Effect | None
) -> None:
    cpu, insn = guest(vq), parse_insn("zip1 z0.q, z1.q, z2.q")
    assert worst(cpu, frozenset({Effect.ODD}), insn) is odd
    assert worst(cpu, frozenset({Effect.SHORT}), insn) is short


@pytest.mark.parametrize(
    ("vq", "spoils"), [(1, False), (2, False), (3, True), (4, False), (6, True)]
)
def test_a_defect_of_uneven_lengths_spoils_flags_too(vq: int, spoils: bool) -> None:
    cpu, insn = guest(vq), parse_insn("faddqv v0.4s, p0, z1.s")
    assert worst(cpu, frozenset({Effect.UNEVEN}), insn) is (Effect.RESULT if spoils else None)
    cpu.raise_fpsr(16)
    spoiled(cpu, Effect.RESULT, SEMANTICS["faddqv"], insn)
    assert join(cpu.vcpu.core["fpsr"]) == (16, 0x0800_008F)
    assert join(cpu.vcpu.z[0])[1] == (1 << 2048) - 1


@pytest.mark.parametrize(
    ("el", "mode", "spoils"), [(2, 0x3C8, True), (2, 0x3C9, False), (1, 0x3C4, False)]
)
def test_a_defect_of_el2_with_the_stack_of_el0_spoils_nothing_else(
    el: int, mode: int, spoils: bool
) -> None:
    cpu = guest(1)
    cpu.el, cpu.vcpu.core["pstate"] = el, exact(mode)
    effects = frozenset({Effect.STACK})
    assert (worst(cpu, effects, parse_insn("nop")) is Effect.STOP) is spoils


def test_a_defect_of_sp_spoils_nothing_else() -> None:
    cpu, effects = guest(1), frozenset({Effect.SP})
    assert worst(cpu, effects, parse_insn("ld1b (z1.b), p0/z, [sp, x2]")) is Effect.STOP
    assert worst(cpu, effects, parse_insn("ldff1b (z1.b), p0/z, [x1, xzr]")) is None
    assert worst(cpu, effects, parse_insn("ld1b (z1.b), p0/z, [x1, x2]")) is None
