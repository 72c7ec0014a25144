"""Guests with a map of their own: what of an access reaches memory, and what faults how."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from emulator_leg import SCTLR, SVE_VCPU, get, number, open_leg, run, x

from corpus.isa.stage1 import (
    DEVICE,
    ENTRIES,
    FORM,
    HOLE,
    LEVEL1,
    PAGE_SIZE,
    PAGES,
    PLAIN,
    PRIVILEGED,
    READ_ONLY,
    TCR,
)
from corpus.isa.stage1 import SCTLR as SCTLR_ON
from corpus.isa.table import insn
from corpus.ops import machine_code
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from corpus.wire import CODE_BASE, MMIO_BASE, RAM_BASE, RAM_SIZE, VECTOR_MMIO, Kind, WireOp
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.rules import is_strict

BEGIN = """create v0
init v0
finalize v0
set v0 cpacr_el1 0x330000
set v0 zcr_el1 15
set v0 ffr ones:256
"""
MACHINE = Profile()
READ, WRITE = 0x9600_0000, 0x9600_0040
"""ESR_EL1 of a data abort from EL1."""
BEHIND_SETUP = CODE_BASE + 4 * len(FORM.words)


def place(page: object) -> int:
    """The offset in RAM of the last page of a kind, none of which is the first of the data."""
    return PAGE_SIZE * (len(PAGES) - 1 - PAGES[::-1].index(page))


def ran(code: str, *looks: str, profile: Profile = MACHINE) -> tuple[Observation, ...]:
    """What a run with stage 1 on and looks behind it show; the model agrees with itself."""
    text = "".join(f"{look}\n" for look in looks)
    case = parse_case(f"{BEGIN}run v0 {{\nstage-1-on\n{code}\n}}\n{text}")
    trace = ModelTarget(profile).run(case)
    verdict = judge(case, trace, profile)
    assert isinstance(verdict, Agree)
    assert not verdict.reason
    return trace.observations[6:]


def unjudged(text: str, profile: Profile = MACHINE) -> str:
    """Why the model's own trace of a case is not judged to its end; it does not diverge."""
    case = parse_case(text)
    verdict = judge(case, ModelTarget(profile).run(case), profile)
    assert isinstance(verdict, Agree)
    return verdict.reason


def exit_address(seen: Observation) -> int:
    return int.from_bytes(seen.data[8:16], "little")


def fault(code: str) -> tuple[int, int, int]:
    """ESR_EL1, FAR_EL1 as an offset in RAM, and the instruction that faulted, by number."""
    run, *rest = ran(code, "get v0 esr_el1", "get v0 far_el1", "get v0 elr_el1")
    assert exit_address(run) >= VECTOR_MMIO
    esr, far, elr = map(number, rest)
    return esr, far - RAM_BASE, (elr - BEHIND_SETUP) // 4


def sysreg(crn: int, op2: int, crm: int = 0) -> int:
    return 0x6030_0000_0013_C000 | crn << 7 | crm << 3 | op2


def test_the_words_do_what_the_model_has_them_do() -> None:
    """An emulator executes them that knows nothing of the map; behind them is no instruction."""
    registers = (x(0), x(1), x(28), x(29), x(30), SCTLR)
    with open_leg("emulator:keep") as leg:
        whole = WireOp(Kind.READ_MEM, 0, 0, RAM_SIZE)
        ops = (*SVE_VCPU, run(*FORM.words), whole, *map(get, registers))
        tables = map(get, (sysreg(2, 0), sysreg(2, 2), sysreg(10, 0, 2)))
        *_, ttbr, tcr, mair = map(number, leg.do(*ops, *tables)[5:])
        memory, *held = leg.do(*ops)[4:]
    assert (ttbr, tcr, mair) == (LEVEL1, TCR, 0x4400)
    filled = bytearray(RAM_SIZE - 0x6000)
    for address, entry in ENTRIES.items():
        at = address - RAM_BASE - 0x6000
        if at >= 0:
            filled[at : at + 8] = entry.to_bytes(8, "little")
    assert memory.data[0x6000:] == filled
    assert memory.data[0x800:0x820] == struct.pack("<4Q", 0, ENTRIES[LEVEL1 + 8], 0, 0)
    names = ("x0", "x1", "x28", "x29")
    _, *modelled = ran("nop", *(f"get v0 {name}" for name in names))
    assert list(map(number, held[:4])) == list(map(number, modelled))
    assert number(held[5]) == SCTLR_ON


def test_stage_1_stays_on() -> None:
    run, sctlr, again, x2 = ran(
        f"lda x1, ram+{place(PLAIN)}\nstr x1, [x1, #8]",
        "get v0 sctlr_el1",
        f"run v0 {{\nlda x1, ram+{place(PLAIN)}\nldr x2, [x1, #8]\n}}",
        "get v0 x2",
    )
    assert exit_address(run) == exit_address(again) == MMIO_BASE
    assert number(sctlr) == 0xC5_0079
    assert number(x2) == RAM_BASE + place(PLAIN)


@pytest.mark.parametrize(
    ("offset", "access", "esr"),
    [
        (place(HOLE) + 8, "ldr x2, [x1]", READ | 0b0111),
        (place(HOLE) + 8, "str x2, [x1]", WRITE | 0b0111),
        (place(READ_ONLY) + 8, "str x2, [x1]", WRITE | 0b1111),
        (place(READ_ONLY) + 8, "str_z", WRITE | 0b1111),
        (0x1008, "str x2, [x1]", WRITE | 0b1111),
    ],
)
def test_a_page_faults_as_it_is_mapped(offset: int, access: str, esr: int) -> None:
    access = "str z1, [x1]" if access == "str_z" else access
    assert fault(f"lda x1, ram+{offset}\n{access}") == (esr, offset, 2)


@pytest.mark.parametrize(
    ("address", "level"), [(0x2000_0000, 1), (0x4800_0000, 2), (0x4012_3000, 3), (1 << 40, 0)]
)
def test_a_walk_ends_where_there_is_no_table(address: int, level: int) -> None:
    halves = [address >> shift & 0xFFFF for shift in (0, 16, 32)]
    code = "".join(f"movk x1, #{half}, lsl #{16 * n}\n" for n, half in enumerate(halves))
    esr, far, _ = fault(f"mov x1, #0\n{code}ldr q2, [x1]")
    assert (esr, far + RAM_BASE) == (READ | 0b0100 | level, address)


def test_a_fault_leaves_a_general_register_alone() -> None:
    _, x2 = ran(f"mov x2, #7\nlda x1, ram+{place(HOLE)}\nldr x2, [x1]", "get v0 x2")
    assert number(x2) == 7


@pytest.mark.parametrize(
    ("access", "write"),
    [
        ("ldr q2, [x1]", 0),
        ("str q2, [x1]", 1),
        ("ldp q2, q3, [x1]", 0),
        ("ld4 {v2.16b-v5.16b}, [x1]", 0),
        ("ldr z2, [x1]", 0),
        ("str z2, [x1]", 1),
        ("ld1b {z2.b}, p0/z, [x1]", 0),
        ("st1d {z2.d}, p0, [x1]", 1),
        ("ld3w {z2.s-z4.s}, p0/z, [x1]", 0),
        ("ld1rqb {z2.b}, p0/z, [x1]", 0),
    ],
)
def test_an_access_across_an_edge_faults_where_the_page_begins(access: str, write: int) -> None:
    """Whether in the middle of an element or between two."""
    edge = place(HOLE)
    code = f"ptrue p0.b\nlda x1, ram+{edge - 7}\n{access}"
    assert fault(code) == ((READ, WRITE)[write] | 0b0111, edge, 3)


def test_what_was_stored_before_a_fault_may_have_been_stored() -> None:
    edge = place(HOLE)
    store = f"ptrue p0.b\nlda x1, ram+{edge - 7}\nst1d {{z2.d}}, p0, [x1]"
    text = f"{BEGIN}set v0 z2 0xff*\nrun v0 {{\nstage-1-on\n{store}\n}}\n"
    case = parse_case(f"{text}read-mem {edge - 32} length=32\n")
    trace = ModelTarget(Profile()).run(case)
    for last in (b"\0" * 7, b"\xff" * 7, b"\0\xff\0\xff\xff\0\0"):
        seen = Observation(0, 0, bytes(25) + last)
        told = Trace((*trace.observations[:-1], seen), trace.ending)
        assert isinstance(judge(case, told, Profile()), Agree)
    seen = Observation(0, 0, bytes(24) + b"\xff" * 8)
    told = Trace((*trace.observations[:-1], seen), trace.ending)
    assert isinstance(judge(case, told, Profile()), Diverge)


def test_inactive_elements_do_not_fault() -> None:
    code = f"ptrue p0.b, vl4\nlda x1, ram+{place(HOLE) - 4}\nld1b {{z2.b}}, p0/z, [x1]"
    assert exit_address(ran(code)[0]) == MMIO_BASE


def test_normal_memory_needs_no_alignment() -> None:
    """Even on a machine where Device memory does."""
    strict = replace(Profile(), unaligned=False)
    code = f"ptrue p0.b\nlda x1, ram+{place(PLAIN) + 1}\nld1d {{z2.d}}, p0/z, [x1]"
    assert exit_address(ran(code, profile=strict)[0]) == MMIO_BASE


@pytest.mark.parametrize(
    ("access", "off", "esr"),
    [
        ("ldr x2, [x1, #0]", 4, READ),
        ("ldr h2, [x1, #0]", 1, READ),
        ("ldr q2, [x1, #0]", 4, READ),
        ("ldp d2, d3, [x1, #0]", 2, READ),
        ("str x2, [x1, #0]", 1, WRITE),
        ("str s2, [x1, #0]", 2, WRITE),
        ("stp s2, s3, [x1, #0]", 2, WRITE),
    ],
)
def test_what_is_not_aligned_to_its_elements_faults_in_device_memory(
    access: str, off: int, esr: int
) -> None:
    at = place(DEVICE) + off
    looks = ("get v0 esr_el1", "get v0 far_el1", f"read-mem {place(DEVICE)} length=32")
    _, status, where, _ = ran(f"lda x1, ram+{at}\n{access}", *looks)
    assert number(status) == esr | 0b100001
    assert number(where) == RAM_BASE + at


def test_a_machine_that_lets_it_pass_is_right_too_but_nothing_else() -> None:
    looks = "get v0 x2\nget v0 esr_el1\n"
    case, aligned = (
        parse_case(
            f"{BEGIN}set v0 esr_el1 0\nrun v0 {{\nstage-1-on\n"
            f"lda x1, ram+{place(DEVICE) + off}\nldr x2, [x1, #0]\n}}\n{looks}"
        )
        for off in (4, 8)
    )
    passed = ModelTarget(MACHINE).run(aligned)
    verdict = judge(case, passed, MACHINE)
    assert isinstance(verdict, Agree)
    assert "stage1.device-unaligned" in verdict.rules
    *seen, status = ModelTarget(MACHINE).run(case).observations
    assert isinstance(judge(case, Trace((*seen, status)), MACHINE), Agree)
    wrong = replace(status, data=(number(status) ^ 1).to_bytes(8, "little"))
    assert isinstance(judge(case, Trace((*seen, wrong)), MACHINE), Diverge)


@pytest.mark.parametrize("access", ["ldr b2, [x1, #0]", "ldr h2, [x1, #0]", "ldp d2, d3, [x1, #0]"])
def test_what_is_aligned_to_its_elements_does_not(access: str) -> None:
    off = 8 if "ldp" in access else 2
    code = f"lda x1, ram+{place(DEVICE) + off}\n{access}\nmovz x9, #7"
    _, behind = ran(code, "get v0 x9")
    assert number(behind) == 7


@pytest.mark.parametrize(
    ("access", "off"),
    [
        ("ldr q2, [x1, #0]", 8),
        ("ld1 {v2.2d}, [x1]", 1),
        ("ldr z2, [x1, #0, mul vl]", 1),
        ("ldr x2, [x1, #0]", -4),
        ("ldr x2, [x1, #0]", PAGE_SIZE - 4),
    ],
)
def test_what_may_fault_in_device_memory_is_not_judged(access: str, off: int) -> None:
    """Halves that are aligned, elements whose size goes by the form, and two kinds of memory."""
    code = f"lda x1, ram+{place(DEVICE) + off}\n{access}"
    text = f"{BEGIN}run v0 {{\nstage-1-on\n{code}\n}}\n"
    assert "Device" in unjudged(text)


def loaded(load: str, offset: int) -> tuple[int, int]:
    """FFR, of 256 bits, and ESR_EL1 after a load from RAM at an offset, p0 true."""
    code = f"ptrue p0.b\nmov x5, #0\nlda x1, ram+{offset}\n{load}"
    _, ffr, esr = ran(f"mov x0, #0\n{code}", "get v0 ffr", "get v0 esr_el1")
    return number(ffr), number(esr)


@pytest.mark.parametrize("load", ["ldff1b {z2.b}, p0/z, [x1, x5]", "ldnf1b {z2.b}, p0/z, [x1]"])
@pytest.mark.parametrize("left", [1, 5, 255, 256])
def test_ffr_ends_at_the_first_element_that_faults(load: str, left: int) -> None:
    ffr, _ = loaded(load, place(HOLE) - left)
    assert ffr == (1 << left) - 1


def test_a_first_fault_load_whose_first_element_faults() -> None:
    ffr, esr = loaded("ldff1b {z2.b}, p0/z, [x1, x5]", place(HOLE))
    assert (ffr, esr) == ((1 << 256) - 1, READ | 0b0111)


def test_a_no_fault_load_never_faults() -> None:
    run, ffr = ran(
        f"ptrue p0.b\nlda x1, ram+{place(HOLE)}\nldnf1d {{z2.d}}, p0/z, [x1]", "get v0 ffr"
    )
    assert exit_address(run) == MMIO_BASE
    assert number(ffr) == 0


def ffr_judged(ffr: int, offset: int, profile: Profile) -> str | None:
    """The rule that an FFR breaks after a first-fault load from an offset; None if none."""
    load = f"ptrue p0.b\nmov x5, #0\nlda x1, ram+{offset}\nldff1b {{z2.b}}, p0/z, [x1, x5]"
    case = parse_case(f"{BEGIN}run v0 {{\nstage-1-on\n{load}\n}}\nget v0 ffr\n")
    trace = ModelTarget(profile).run(case)
    seen = Observation(0, 0, ffr.to_bytes(32, "little"))
    verdict = judge(case, Trace((*trace.observations[:-1], seen), trace.ending), profile)
    return verdict.rule if isinstance(verdict, Diverge) else None


def test_a_load_that_stops_without_cause_diverges_where_the_machine_reads_on() -> None:
    rule = ffr_judged(0xFF, place(HOLE) - 256, Profile())
    assert rule is not None
    assert not is_strict(rule)
    assert ffr_judged(0xFF, place(HOLE) - 256, replace(Profile(), reads_on=False)) is None
    assert ffr_judged(0xFF, place(READ_ONLY) - 8, Profile()) is None  # another page may stop it


def test_a_load_that_does_not_stop_at_a_fault_diverges_everywhere() -> None:
    rule = ffr_judged((1 << 256) - 1, place(HOLE) - 8, replace(Profile(), reads_on=False))
    assert rule is not None
    assert is_strict(rule)


def test_el0_may_not_reach_privileged_pages() -> None:
    run, esr, far = ran(
        f"eret-to el0t\nlda x1, ram+{place(PRIVILEGED) - 8}\nldr x2, [x1]\nldr x2, [x1, #8]",
        "get v0 esr_el1",
        "get v0 far_el1",
    )
    assert exit_address(run) >= VECTOR_MMIO
    assert number(far) == RAM_BASE + place(PRIVILEGED)
    assert number(esr) == 0x9200_000F


@pytest.mark.parametrize(
    ("page", "status"), [(HOLE, 0b0111), (PLAIN, 0b1111), (READ_ONLY, 0b1111), (DEVICE, 0b1111)]
)
@pytest.mark.parametrize("el0", [False, True])
def test_data_is_not_executed(page: object, status: int, el0: bool) -> None:
    go = f"branch-to ram+{place(page) + 8}"
    looks = ("get v0 esr_el1", "get v0 far_el1", "get v0 elr_el1")
    _, *seen = ran(f"eret-to el0t\n{go}" if el0 else go, *looks)
    target = RAM_BASE + place(page) + 8
    assert [number(one) for one in seen] == [
        0x8200_0000 + (not el0) * 0x400_0000 | status,
        target,
        target,
    ]


def test_without_stage_1_zeros_in_data_are_undefined() -> None:
    text = f"{BEGIN}run v0 {{\nbranch-to ram+0x8010\n}}\nget v0 elr_el1\nget v0 esr_el1\n"
    seen = ModelTarget(MACHINE).run(parse_case(text)).observations[7:]
    assert [number(one) for one in seen] == [RAM_BASE + 0x8010, 0x200_0000]
    assert not unjudged(text)
    assert unjudged(text.replace("run", "write-mem 0x8010 1 length=16\nrun", 1))


def test_el0_cannot_switch_it_on() -> None:
    looks = "get v0 esr_el1\nget v0 elr_el1\n"
    case = parse_case(f"{BEGIN}run v0 {{\neret-to el0t\nstage-1-on\n}}\n{looks}")
    seen = ModelTarget(Profile()).run(case).observations
    assert [number(one) for one in seen[7:]] == [0x200_0000, CODE_BASE + 4 * (5 + 2)]


def test_faults_that_are_returned_from() -> None:
    run, x5, far = ran(
        f"return-vectors\nlda x1, ram+{place(HOLE)}\nldr z2, [x1]\n"
        "str z2, [x1, #1, mul vl]\nmov x5, #7",
        "get v0 x5",
        "get v0 far_el1",
    )
    assert exit_address(run) == MMIO_BASE
    assert (number(x5), number(far)) == (7, RAM_BASE + place(HOLE) + 256)


@pytest.mark.parametrize(
    ("first", "between", "second"),
    [
        ("lda x1, ram+0x7000\nstr x0, [x1]", "", ""),
        ("nop", "set v0 pstate 0x4003c5\n", "nop"),
        ("nop", "init v0\nset v0 sctlr_el1 0xc50079\n", "nop"),
    ],
)
def test_what_is_not_the_map_is_not_judged(first: str, between: str, second: str) -> None:
    behind = f"{between}run v0 {{\n{second}\n}}\n"
    assert unjudged(f"{BEGIN}run v0 {{\nstage-1-on\n{first}\n}}\n{behind}")


def test_a_leg_without_translation_is_not_judged() -> None:
    leg = replace(Profile(), stage1=False)
    assert unjudged(f"{BEGIN}run v0 {{\nstage-1-on\n}}\n", leg)


def test_the_longest_program_has_room() -> None:
    assert len(machine_code((insn(FORM.name),) * 48)) <= 0x3000
