"""Immediates that people write as another number than the one encoded."""

from __future__ import annotations

from collections.abc import Callable

from corpus.domain import Choice
from corpus.isa.form import Operand


def fp_value(imm8: int) -> float:
    """The number that an 8-bit floating-point immediate stands for (Arm ARM, VFPExpandImm)."""
    exponent = (imm8 >> 4 & 7 ^ 4) - 3
    value = (1 + (imm8 & 15) / 16) * 2.0**exponent
    return -value if imm8 & 0x80 else value


def expand_mask(imm8: int) -> int:
    """64 bits, eight for each bit of imm8."""
    return sum(0xFF << 8 * bit for bit in range(8) if imm8 >> bit & 1)


_FP = Choice({str(fp_value(imm8)): imm8 for imm8 in range(256)})
_MASK = Choice({hex(expand_mask(imm8)): imm8 for imm8 in range(256)})


def fp_immediate(name: str, place: Callable[[int], int]) -> Operand:
    """A floating-point immediate; its value is imm8, its text the number."""
    return Operand(name, _FP, place)


def byte_mask(name: str, place: Callable[[int], int]) -> Operand:
    """A 64-bit mask of whole bytes; its value is imm8, its text the mask."""
    return Operand(name, _MASK, place)
