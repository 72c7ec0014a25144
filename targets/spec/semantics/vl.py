"""Predicate constraints: how many elements a pattern selects."""

from __future__ import annotations

POW2, MUL4, MUL3, ALL = 0, 29, 30, 31


def pattern_count(pattern: int, elements: int) -> int:
    """Elements that a predicate constraint selects (Arm ARM, DecodePredCount)."""
    if pattern == ALL:
        return elements
    if pattern == POW2:
        return 1 << elements.bit_length() - 1
    if pattern == MUL4:
        return elements - elements % 4
    if pattern == MUL3:
        return elements - elements % 3
    fixed = pattern if pattern <= 8 else 16 << pattern - 9 if pattern <= 13 else 0
    return fixed if fixed <= elements else 0
