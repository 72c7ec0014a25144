"""Calls to the emulator's hypervisor, and what PSCI does to other vcpus."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINTR

import pytest
from emulator_leg import (
    ENABLE,
    ESR,
    EXIT,
    PC,
    PSTATE,
    SCTLR,
    SP_EL1,
    SVE,
    SVE_VCPU,
    ZCR,
    Exit,
    Leg,
    create,
    exit_of,
    finalize,
    get,
    init,
    number,
    open_leg,
    put,
    run,
    x,
    z,
)

from corpus.isa.form import Insn
from corpus.isa.system import CALLS
from corpus.wire import Kind, WireOp

HVC, SMC, SMC_1 = 0xD400_0002, 0xD400_0003, 0xD400_0023
ADD_V4 = 0x4E24_8484  # add v4.16b, v4.16b, v4.16b
MSR_SCTLR_X4 = 0xD518_1004
PSCI = SVE | 4
CODE = 0x4000_1000
MINUS_1, INVALID, ALREADY_ON, FAILURE = ((1 << 64) - n for n in (1, 2, 4, 6))
SYNC_FROM_EL0 = 0x5000_0140

VERSION, SUSPEND, OFF, ON, AFFINITY, MIGRATE_TYPE = (0x8400_0000 + n for n in (0, 1, 2, 3, 4, 6))
SYSTEM_OFF, SYSTEM_RESET, FEATURES, RESET2 = (0x8400_0000 + n for n in (8, 9, 10, 18))
WIDE = 0x4000_0000
OFF_0_1, ON_0_1 = 0x95C1_BA5F, 0x95C1_BA60
SMCCC_VERSION = 0x8000_0000

RUNNABLE, STOPPED = 0, 5
SHUTDOWN, RESET = 1, 2


@pytest.fixture(scope="module", params=["keep", "zero"])
def leg(request: pytest.FixtureRequest) -> Iterator[Leg]:
    with open_leg(f"emulator:{request.param}") as opened:
        yield opened


def up(features: int = PSCI, vcpu: int = 0) -> tuple[WireOp, ...]:
    return (create(vcpu), init(features, vcpu=vcpu), finalize(vcpu=vcpu))


def arguments(*values: int) -> list[WireOp]:
    """x0 to x3 of vcpu 0."""
    padded = (*values, *range(0x77, 0x77 + 4 - len(values)))
    return [put(x(n), value) for n, value in enumerate(padded)]


def mp(vcpu: int) -> WireOp:
    return WireOp(Kind.GET_MP, vcpu)


def stop(vcpu: int) -> WireOp:
    return WireOp(Kind.SET_MP, vcpu, STOPPED)


def call(leg: Leg, before: tuple[WireOp, ...], *values: int, insn: int = HVC) -> list[int]:
    """x0 to x3 after a call by vcpu 0 that returns to the guest."""
    keep = (0xAA00_03E8, 0xAA01_03E9, 0xAA02_03EA, 0xAA03_03EB)  # mov x8..x11, x0..x3
    ops = (*before, *arguments(*values), run(insn, *keep, *EXIT))
    seen = leg.do(*ops, *(get(x(8 + n)) for n in range(4)))
    assert exit_of(seen[-5]).reason == 6
    return [number(o) for o in seen[-4:]]


@pytest.mark.parametrize(
    ("features", "values", "result"),
    [
        (PSCI, (VERSION,), 0x10001),
        (PSCI, (VERSION | 1 << 32,), 0x10001),  # the upper half of x0 is nobody's
        (SVE, (VERSION,), MINUS_1),
        (SVE, (SMCCC_VERSION,), 0x10001),
        (PSCI, (SMCCC_VERSION,), 0x10001),
        (PSCI, (0x8400_FFFF,), MINUS_1),
        (PSCI, (OFF_0_1,), MINUS_1),
        (SVE, (ON_0_1, 5), INVALID),
        (SVE, (ON_0_1, 0), INVALID),  # on already, which 0.1 has no word for
        (PSCI, (MIGRATE_TYPE,), 2),
        (PSCI, (FEATURES, ON | WIDE), 0),
        (PSCI, (FEATURES, SMCCC_VERSION), 0),
        (PSCI, (FEATURES, RESET2), 0),
        (PSCI, (FEATURES, 0x8400_000E), MINUS_1),  # SYSTEM_SUSPEND must be allowed first
        (PSCI, (0x8400_000E,), MINUS_1),
        (PSCI, (0x8400_0005,), MINUS_1),  # MIGRATE
        (PSCI, (ON, 0), ALREADY_ON),
        (PSCI, (ON, 1), INVALID),
        (PSCI, (ON | WIDE, 1 << 31), INVALID),
        (PSCI, (ON, 1 << 32), ALREADY_ON),  # narrowed to 0
        (PSCI, (ON | WIDE, 1 << 32), INVALID),  # affinity 3 is 1
        (PSCI, (AFFINITY, 0, 0), 0),
        (PSCI, (AFFINITY, 1, 0), INVALID),
        (PSCI, (AFFINITY, 1, 1), 0),
        (PSCI, (AFFINITY, 0, 4), INVALID),
        (PSCI, (RESET2, 1), INVALID),
        (PSCI, (RESET2 | WIDE, 1 << 32 | 1), INVALID),  # the type is the low half even so
    ],
)
def test_calls_that_return(leg: Leg, features: int, values: tuple[int, ...], result: int) -> None:
    assert call(leg, up(features), *values) == [result, 0, 0, 0]


@pytest.mark.parametrize("features", [PSCI, SVE])
@pytest.mark.parametrize("function", [0x8000_8000, 0x8000_7FFF, 0x8000_3FFF])
def test_workarounds_clobber_two_registers(leg: Leg, features: int, function: int) -> None:
    assert call(leg, up(features), function, 5, 6, 7) == [0, 0, 6, 7]


def test_secure_monitor_calls(leg: Leg) -> None:
    assert call(leg, up(), VERSION, insn=SMC) == [0x10001, 0, 0, 0]
    assert call(leg, up(), VERSION, 5, 6, 7, insn=SMC_1) == [MINUS_1, 5, 6, 7]


def test_a_call_from_el0_is_undefined(leg: Leg) -> None:
    eret_to = next(form for form in CALLS if form.name == "eret_to")
    code = (*Insn(eret_to, (0x3C0,)).words(), HVC)
    seen = leg.do(*up(), run(*code), get(ESR), get(PSTATE))
    assert exit_of(seen[3]).address == SYNC_FROM_EL0
    assert [number(o) for o in seen[4:]] == [0x0200_0000, 0x3C5]


@pytest.mark.parametrize(("mode", "sp"), [("el0t", 0x30), ("el1t", 0x30), ("el1h", 0x70)])
def test_a_return_to_each_mode_goes_on_behind_it(leg: Leg, mode: str, sp: int) -> None:
    eret_to = next(form for form in CALLS if form.name == "eret_to")
    spsr = {"el0t": 0x3C0, "el1t": 0x3C4, "el1h": 0x3C5}[mode]
    sp_el0 = 0x6030_0000_0010_003E
    mov_x4_sp = 0x9100_03E4
    code = (*Insn(eret_to, (spsr,)).words(), mov_x4_sp, *EXIT)
    seen = leg.do(*up(), put(sp_el0, 0x30), put(SP_EL1, 0x70), run(*code), get(x(4)), get(PSTATE))
    assert exit_of(seen[5]).address == 0x5000_0000
    assert [number(o) for o in seen[6:]] == [sp, spsr]


def test_a_call_may_cost_the_tails(leg: Leg) -> None:
    """An exception to EL2 like any other exit."""
    msr_zcr_x3 = 0xD518_1203
    grow = (0xD280_01E3, msr_zcr_x3)  # mov x3, #15
    before = (put(z(3), b"\xab" * 256), put(ZCR, 15), put(x(0), VERSION))
    at_16 = leg.guest(before, (*ENABLE, ADD_V4, HVC, *EXIT), z(3))
    assert at_16 == [int.from_bytes(b"\xab" * 256, "little")]
    small = (*ENABLE, 0xD280_0003, msr_zcr_x3, ADD_V4, HVC, *grow, ADD_V4, *EXIT)
    kept = leg.guest(before, small, z(3))[0].to_bytes(256, "little")
    tail = leg.transport.start()["tail"]
    assert kept == (b"\xab" * 256 if tail == "keep" else b"\xab" * 16 + bytes(240))


@pytest.mark.parametrize(
    ("function", "event", "after"),
    [
        (SYSTEM_OFF, (SHUTDOWN, 0), [FAILURE, 0, 0, 0]),
        (SYSTEM_RESET, (RESET, 0), [FAILURE, 0, 0, 0]),
        (RESET2, (RESET, 1), [FAILURE, 0, 6, 7]),
        (RESET2 | WIDE, (RESET, 1), [FAILURE, 1 << 63, 1 << 32 | 6, 7]),
    ],
)
def test_system_events(leg: Leg, function: int, event: tuple[int, int], after: list[int]) -> None:
    values = (function, 1 << 63, 1 << 32 | 6, 7)  # as a reset type 0, the upper half unseen
    ops = (*up(), *up(vcpu=1), create(2), *arguments(*values), run(HVC, *EXIT))
    seen = leg.do(*ops, mp(0), mp(1), mp(2), *(get(x(n)) for n in range(4)), get(PC), run(*EXIT))
    left = seen[len(ops) - 1]
    assert (left.err, exit_of(left)) == (0, Exit(24, event[0], event[1], 0, 0, 0))
    states = seen[len(ops) : len(ops) + 3]
    assert [number(o) for o in states] == [STOPPED] * 3
    assert [number(o) for o in seen[len(ops) + 3 : -2]] == after
    assert number(seen[-2]) == CODE + 4
    assert (seen[-1].err, exit_of(seen[-1]).flags) == (EINTR, 1)


@pytest.mark.parametrize(
    ("features", "function", "state"),
    [
        (PSCI, OFF, STOPPED),
        (SVE, OFF_0_1, STOPPED),
        (PSCI, SUSPEND, RUNNABLE),
        (PSCI, SUSPEND | WIDE, RUNNABLE),
    ],
)
def test_a_vcpu_that_waits_for_ever(leg: Leg, features: int, function: int, state: int) -> None:
    ops = (*up(features), *arguments(function), run(HVC, *EXIT))
    seen = leg.do(*ops, mp(0), *(get(x(n)) for n in range(4)), get(PC))[len(ops) - 1 :]
    assert (seen[0].err, seen[0].data) == (EINTR, bytes(28) + b"\x02\0\0\0")
    assert number(seen[1]) == state
    assert [number(o) for o in seen[2:]] == [0, 0, 0, 0, CODE + 4]


ENTRY, CONTEXT = 0x4000_8000, 0xC0FFEE


@pytest.mark.parametrize("function", [ON, ON | WIDE])
def test_cpu_on_resets_at_the_next_access(leg: Leg, function: int) -> None:
    pair = (*up(), *up(vcpu=1))
    dirty = (put(x(5), 5, vcpu=1), put(z(1), b"\xab" * 256, vcpu=1), put(SP_EL1, 9, vcpu=1))
    ops = (*pair, *dirty, stop(1), *arguments(function, 1, ENTRY, CONTEXT), run(HVC, *EXIT))
    reads = (get(x(0)), mp(1), *(get(r, vcpu=1) for r in (PC, x(0), x(5), z(1), SP_EL1, PC)))
    seen = [number(o) for o in leg.do(*ops, *reads)[len(ops) :]]
    # SP_EL1 is none of the registers that KVM resets.
    assert seen == [0, RUNNABLE, ENTRY, CONTEXT, 0, 0, 9, ENTRY]


def test_cpu_on_with_psci_0_1(leg: Leg) -> None:
    ops = (*up(SVE), *up(SVE, 1), stop(1), *arguments(ON_0_1, 1, ENTRY, CONTEXT), run(HVC, *EXIT))
    seen = leg.do(*ops, get(x(0)), get(PC, vcpu=1), get(x(0), vcpu=1))[len(ops) :]
    assert [number(o) for o in seen] == [0, ENTRY, CONTEXT]


def test_a_set_comes_after_the_reset(leg: Leg) -> None:
    ops = (*up(), *up(vcpu=1), stop(1), *arguments(ON, 1, ENTRY, CONTEXT), run(HVC, *EXIT))
    refused = put(z(0) + 1, bytes(256), vcpu=1)
    seen = leg.do(*ops, refused, put(x(0), 7, vcpu=1), get(PC, vcpu=1), get(x(0), vcpu=1))
    assert [number(o) for o in seen[-2:]] == [ENTRY, 7]


def test_init_uses_the_entry_up_and_leaves_the_reset_to_come(leg: Leg) -> None:
    ops = (*up(), *up(vcpu=1), stop(1), *arguments(ON, 1, ENTRY, CONTEXT), run(HVC, *EXIT))
    again = (init(PSCI, vcpu=1), get(PC, vcpu=1), get(x(0), vcpu=1))
    assert [number(o) for o in leg.do(*ops, *again)[-2:]] == [0, 0]


def test_cpu_on_passes_endianness_on(leg: Leg) -> None:
    big = (put(x(4), 1 << 25 | 0x00C5_0078), stop(1), *arguments(ON, 1, ENTRY, CONTEXT))
    ops = (*up(), *up(vcpu=1), *big, run(MSR_SCTLR_X4, HVC, *EXIT), get(SCTLR, vcpu=1))
    assert number(leg.do(*ops)[-1]) == 1 << 25 | 0x00C5_0078


def test_affinity_info_of_a_stopped_vcpu(leg: Leg) -> None:
    before = (*up(), *up(vcpu=1), stop(1))
    assert call(leg, before, AFFINITY, 1, 0) == [1, 0, 0, 0]
    assert call(leg, before, AFFINITY, 1, 1) == [0, 0, 0, 0]
    assert call(leg, (*up(), *up(vcpu=1)), AFFINITY | WIDE, 1, 0) == [0, 0, 0, 0]


def test_vcpu_17_has_affinity_1_1(leg: Leg) -> None:
    assert call(leg, (*SVE_VCPU[:1], init(PSCI), finalize(), *up(vcpu=17)), ON, 0x101) == [
        *(ALREADY_ON, 0, 0, 0)
    ]
