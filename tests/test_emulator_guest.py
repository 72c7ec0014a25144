"""What guests see and leave behind in the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINTR, ENOSYS

import pytest
from emulator_leg import (
    CPACR,
    ELR,
    ENABLE,
    ESR,
    EXIT,
    FAR,
    FFR,
    FPCR,
    FPSR,
    PC,
    PFR0,
    PSTATE,
    SCTLR,
    SP_EL0,
    SP_EL1,
    SPSR,
    SVE,
    SVE_VCPU,
    VLS,
    ZCR,
    Leg,
    create,
    exit_of,
    finalize,
    get,
    init,
    number,
    open_leg,
    p,
    put,
    run,
    v,
    x,
    z,
)

from corpus.isa.form import Insn
from corpus.isa.system import UNDEF_LOOP
from corpus.isa.table import FORMS
from corpus.stream import Source
from targets.profile import lacking

RDVL = 0x04BF_5022  # rdvl x2, #1
MOV_Z3 = 0x2538_C0E3  # mov z3.b, #7
PTRUE_P15 = 0x2518_E3EF  # ptrue p15.b
ADD_V3 = 0x4E23_8463  # add v3.16b, v3.16b, v3.16b
ADD_V4 = 0x4E24_8484  # add v4.16b, v4.16b, v4.16b
MSR_ZCR = 0xD518_1203  # msr zcr_el1, x3
MRS_ZCR = 0xD538_1205  # mrs x5, zcr_el1
MSR_FPCR = 0xD51B_4403  # msr fpcr, x3
MRS_FPCR = 0xD53B_4404  # mrs x4, fpcr
MSR_CPACR = 0xD518_1040  # msr cpacr_el1, x0
SVC_7 = 0xD400_00E1  # svc #7
TO_MMIO = 0xD2AA_0001  # movz x1, #0x5000, lsl #16

AB = b"\xab" * 256
TRAP_FP, TRAP_SVE, UNDEFINED = 0x1FE0_0000, 0x6600_0000, 0x0200_0000
SYNC_FROM_EL1H, SYNC_FROM_EL0 = 0x5000_0120, 0x5000_0140
DATA = 0x4000_8000
CODE = 0x4000_1000
ONES64 = (1 << 64) - 1
RESET = 0x1DE7_EC7E_DBAD_C0DE
"""What KVM puts into registers whose reset value is UNKNOWN, among them ESR_EL1 and FAR_EL1."""


def set_x(n: int, value: int) -> tuple[int, int]:
    """movz and movk of a 32-bit value."""
    movz, movk = 0xD2A0_0000, 0xF280_0000
    return movz | value >> 16 << 5 | n, movk | (value & 0xFFFF) << 5 | n


def grow(vq: int) -> tuple[int, int]:
    """mov x3, #(vq - 1); msr zcr_el1, x3."""
    return 0xD280_0003 | vq - 1 << 5, MSR_ZCR


def low(value: int, size: int) -> int:
    return value & (1 << 8 * size) - 1


@pytest.fixture(scope="module", params=["keep", "zero"])
def any_leg(request: pytest.FixtureRequest) -> Iterator[Leg]:
    with open_leg(f"emulator:{request.param}") as opened:
        yield opened


@pytest.fixture(scope="module")
def keep() -> Iterator[Leg]:
    with open_leg("emulator:keep") as opened:
        yield opened


@pytest.fixture(scope="module")
def zero() -> Iterator[Leg]:
    with open_leg("emulator:zero") as opened:
        yield opened


def from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "little")


def test_upper_bits_survive_a_short_vector_length_or_vanish(keep: Leg, zero: Leg) -> None:
    code = (*ENABLE, RDVL, *EXIT)
    before = (put(z(3), AB), put(p(3), AB[:32]), put(FFR, b"\xff" * 32))
    reads = (x(2), z(3), p(3), FFR)
    kept = [16, from_bytes(AB), from_bytes(AB[:32]), (1 << 256) - 1]
    assert keep.guest(before, code, *reads) == kept
    sizes = (8, 16, 2, 2)
    cleared = [low(value, size) for value, size in zip(kept, sizes, strict=True)]
    assert zero.guest(before, code, *reads) == cleared


def test_a_guest_without_fp_touches_nothing(any_leg: Leg) -> None:
    before = (put(z(3), AB), put(ZCR, ONES64), put(FPCR, 0xFFFFFFFF), put(FPSR, 0xFFFFFFFF))
    after = any_leg.guest(before, (*ENABLE, *EXIT), z(3), ZCR, FPCR, FPSR)
    assert after == [from_bytes(AB), ONES64, 0xFFFFFFFF, 0xFFFFFFFF]


@pytest.mark.parametrize("access", [RDVL, ADD_V4, MRS_FPCR, MRS_ZCR])
def test_the_first_fp_access_normalises_what_was_raw(any_leg: Leg, access: int) -> None:
    before = (put(ZCR, ONES64), put(FPCR, 0xFFFFFFFF), put(FPSR, 0xFFFFFFFF))
    after = any_leg.guest(before, (*ENABLE, access, *EXIT), ZCR, FPCR, FPSR)
    assert after == [15, 0x07C8_0000, 0x0800_009F]


@pytest.mark.parametrize("access", [RDVL, ADD_V4, MRS_FPCR, MRS_ZCR])
def test_a_trapped_fp_access_loads_nothing(any_leg: Leg, access: int) -> None:
    before = (put(z(3), AB), put(ZCR, ONES64), put(FPCR, 0xFFFFFFFF))
    after = any_leg.guest(before, (access, *EXIT), z(3), ZCR, FPCR)
    assert after == [from_bytes(AB), ONES64, 0xFFFFFFFF]


def test_an_sve_write_covers_the_current_length(any_leg: Leg) -> None:
    after = any_leg.guest((put(z(3), AB),), (*ENABLE, *grow(4), MOV_Z3, *EXIT), z(3))[0]
    assert low(after, 64) == from_bytes(b"\x07" * 64)


def test_an_advsimd_write_clears_up_to_the_current_length(keep: Leg, zero: Leg) -> None:
    code = (*ENABLE, *grow(4), ADD_V3, *EXIT)
    low_quad = from_bytes(b"\x56" * 16)  # 2 * 0xab
    assert zero.guest((put(z(3), AB),), code, z(3)) == [low_quad]
    assert keep.guest((put(z(3), AB),), code, z(3)) == [low_quad | from_bytes(AB) >> 512 << 512]


def test_an_advsimd_write_with_sve_disabled_is_sure_of_128_bits_only(keep: Leg, zero: Leg) -> None:
    fp_only = (*set_x(0, 0x30_0000), MSR_CPACR)
    before = (put(z(3), AB), put(ZCR, 15))
    low_quad = from_bytes(b"\x56" * 16)
    assert zero.guest(before, (*fp_only, ADD_V3, *EXIT), z(3)) == [low_quad]
    assert keep.guest(before, (*fp_only, ADD_V3, *EXIT), z(3)) == [
        low_quad | from_bytes(AB) >> 128 << 128
    ]


def test_shrinking_and_growing_in_the_guest(keep: Leg, zero: Leg) -> None:
    through_16 = (*ENABLE, *grow(16), RDVL, *grow(1), RDVL, *grow(16), RDVL, *EXIT)
    before = (put(z(3), AB), put(ZCR, 15))
    assert keep.guest(before, through_16, z(3), x(2)) == [from_bytes(AB), 256]
    assert zero.guest(before, through_16, z(3), x(2)) == [from_bytes(AB[:16]), 256]


@pytest.mark.parametrize(
    ("host", "vls", "zcr", "expected"),
    [
        ("1-16", 0xFFFF, 15, 256),
        ("1-16", 0xFFFF, 2, 48),
        ("1-16", 0b111, 15, 48),
        ("1,2,4", 0b1011, 15, 64),
        ("1,2,4", 0b1011, 2, 32),  # rounded down to a length the host has
        ("1,2,4", 0b11, 15, 32),
        ("1", 0b1, 15, 16),
    ],
)
def test_effective_vector_length(host: str, vls: int, zcr: int, expected: int) -> None:
    with open_leg(f"emulator:keep:vq={host}") as leg:
        ops = (create(), init(SVE), put(VLS, vls), finalize(), put(ZCR, zcr))
        seen = leg.do(*ops, run(*ENABLE, RDVL, *EXIT), get(x(2)))
        assert number(seen[-1]) == expected


@pytest.mark.parametrize(
    ("cpacr", "insn", "esr"),
    [
        (0, RDVL, TRAP_SVE),
        (0x30_0000, RDVL, TRAP_SVE),
        (0x03_0000, RDVL, TRAP_FP),  # ZEN comes first, and lets it pass
        (0, MSR_ZCR, TRAP_SVE),
        (0x03_0000, MRS_ZCR, TRAP_FP),
        (0, ADD_V3, TRAP_FP),
        (0x10_0000, ADD_V3, None),  # 0b01 traps EL0 alone
        (0x11_0000, RDVL, None),
        (0x20_0000, ADD_V3, TRAP_FP),
        (0, MSR_FPCR, TRAP_FP),
        (0, MRS_FPCR, TRAP_FP),
        (0, 0x4418_8020, UNDEFINED),  # sqadd z0.b, p0/m, z0.b, z1.b: SVE2 is not there
        (0, 0xFD00_0023, TRAP_FP),  # str d3, [x1]
    ],
)
def test_cpacr_traps(any_leg: Leg, cpacr: int, insn: int, esr: int | None) -> None:
    ops = (*SVE_VCPU, put(CPACR, cpacr), run(insn, *EXIT), get(ESR), get(ELR), get(SPSR), get(FAR))
    seen = any_leg.do(*ops)
    if esr is None:
        assert exit_of(seen[4]).address == 0x5000_0000
        return
    assert exit_of(seen[4]).address == SYNC_FROM_EL1H
    assert [number(o) for o in seen[5:]] == [esr, CODE, 0x3C5, RESET]


@pytest.mark.parametrize(
    ("cpacr", "esr"), [(0, TRAP_SVE), (0x3_0000, TRAP_FP), (0x33_0000, UNDEFINED)]
)
def test_sve_on_a_vcpu_without_sve(any_leg: Leg, cpacr: int, esr: int) -> None:
    ops = (create(), init(0), put(CPACR, cpacr), put(FPCR, 0xFFFFFFFF), run(RDVL, *EXIT))
    seen = any_leg.do(*ops, get(ESR), get(FPCR))
    assert [number(o) for o in seen[-2:]] == [esr, 0xFFFFFFFF]


def test_fp_on_a_vcpu_without_sve(any_leg: Leg) -> None:
    ops = (create(), init(0), put(v(3), AB[:16]), run(*ENABLE, ADD_V3, *EXIT), get(v(3)))
    assert number(any_leg.do(*ops)[-1]) == from_bytes(b"\x56" * 16)


@pytest.mark.parametrize(
    ("insn", "esr", "elr"),
    [
        (SVC_7, 0x5600_0007, CODE + 4),
        (0xD420_00A0, 0xF200_0005, CODE),  # brk #5
        (0, UNDEFINED, CODE),  # udf #0
        (0xDAC1_0041, UNDEFINED, CODE),  # pacia x1, x2
        (0xD53C_1204, UNDEFINED, CODE),  # mrs x4, zcr_el2
        (0xD440_0000, UNDEFINED, CODE),  # hlt #0
    ],
)
def test_exceptions_from_el1(any_leg: Leg, insn: int, esr: int, elr: int) -> None:
    seen = any_leg.do(
        *SVE_VCPU, put(PSTATE, 0xA000_0005), run(insn, *EXIT), *map(get, (ESR, ELR, SPSR, PSTATE))
    )
    assert exit_of(seen[4]).address == SYNC_FROM_EL1H
    assert [number(o) for o in seen[5:]] == [esr, elr, 0xA000_0005, 0xA000_03C5]


@pytest.mark.parametrize(
    ("target", "esr"),
    [
        (0x4001_0000, 0x8600_0010),
        (0x4000_1002, 0x8A00_0000),
        (1 << 48, 0x8600_0000),
        (1 << 63 | 0x4000_1000, 0x8600_0000),  # no top byte is ignored
    ],
)
def test_fetching_outside_ram(any_leg: Leg, target: int, esr: int) -> None:
    br_x6 = 0xD61F_00C0
    after = any_leg.guest((put(x(6), target),), (br_x6,), ESR, FAR, ELR)
    assert after == [esr, target, target]


def test_el0_and_back(keep: Leg, zero: Leg) -> None:
    enter = (
        *ENABLE,
        *grow(16),
        0x1000_00C6,  # adr x6, .+24
        0xD518_4026,  # msr elr_el1, x6
        0xD518_401F,  # msr spsr_el1, xzr
        0x9100_03E4,  # mov x4, sp
        0xD69F_03E0,  # eret
        0xD503_201F,
        0x9100_03E5,  # at EL0: mov x5, sp
    )
    before = (put(SP_EL0, 0x1230), put(SP_EL1, 0x4560), put(z(3), AB))
    for leg in (keep, zero):
        seen = leg.do(*SVE_VCPU, *before, run(*enter, RDVL, SVC_7), *map(get, (x(4), x(5), x(2))))
        assert exit_of(seen[6]).address == SYNC_FROM_EL0
        assert [number(o) for o in seen[7:]] == [0x4560, 0x1230, 256]
    # ZEN 0b01: at EL0 the vector length is that of SVE being disabled, 128 bits
    el1_only = (*set_x(0, 0x31_0000), MSR_CPACR)
    code = (*el1_only, *enter[2:], ADD_V4, RDVL)
    assert keep.guest(before, code, ESR, z(3)) == [TRAP_SVE, from_bytes(AB)]
    assert zero.guest(before, code, ESR, z(3)) == [TRAP_SVE, from_bytes(AB[:16])]


def test_illegal_return_to_el2(any_leg: Leg) -> None:
    code = (
        0xD280_0127,  # mov x7, #9 (EL2h)
        0xD518_4007,  # msr spsr_el1, x7
        0x1000_0066,  # adr x6, .+12
        0xD518_4026,  # msr elr_el1, x6
        0xD69F_03E0,  # eret
    )
    assert any_leg.guest((), code, ESR, SPSR) == [0x3A00_0000, 0x0010_0005]


@pytest.mark.parametrize(
    ("insn", "is_write", "offset", "value", "length"),
    [
        (0xF900_0022, 1, 0, 0x1122_3344_5566_7788, 8),  # str x2, [x1]
        (0x7900_0C22, 1, 6, 0x7788, 2),  # strh w2, [x1, #6]
        (0x3900_003F, 1, 0, 0, 1),  # strb wzr, [x1]
        (0xF940_0024, 0, 0, 0, 8),  # ldr x4, [x1]
        (0x3940_0024, 0, 0, 0, 1),  # ldrb w4, [x1]
        (0x7980_0024, 0, 0, 0, 2),  # ldrsh x4, [x1]
    ],
)
def test_mmio(any_leg: Leg, insn: int, is_write: int, offset: int, value: int, length: int) -> None:
    before = (put(x(2), 0x1122_3344_5566_7788), put(x(4), 99))
    seen = any_leg.do(*SVE_VCPU, *before, run(TO_MMIO, insn), get(PC), get(x(4)))
    assert seen[5].err == 0
    left = exit_of(seen[5])
    assert (left.reason, left.is_write, left.address) == (6, is_write, 0x5000_0000 + offset)
    assert (left.value, left.length, left.flags) == (value, length, 0)
    assert number(seen[6]) == CODE + 8
    assert number(seen[7]) == (99 if is_write else 0)


@pytest.mark.parametrize(
    "insn",
    [
        0xF800_8422,  # str x2, [x1], #8
        0xA940_1424,  # ldp x4, x5, [x1]
        0xFD00_0023,  # str d3, [x1]
        0xA400_A021,  # ld1b {z1.b}, p0/z, [x1]
        0xE400_E021,  # st1b {z1.b}, p0, [x1]
        0xC85F_7C24,  # ldxr x4, [x1]
    ],
)
def test_accesses_kvm_cannot_decode(any_leg: Leg, insn: int) -> None:
    before = (put(p(0), b"\xff" * 32), put(z(1), AB), put(x(4), 99))
    ops = (*SVE_VCPU, *before, run(*ENABLE, TO_MMIO, insn), *map(get, (PC, x(1), x(4), z(1))))
    seen = any_leg.do(*ops)
    assert (seen[6].err, seen[6].data) == (ENOSYS, bytes(32))
    assert [number(o) for o in seen[7:10]] == [CODE + 12, 0x5000_0000, 99]
    assert low(number(seen[10]), 16) == from_bytes(AB[:16])


def test_an_inactive_sve_access_goes_nowhere(any_leg: Leg) -> None:
    after = any_leg.guest((put(z(1), AB),), (*ENABLE, TO_MMIO, 0xA400_A021, *EXIT), z(1))
    assert low(after[0], 16) == 0


@pytest.mark.parametrize(
    ("base", "esr"), [(1 << 40, 0x9600_0010), (1 << 63, 0x9600_0000), (1 << 48, 0x9600_0000)]
)
@pytest.mark.parametrize("insn", [0xF940_00C4, 0xA400_A0C1])  # ldr x4, [x6]; ld1b {z1.b}
def test_addresses_beyond_the_ipa_space(any_leg: Leg, base: int, esr: int, insn: int) -> None:
    before = (put(p(0), b"\xff" * 32), put(x(6), base | DATA))
    after = any_leg.guest(before, (*ENABLE, insn, *EXIT), ESR, FAR)
    assert after == [esr, base | DATA]


def test_sve_loads_and_stores_in_ram(any_leg: Leg) -> None:
    copy = (0xA400_A0C1, 0xE401_E0C1)  # ld1b {z1.b}, p0/z, [x6]; st1b {z1.b}, p0, [x6, #1, mul vl]
    store = 0xF900_00C2  # str x2, [x6]
    load = 0xF940_08C4  # ldr x4, [x6, #16]
    before = (put(p(0), b"\xff" * 32), put(x(6), DATA), put(x(2), 0x1122_3344_5566_7788))
    after = any_leg.guest(before, (*ENABLE, store, *copy, load, *EXIT), x(4), z(1))
    assert after[0] == low(after[1], 16) == 0x1122_3344_5566_7788


def test_first_fault_loads_stop_at_the_end_of_ram(any_leg: Leg) -> None:
    setffr, ldff1b = 0x252C_9000, 0xA41F_60C1  # ldff1b {z1.b}, p0/z, [x6]
    before = (put(p(0), b"\xff" * 32), put(x(6), 0x4000_FFF8))
    code = (*ENABLE, *grow(16), setffr, ldff1b, *EXIT)
    assert any_leg.guest(before, code, FFR) == [0xFF]


def test_ffr_takes_any_predicate(any_leg: Leg) -> None:
    wrffr_p1 = 0x2528_9020
    before = (put(p(1), b"\xaa" * 32),)
    after = any_leg.guest(before, (*ENABLE, wrffr_p1, *EXIT), FFR)
    assert low(after[0], 2) == 0xAAAA


@pytest.mark.parametrize(("sp", "sctlr", "esr"), [(8, 8, 0x9A00_0000), (0, 8, RESET)])
def test_sp_alignment(any_leg: Leg, sp: int, sctlr: int, esr: int) -> None:
    before = (put(SP_EL1, DATA + sp), put(SCTLR, sctlr))
    assert any_leg.guest(before, (0xF940_03E4, *EXIT), ESR) == [esr]  # ldr x4, [sp]


@pytest.mark.parametrize(
    ("insn", "sctlr", "esr"),
    [
        (0xF940_00C4, 0, 0),  # ldr x4, [x6]
        (0xF940_00C4, 2, 0x9600_0021),
        (0xF900_00C4, 2, 0x9600_0061),  # str x4, [x6]
        (0xC85F_7CC4, 0, 0x9600_0021),  # ldxr x4, [x6]
        (0xC89F_FCC4, 0, 0x9600_0061),  # stlr x4, [x6]
        (0xF824_00C5, 0, 0x9600_0021),  # ldadd x4, x5, [x6]
    ],
)
def test_alignment(any_leg: Leg, insn: int, sctlr: int, esr: int) -> None:
    before = (put(x(6), DATA + 1), put(SCTLR, sctlr))
    expected = [esr, DATA + 1] if esr else [RESET, RESET]
    assert any_leg.guest(before, (insn, *EXIT), ESR, FAR) == expected


@pytest.mark.parametrize("insn", [0x1400_0000, 0xD503_207F])  # b . and wfi
def test_a_guest_that_never_exits(any_leg: Leg, insn: int) -> None:
    seen = any_leg.do(*SVE_VCPU, run(insn), get(PC))
    assert (seen[3].err, seen[3].data) == (EINTR, bytes(28) + b"\x02\0\0\0")
    assert number(seen[4]) == (CODE if insn == 0x1400_0000 else CODE + 4)


def test_immediate_exit_runs_nothing(any_leg: Leg) -> None:
    seen = any_leg.do(*SVE_VCPU, run(*ENABLE, *EXIT, immediate=True), get(CPACR), get(PC))
    assert (seen[3].err, seen[3].data) == (EINTR, bytes(32))
    assert [number(o) for o in seen[4:]] == [0, CODE]


def test_guests_see_the_id_registers_of_the_vm(any_leg: Leg) -> None:
    mrs_pfr0 = 0xD538_0404  # mrs x4, id_aa64pfr0_el1
    pfr0, seen = any_leg.guest((), (mrs_pfr0, *EXIT), PFR0, x(4))
    assert seen == pfr0


def test_a_program_continues_where_mmio_interrupted_it(any_leg: Leg) -> None:
    store = 0xF900_0022  # str x2, [x1]
    seen = any_leg.do(*SVE_VCPU, run(TO_MMIO, store, store), get(PC))
    assert number(seen[4]) == CODE + 8


@pytest.mark.parametrize(("tcr", "esr"), [(0, 0x8600_0004), (0x19, 0x8600_0010)])
def test_stage_1_translation_finds_no_tables(any_leg: Leg, tcr: int, esr: int) -> None:
    tcr_el1 = 0x6030_0000_0013_C102
    before = (put(SCTLR, 1), put(tcr_el1, tcr))
    seen = any_leg.do(*SVE_VCPU, *before, run(*EXIT), get(ESR), get(FAR))
    assert (seen[5].err, exit_of(seen[5]).flags) == (EINTR, 2)
    assert [number(o) for o in seen[6:]] == [esr, 0x4000_0200]


UNDEFINED_AT_EL1 = ("udf", "eret_el2_to", "inst", "branch_to", UNDEF_LOOP)  # the word 0 is UDF


def test_the_instruction_set_is_what_the_id_registers_say(keep: Leg) -> None:
    """Forms of features the machine lacks are undefined, all others are not. What the simulator
    does with words of SVE2.1 is another matter: it knows none, and takes some for what they are
    not (corpus/known)."""
    lacks = lacking(keep.transport.start())
    assert {"sve2", "i8mm", "bf16", "f64mm"} <= lacks
    wrong = []
    for form in FORMS.values():
        if form.cap == "sve2p1":
            continue
        cap = "pauth" if form.name.endswith("_next") else form.cap  # they have a branch by a key
        words = Insn(form, form.draw(Source(bytes(64)))).words()
        esr = keep.guest((), (*ENABLE, *words, *EXIT), ESR)[0]
        if form.name not in UNDEFINED_AT_EL1 and (esr == UNDEFINED) != (cap in lacks):
            wrong.append(form.name)
    assert wrong == []
