"""A guest that has its RAM tagged, and checks tags: the pseudo-instruction behind `stage-1-on`.

`tag-checks` switches translation off and on again, with Normal memory that is tagged, Write-Back
(SCTLR_EL1.C: what is not cacheable has no tags), with the top byte of addresses ignored, access to
tags at EL1 and EL0, and PSTATE.TCO clear.
"""

from __future__ import annotations

from corpus.domain import Choice
from corpus.isa.form import Form, Operand

TAG_CHECKS = "tag_checks"

_ATA, _ATA0, _TCF, _TCF0 = 1 << 43, 1 << 42, 1 << 40, 1 << 38
_TBI0, TCMA0 = 1 << 37, 1 << 57
CACHEABLE = 1 << 2
_ACCESS = _ATA | _ATA0
CHECKS = _TCF | _TCF0
"""SCTLR_EL1.ATA, ATA0, TCF and TCF0 of 1, which is a synchronous exception; C. TCR_EL1.TBI0 and
TCMA0, by which tag zero is not checked (Arm ARM)."""

_HIGH_HALF = 32
_MIDDLE = 16


def _regime(sctlr: int, tcr: int) -> int:
    """Both registers above bit 31, in one number."""
    return sctlr >> _HIGH_HALF << _HIGH_HALF | tcr >> _HIGH_HALF


REGIMES: dict[str, int] = {
    "sync": _regime(_ACCESS | CHECKS, _TBI0),
    "off": _regime(_ACCESS, _TBI0),
    "but-zero": _regime(_ACCESS | CHECKS, _TBI0 | TCMA0),
}


def sctlr_of(regime: int) -> int:
    """What a regime sets in SCTLR_EL1."""
    return regime >> _HIGH_HALF << _HIGH_HALF | CACHEABLE


def tcr_of(regime: int) -> int:
    """The same of TCR_EL1."""
    return (regime & (1 << _HIGH_HALF) - 1) << _HIGH_HALF


_TCR_LOW, _TCR_HIGH, _SCTLR_HIGH = 8, 9, 17
"""Which instructions of the form have the parts of the numbers."""


def _place(regime: int) -> int:
    low, high = regime & 0xFFFF, regime >> _MIDDLE & 0xFFFF
    parts = ((_TCR_LOW, low), (_TCR_HIGH, high), (_SCTLR_HIGH, regime >> _HIGH_HALF))
    return sum(part << 32 * word + 5 for word, part in parts)


def _view(shift: int) -> dict[int, str]:
    return {regime: f"{regime >> shift & 0xFFFF:#x}" for regime in REGIMES.values()}


_ASM = """\
movz x28, #120
movk x28, #197, lsl #16
msr sctlr_el1, x28
isb
movz x29, #61440
msr mair_el1, x29
movz x29, #32
movk x29, #128, lsl #16
movk x29, #{regime.tcr_low}, lsl #32
movk x29, #{regime.tcr_high}, lsl #48
msr tcr_el1, x29
dsb sy
tlbi vmalle1is
dsb sy
isb
movz x28, #125
movk x28, #197, lsl #16
movk x28, #{regime.sctlr}, lsl #32
msr sctlr_el1, x28
msr tco, #0
isb"""

FORM = Form(
    TAG_CHECKS,
    "tag-checks {regime}",
    (
        *(0xD280_0F1C, 0xF2A0_18BC, 0xD518_101C, 0xD503_3FDF, 0xD29E_001D, 0xD518_A21D),
        *(0xD280_041D, 0xF2A0_101D, 0xF2C0_001D, 0xF2E0_001D, 0xD518_205D),
        *(0xD503_3F9F, 0xD508_831F, 0xD503_3F9F, 0xD503_3FDF),
        *(0xD280_0FBC, 0xF2A0_18BC, 0xF2C0_001C, 0xD518_101C, 0xD503_409F, 0xD503_3FDF),
    ),
    (
        Operand(
            "regime",
            Choice(REGIMES),
            _place,
            {"tcr_low": _view(0), "tcr_high": _view(_MIDDLE), "sctlr": _view(_HIGH_HALF)},
        ),
    ),
    "sys",
    "base",
    asm=_ASM,
)
"""MAIR_EL1 has Device-nGnRnE as 0 and Tagged Normal as 1. EL0 does not have the first MSR."""
