"""Pointer authentication and memory copies of vcpus with EL2, in the model."""

from __future__ import annotations

import struct

import pytest

from corpus.case import Case
from corpus.isa.pauth import ALL_ENABLES
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import VECTOR_MMIO
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.vcpu import SCTLR_RESET

NESTED = Profile(features=0x1FF, kernel=(7, 2), mode="nested")
SIGNS = "has_el2,ptrauth_address,ptrauth_generic"
WITHOUT = "has_el2"
E2H0 = f"{SIGNS},has_el2_e2h0"
ENABLED = f"set v0 sctlr_el1 {SCTLR_RESET | ALL_ENABLES:#x}\n"
FREE, INSTRUCTIONS, KEYS = 3 << 40, 1 << 41, 1 << 40
"""Values of HCR_EL2: API and APK, API alone, APK alone."""
PAC_TRAP, UNDEFINED = 0x2600_0000, 0x0200_0000
EXIT = 0x5000_0000
AT_EL2 = "enable-keys ia+ib+da+db"


def _case(features: str, before: str, code: str, look: str = "") -> Case:
    body = "".join(f"    {line.strip()}\n" for line in code.split(";"))
    seen = "".join(f"get v0 {name}\n" for name in look.split())
    return parse_case(
        f"create v0\ninit v0 features={features}\n{before}run v0 {{\n{body}}}\n{seen}"
    )


def _ran(features: str, before: str, code: str, look: str = "") -> tuple[int, ...]:
    """Where the run ended, and the registers of `look`."""
    case = _case(features, before, code, look)
    seen = ModelTarget(NESTED).run(case).observations
    assert len(seen) == len(case.ops), "the model gave up"
    ends = seen[len(seen) - 1 - len(look.split()) :]
    address = int(struct.unpack_from("<Q", ends[0].data, 8)[0])
    return (address, *(int.from_bytes(each.data, "little") for each in ends[1:]))


def _observed(case: Case) -> tuple[Observation, ...]:
    return ModelTarget(NESTED).run(case).observations


def _accepts(case: Case, **replaced: int) -> bool:
    """Whether the model takes a trace of its own in which the last register is `value`."""
    *before, last = ModelTarget(NESTED).run(case).observations
    told = Observation(last.err, last.aux, replaced["value"].to_bytes(8, "little"))
    verdict = judge(case, Trace((*before, told)), NESTED)
    assert isinstance(verdict, Diverge) or not verdict.reason
    return isinstance(verdict, Agree)


@pytest.mark.parametrize("mode", [0x3C9, 0x3C8])
def test_el2_signs_with_what_its_own_register_enables(mode: int) -> None:
    code = f"{AT_EL2}; lda x3, ram+0x100; pacia x3, x4; autia x3, x4"
    assert _ran(SIGNS, f"set v0 pstate {mode:#x}\n", code, "x3") == (EXIT, 0x4000_0100)
    signed = _case(SIGNS, "", f"{AT_EL2}; lda x3, ram+0x100; pacia x3, x4", "x3")
    assert _accepts(signed, value=0x4000_0100 | 5 << 56)
    assert not _accepts(signed, value=0x4000_0104 | 5 << 56)


def test_what_el1_enables_does_not_count_at_el2() -> None:
    code = "lda x3, ram+0x100; pacia x3, x4"
    untouched = _case(SIGNS, ENABLED, code, "x3")
    assert not _accepts(untouched, value=0x4000_0100 | 5 << 56)
    below = f"{AT_EL2}; eret-to el1h; {code}"
    assert not _accepts(_case(SIGNS, "", below, "x3"), value=0x4000_0100 | 5 << 56)


def test_without_vhe_el2_writes_what_el1_goes_by() -> None:
    code = f"{AT_EL2}; lda x3, ram+0x100; pacia x3, x4"
    assert not _accepts(_case(E2H0, "", code, "x3"), value=0x4000_0100 | 5 << 56)
    below = f"{AT_EL2}; eret-el2-to el1h; lda x3, ram+0x100; pacia x3, x4"
    assert _ran(E2H0, "", below, "esr_el2")[1] == PAC_TRAP


@pytest.mark.parametrize("mode", [0x3C5, 0x3C4, 0x3C0])
@pytest.mark.parametrize("insn", ["pacia x3, x4", "pacga x3, x4, x5", "autdb x3, x4", "paciasp"])
@pytest.mark.parametrize("hcr", [0, KEYS])
def test_below_el2_what_is_enabled_traps_there(mode: int, insn: str, hcr: int) -> None:
    before = f"{ENABLED}set v0 hcr_el2 {hcr:#x}\nset v0 pstate {mode:#x}\n"
    ended, esr, elr = _ran(SIGNS, before, f"nop; {insn}", "esr_el2 elr_el2")
    assert (ended, esr, elr) == (VECTOR_MMIO + 8 * 8, PAC_TRAP, 0x4000_1004)
    open_ = f"{ENABLED}set v0 hcr_el2 {INSTRUCTIONS:#x}\nset v0 pstate {mode:#x}\n"
    if not insn.startswith("aut"):
        assert _ran(SIGNS, open_, f"nop; {insn}")[0] == EXIT


def test_what_is_not_enabled_does_not_trap() -> None:
    assert _ran(SIGNS, "set v0 pstate 0x3c5\n", "pacia x3, x4; paciasp") == (EXIT,)


def test_what_strips_traps_or_not() -> None:
    case = _case(SIGNS, "set v0 pstate 0x3c5\nset v0 x3 0xff00000040000100\n", "xpaci x3", "x3")
    assert _accepts(case, value=0x4000_0100)
    (*before, _, _), other = (
        _observed(case),
        _case(SIGNS, "set v0 pstate 0x3c5\n", "pacga x3, x4, x5"),
    )
    trapped = _observed(other)[-1]
    for value, agrees in ((0xFF00_0000_4000_0100, True), (0x4000_0100, False)):
        told = Observation(0, 0, value.to_bytes(8, "little"))
        verdict = judge(case, Trace((*before, trapped, told)), NESTED)
        assert isinstance(verdict, Agree) == agrees


@pytest.mark.parametrize("hcr", [0, INSTRUCTIONS])
@pytest.mark.parametrize(
    ("insn", "iss"),
    [("mrs x1, apiakeylo_el1", 0x30_0823), ("msr apgakeyhi_el1, x2", 0x32_0846)],
)
def test_keys_trap_from_el1(hcr: int, insn: str, iss: int) -> None:
    before = f"set v0 hcr_el2 {hcr:#x}\nset v0 pstate 0x3c5\n"
    assert _ran(SIGNS, before, insn, "esr_el2") == (VECTOR_MMIO + 8 * 8, 0x6200_0000 | iss)
    free = f"set v0 hcr_el2 {KEYS:#x}\nset v0 pstate 0x3c5\n"
    assert _ran(SIGNS, free, insn) == (EXIT,)


def test_keys_are_the_same_at_both_levels() -> None:
    code = "movz x9, #7; msr apibkeylo_el1, x9; isb; eret-to el1h; mrs x8, apibkeylo_el1"
    assert _ran(SIGNS, f"set v0 hcr_el2 {FREE:#x}\n", code, "x8") == (EXIT, 7)


def test_a_pointer_is_authentic_at_the_other_level() -> None:
    code = f"{AT_EL2}; lda x3, ram+0x100; pacda x3, x4; eret-to el1h; autda x3, x4"
    before = f"{ENABLED}set v0 hcr_el2 {FREE:#x}\n"
    assert _ran(SIGNS, before, code, "x3") == (EXIT, 0x4000_0100)


def test_a_hypervisor_writes_what_may_trap() -> None:
    free = "movz x0, #0; movk x0, #0x300, lsl #32; msr hcr_el2, x0"
    code = f"{free}; eret-to el1h; pacga x3, x4, x5; mrs x1, apiakeylo_el1"
    assert _ran(SIGNS, "", code) == (EXIT,)
    assert _ran(SIGNS, "", "eret-to el1h; pacga x3, x4, x5", "esr_el2")[1] == PAC_TRAP


@pytest.mark.parametrize("letter", "ab")
def test_a_return_that_authenticates_goes_to_el1(letter: str) -> None:
    ended, pstate, x29 = _ran(SIGNS, "", f"{AT_EL2}; ereta{letter}-next; mov x29, #5", "pstate x29")
    assert (ended, pstate & 0xF, x29) == (EXIT, 5, 5)
    ended, esr, elr = _ran(
        SIGNS, "set v0 hcr_el2 0x8000000\n", f"{AT_EL2}; ereta{letter}-next; nop", "esr_el2 elr_el2"
    )
    assert (ended, esr, elr) == (VECTOR_MMIO + 8 * 4, 0x3A00_0000, 0x4000_1000 + 36 + 24)


def test_a_return_from_el1_may_trap() -> None:
    before = f"{ENABLED}set v0 pstate 0x3c5\n"
    ended, esr, elr = _ran(SIGNS, before, "eretaa-next", "esr_el2 elr_el2")
    assert (ended, esr, elr) == (VECTOR_MMIO + 8 * 8, PAC_TRAP, 0x4000_1004)
    free = f"{before}set v0 hcr_el2 {INSTRUCTIONS:#x}\n"
    assert _ran(SIGNS, free, "eretaa-next") == (EXIT,)


@pytest.mark.parametrize("mode", [0x3C9, 0x3C5])
def test_a_vcpu_without_it_has_all_of_it_undefined_where_it_is(mode: int) -> None:
    level = mode >> 2 & 3
    before = f"set v0 pstate {mode:#x}\n"
    vector = VECTOR_MMIO + 8 * 4
    for code in ("pacga x3, x4, x5", "msr apiakeylo_el1, x3", "eretaa-next"):
        if code == "eretaa-next" and level == 1:
            continue
        ended, esr = _ran(WITHOUT, before, code, f"esr_el{level}")
        assert (ended, esr) == (vector, UNDEFINED), code


def test_such_a_vcpu_keeps_its_enables_or_loses_them() -> None:
    case = _case(WITHOUT, "", f"{AT_EL2}; pacia x3, x4")
    *before, undefined = _observed(case)
    assert undefined.data[8:16] == (VECTOR_MMIO + 8 * 4).to_bytes(8, "little")
    done = _observed(_case(WITHOUT, "", f"{AT_EL2}; nop"))[-1]
    trapped = _observed(_case(SIGNS, "set v0 pstate 0x3c5\n", "pacga x3, x4, x5"))[-1]
    for ended, agrees in ((undefined, True), (done, True), (trapped, False)):
        verdict = judge(case, Trace((*before, ended)), NESTED)
        assert isinstance(verdict, Agree) == agrees


@pytest.mark.parametrize(
    ("mode", "hcr", "rule"),
    [
        (0x3C9, 0, "mops.option"),
        (0x3C5, 0, "mops.below-el2"),
        (0x3C0, 0, "mops.el0"),
        (0x3C0, 1 << 27, "mops.el0"),
    ],
)
def test_memory_copies_are_for_el2_alone(mode: int, hcr: int, rule: str) -> None:
    before = f"set v0 hcr_el2 {hcr:#x}\nset v0 pstate {mode:#x}\nset v0 x1 0x40009000\n"
    before += "set v0 x2 0x4000a000\nset v0 x3 16\n"
    case = _case(WITHOUT, before, "cpyf-pme [x1]!, [x2]!, x3!")
    verdict = judge(case, ModelTarget(NESTED).run(case), NESTED)
    assert isinstance(verdict, Agree)
    assert rule in verdict.rules
