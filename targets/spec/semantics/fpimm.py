"""Floating-point immediates as bit patterns."""

from __future__ import annotations

EXPONENT_BITS = {1: 5, 2: 8, 3: 11}
FRACTION_BITS = {1: 10, 2: 23, 3: 52}
"""By t = log2 of the bytes of the format: half, single, double."""


def fp_bits(imm8: int, t: int) -> int:
    """The number that imm8 stands for in format t (Arm ARM, VFPExpandImm)."""
    sign, high, low = imm8 >> 7, imm8 >> 6 & 1, imm8 >> 4 & 3
    e, f = EXPONENT_BITS[t], FRACTION_BITS[t]
    repeated = (1 << e - 3) - 1 if high else 0
    exponent = (1 - high) << e - 1 | repeated << 2 | low
    return sign << e + f | exponent << f | (imm8 & 15) << f - 4
