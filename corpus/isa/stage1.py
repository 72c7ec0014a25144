"""A guest's own map of its memory, and the pseudo-instruction that switches translation on.

`stage-1-on` is ordinary code: it writes tables for the pages below into RAM, touches every page
of RAM so that stage 2 has it, and sets MAIR_EL1, TCR_EL1, TTBR0_EL1 and SCTLR_EL1.M. Addresses
stay what they were; a page of MMIO is mapped with them, and nothing else. SCTLR_EL1.C stays clear,
so that stores reach memory as they do without translation.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus.isa.form import Form
from corpus.wire import DATA_BASE, MMIO_BASE, RAM_BASE

PAGE_SIZE = 0x1000

_EL0, _READ_ONLY, _ACCESSED = 1 << 6, 2 << 6, 1 << 10
_NORMAL = 1 << 2
_TABLE_OR_PAGE, _BLOCK = 3, 1
_XN = 3 << 53
"""Fields of descriptors: AP, AF, AttrIndx, what kind it is, and UXN with PXN (Arm ARM,
VMSAv8-64)."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is mapped in one place. `low`: bits of the descriptor below the address, 0 of a hole."""

    name: str
    low: int

    @property
    def is_hole(self) -> bool:
        """Whether nothing is mapped."""
        return self.low == 0

    @property
    def is_device(self) -> bool:
        """Whether it is Device memory."""
        return not self.is_hole and not self.low & _NORMAL

    def permits(self, el: int, *, write: bool) -> bool:
        """Whether loads or stores from EL `el` may reach it."""
        return (el > 0 or bool(self.low & _EL0)) and not (write and self.low & _READ_ONLY)


_MAPPED = _TABLE_OR_PAGE | _ACCESSED
OWN = Page("own", _MAPPED | _NORMAL)
CODE = Page("code", _MAPPED | _NORMAL | _EL0 | _READ_ONLY)
PLAIN = Page("plain", _MAPPED | _NORMAL | _EL0)
PRIVILEGED = Page("privileged", OWN.low)
READ_ONLY = Page("read-only", CODE.low)
DEVICE = Page("device", _MAPPED | _EL0)
HOLE = Page("hole", 0)

PAGES: tuple[Page, ...] = (
    *(OWN, CODE, CODE, CODE, OWN, CODE, OWN, OWN),
    *(PLAIN, HOLE, PLAIN, READ_ONLY, PLAIN, DEVICE, PRIVILEGED, PLAIN),
)
"""Guest RAM, page by page: vectors, code, handlers, code of a second thread, tables, and data. What
EL0 may write is never executable at EL1, so code is read-only; of data nothing is executable."""

LEVEL1, LEVEL2, LEVEL3 = RAM_BASE + 0x800, RAM_BASE + 0x6000, RAM_BASE + 0x7000
REGION, BLOCK_SIZE = 1 << 30, 1 << 21
"""What an entry of level 1 and of level 2 spans, in bytes."""
INPUT_SIZE = 1 << 32
"""Addresses from here on are beyond what TCR_EL1.T0SZ lets translate."""

_LITERALS = (
    *(page.low and RAM_BASE + PAGE_SIZE * n | page.low for n, page in enumerate(PAGES)),
    LEVEL3 | _TABLE_OR_PAGE,
    MMIO_BASE | _BLOCK | _ACCESSED | _EL0,
    LEVEL2 | _TABLE_OR_PAGE,
)
"""Descriptors, but for what of them is above bit 31: all of level 3, the two of level 2, and that
of level 1."""

_FIRST_DATA = (DATA_BASE - RAM_BASE) // PAGE_SIZE
LEVEL3_ENTRIES = tuple(
    literal | (_XN if n >= _FIRST_DATA else 0) for n, literal in enumerate(_LITERALS[: len(PAGES)])
)
LEVEL2_ENTRIES = _LITERALS[-3], _LITERALS[-2] | _XN
LEVEL1_ENTRY = _LITERALS[-1]
MMIO_PLACE = 8 * ((MMIO_BASE - RAM_BASE) // BLOCK_SIZE)
"""Where its entry is in the table of level 2, in bytes."""

ENTRIES: dict[int, int] = {
    LEVEL1 + 8: LEVEL1_ENTRY,
    LEVEL2: LEVEL2_ENTRIES[0],
    LEVEL2 + MMIO_PLACE: LEVEL2_ENTRIES[1],
    **{LEVEL3 + 8 * n: entry for n, entry in enumerate(LEVEL3_ENTRIES)},
}
"""Descriptors by address; every other one of the three tables is zero."""

STAGE_1_ON = "stage_1_on"
TO_FIRST_MSR = 8
"""Where in the form the first instruction is that EL0 does not have, in bytes."""

TCR, SCTLR = 0x80_0020, 0xC5_0079
"""T0SZ 32 and EPD1; the reset value and M."""

_BEGIN = """\
movz x28, #120
movk x28, #197, lsl #16
msr sctlr_el1, x28
isb
b .+80
"""
_REST = """\
adr x28, .-76
movz x29, #16384, lsl #16
add x0, x29, #7, lsl #12
ldr w1, [x28], #4
ubfx x30, x29, #15, #1
orr x1, x1, x30, lsl #53
orr x1, x1, x30, lsl #54
str x1, [x0], #8
ldr x30, [x29]
str x30, [x29]
add x29, x29, #1, lsl #12
tbz x29, #16, .-32
ldr w0, [x28], #4
ldr w1, [x28], #4
orr x1, x1, #0x60000000000000
ldr w30, [x28]
sub x29, x29, #10, lsl #12
str x0, [x29]
str x1, [x29, #1024]
sub x29, x29, #6, lsl #12
add x29, x29, #2048
str x30, [x29, #8]
msr ttbr0_el1, x29
movz x29, #17408
msr mair_el1, x29
movz x29, #32
movk x29, #128, lsl #16
msr tcr_el1, x29
dsb sy
tlbi vmalle1is
dsb sy
isb
movz x28, #121
movk x28, #197, lsl #16
msr sctlr_el1, x28
isb"""
"""MAIR_EL1 has Device-nGnRnE as 0 and Normal, not cacheable, as 1."""

FORM = Form(
    STAGE_1_ON,
    "stage-1-on",
    (
        *(0xD280_0F1C, 0xF2A0_18BC, 0xD518_101C, 0xD503_3FDF, 0x1400_0014),
        *_LITERALS,
        *(0x10FF_FDBC, 0xD2A8_001D, 0x9140_1FA0, 0xB840_4781, 0xD34F_3FBE, 0xAA1E_D421),
        *(0xAA1E_D821, 0xF800_8401, 0xF940_03BE, 0xF900_03BE, 0x9140_07BD, 0x3687_FF1D),
        *(0xB840_4780, 0xB840_4781, 0xB24B_0421, 0xB940_039E, 0xD140_2BBD, 0xF900_03A0),
        *(0xF902_03A1, 0xD140_1BBD, 0x9120_03BD, 0xF900_07BE, 0xD518_201D, 0xD288_801D),
        *(0xD518_A21D, 0xD280_041D, 0xF2A0_101D, 0xD518_205D, 0xD503_3F9F, 0xD508_831F),
        *(0xD503_3F9F, 0xD503_3FDF, 0xD280_0F3C, 0xF2A0_18BC, 0xD518_101C, 0xD503_3FDF),
    ),
    (),
    "sys",
    "base",
    asm=_BEGIN + "".join(f".inst {literal:#x}\n" for literal in _LITERALS) + _REST,
)
