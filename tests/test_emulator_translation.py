"""The emulator's stage 1: it walks whatever tables a guest has in RAM."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from emulator_leg import (
    ENABLE,
    ESR,
    EXIT,
    FAR,
    SCTLR,
    SVE_VCPU,
    Leg,
    exit_of,
    get,
    number,
    open_leg,
    put,
    run,
    x,
)

from corpus.isa.stage1 import ENTRIES, LEVEL1, LEVEL2, LEVEL3, MMIO_PLACE, PAGE_SIZE, TCR
from corpus.isa.stage1 import SCTLR as ON
from corpus.trace import Observation
from corpus.wire import MMIO_BASE, RAM_BASE, Kind, WireOp

TTBR0_EL1, TCR_EL1 = 0x6030_0000_0013_C100, 0x6030_0000_0013_C102
DATA = RAM_BASE + 0x8000
LDR_X2, STR_X2 = 0xF940_0022, 0xF900_0022  # [x1]
CODE_ENTRY, DATA_ENTRY = LEVEL3 + 8, LEVEL3 + 8 * 8
LOAD, STORE, FETCH = 0x9600_0000, 0x9600_0040, 0x8600_0000


@pytest.fixture(scope="module")
def leg() -> Iterator[Leg]:
    with open_leg("emulator:keep") as opened:
        yield opened


def ran(leg: Leg, code: int, entries: dict[int, int], **controls: int) -> tuple[Observation, ...]:
    """What a run with X1 at DATA and these entries changed shows, ESR_EL1 and FAR_EL1 behind it."""
    written = [
        WireOp(Kind.WRITE_MEM, 0, at - RAM_BASE, 0, struct.pack("<Q", entry))
        for at, entry in (ENTRIES | entries).items()
    ]
    registers = (
        put(TTBR0_EL1, controls.get("ttbr", LEVEL1)),
        put(TCR_EL1, controls.get("tcr", TCR)),
        put(SCTLR, ON),
        put(x(1), DATA),
    )
    ops = (*SVE_VCPU, *written, *registers, run(*ENABLE, code, *EXIT), get(ESR), get(FAR))
    return leg.do(*ops)[-3:]


def test_an_access_that_is_mapped(leg: Leg) -> None:
    run_, *_ = ran(leg, STR_X2, {})
    assert exit_of(run_).address == MMIO_BASE


ENTRY = ENTRIES[DATA_ENTRY]


@pytest.mark.parametrize(
    ("entries", "code", "esr"),
    [
        ({DATA_ENTRY: 0}, LDR_X2, LOAD | 0x07),
        ({DATA_ENTRY: ENTRY & ~2}, LDR_X2, LOAD | 0x07),  # no block at the last level
        ({DATA_ENTRY: ENTRY & ~(1 << 10)}, LDR_X2, LOAD | 0x0B),  # AF
        ({DATA_ENTRY: ENTRY | 1 << 7}, STR_X2, STORE | 0x0F),
        ({DATA_ENTRY: ENTRY + PAGE_SIZE}, LDR_X2, LOAD | 0x10),  # would move it
        ({CODE_ENTRY: ENTRIES[CODE_ENTRY] | 1 << 53}, LDR_X2, FETCH | 0x0F),  # PXN
        ({CODE_ENTRY: ENTRIES[CODE_ENTRY] & ~(1 << 7)}, LDR_X2, FETCH | 0x0F),  # for EL0 to write
        ({LEVEL2 + MMIO_PLACE: 0}, LDR_X2, STORE | 0x06),
        ({LEVEL1 + 8: 0x6000_0003}, LDR_X2, FETCH | 0x10),  # no table there
    ],
)
def test_what_an_entry_decides(leg: Leg, entries: dict[int, int], code: int, esr: int) -> None:
    seen = ran(leg, code, entries)
    assert number(seen[1]) == esr


@pytest.mark.parametrize(
    ("tcr", "ttbr", "esr"),
    [
        (TCR | 1 << 7, LEVEL1, FETCH | 0x04),  # EPD0
        (TCR - 32 + 10, LEVEL1, FETCH | 0x04),  # T0SZ too small
        (TCR + 2, LEVEL1, FETCH | 0x04),  # 30 bits do not reach RAM
        (TCR, 0x6000_0000, FETCH | 0x10),
        (TCR | 1 << 14, LEVEL1, FETCH | 0x10),  # a granule that it does not know
    ],
)
def test_what_the_controls_decide(leg: Leg, tcr: int, ttbr: int, esr: int) -> None:
    seen = ran(leg, LDR_X2, {}, tcr=tcr, ttbr=ttbr)
    assert number(seen[1]) == esr


@pytest.mark.parametrize("sctlr", [ON & ~1, ON])
@pytest.mark.parametrize("address", [(1 << 64) - 16, (1 << 64) - 8])
def test_an_access_at_the_end_of_all_addresses_ends(leg: Leg, sctlr: int, address: int) -> None:
    """Whether it faults in stage 1 or, without that, is beyond what the CPU can address."""
    written = [
        WireOp(Kind.WRITE_MEM, 0, at - RAM_BASE, 0, struct.pack("<Q", entry))
        for at, entry in ENTRIES.items()
    ]
    tables = put(TTBR0_EL1, LEVEL1), put(TCR_EL1, TCR), put(SCTLR, sctlr)
    ops = (
        *SVE_VCPU,
        *written,
        *tables,
        put(x(1), address),
        run(*ENABLE, LDR_X2, *EXIT),
        get(ESR),
        get(FAR),
    )
    *_, esr, far = leg.do(*ops)
    assert number(esr) == LOAD | (0x04 if sctlr & 1 else 0)
    assert number(far) == address
