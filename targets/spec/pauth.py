"""Pointer authentication: what signs, where a code is in a pointer, and what was signed how.

The algorithm is up to the CPU (QARMA5, QARMA3 or its own), so a code is so many bits of unknown
value. What is certain: the address stays, and a pointer that was signed is authenticated to
what it was by the same key and modifier.
"""

from __future__ import annotations

from typing import NamedTuple

from corpus.isa.pauth import ALL_ENABLES
from targets.spec.sets import Set

SELECT = 1 << 55
"""The bit that tells the upper half of the addresses from the lower one, codes or not."""
INPUT_BITS = 32
"""Of addresses in the lower half, while TCR_EL1 is what `stage-1-on` wrote: 64 less T0SZ."""
MOST_INPUT_BITS = 48
"""Of addresses while TnSZ is zero, with granules of 4 KiB. A size below the least counts as that,
or is not looked at; with other granules it may be 52 bits (Arm ARM, CalculateBottomPACBit)."""


class Signed(NamedTuple):
    """What an X register holds by a signing instruction, `rule`: its contents then, the key's
    name, the modifier, and the pointer, whose extension bits were good."""

    contents: Set
    rule: str
    key: str
    modifier: int
    pointer: int


def code_bits(input_bits: int) -> int:
    """The bits of a pointer that hold the code, without tags (Arm ARM, AddPAC)."""
    return ((1 << 64) - (1 << input_bits)) & ~SELECT


def is_canonical(pointer: int, input_bits: int) -> bool:
    """Whether all bits above the address are the same."""
    above = pointer >> input_bits
    return above in (0, (1 << 64 - input_bits) - 1)


def without_enables(sctlr: Set) -> Set:
    """SCTLR_EL1 but for the bits that enable keys."""
    return tuple(
        dict.fromkeys((value & ~ALL_ENABLES, mask & ~ALL_ENABLES) for value, mask in sctlr)
    )
