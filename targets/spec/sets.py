"""Sets of possible register values.

A set is a tuple of *candidates* `(value, unknown)`: the register holds `value`
except that every bit set in `unknown` may be 0 or 1 (such bits are 0 in `value`).
One candidate with unknown = 0 is exact knowledge. Sets are never empty.

Soundness, proved in the tests: each operation here maps a set that contains the
real value to a set that contains the real result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Candidate: TypeAlias = tuple[int, int]
Set: TypeAlias = tuple[Candidate, ...]

ZERO: Set = ((0, 0),)
MAX_CANDIDATES = 6
"""More candidates than this collapse to one with unknown bits: sound, less precise."""

collapses = 0
"""How often a set was collapsed in this process."""


def exact(value: int) -> Set:
    """The set of one value."""
    return ((value, 0),)


def unknown(value: int, mask: int) -> Set:
    """`value`, with the bits of `mask` unknown."""
    return ((value & ~mask, mask),)


def either(candidates: Iterable[Candidate]) -> Set:
    """The union of candidates, without repetition, collapsed when it grows too large."""
    distinct = tuple(dict.fromkeys(candidates))
    return distinct if len(distinct) <= MAX_CANDIDATES else (collapse(distinct),)


def collapse(candidates: Set) -> Candidate:
    """One candidate that covers all: bits on which they differ become unknown."""
    global collapses  # noqa: PLW0603
    collapses += 1
    return join(candidates)


def join(candidates: Set) -> Candidate:
    """As `collapse`, for a reader that can only use one candidate (not counted)."""
    value, mask = candidates[0]
    for other, other_mask in candidates[1:]:
        mask |= other_mask | (value ^ other)
    return value & ~mask, mask


def keep_or_clear_above(candidates: Set, bits: int) -> Set:
    """The bits from `bits` up are kept, or all of them are cleared (facts 2.2)."""
    if len(candidates) == 1:
        value, mask = candidates[0]
        if not (value | mask) >> bits:
            return candidates
    low = (1 << bits) - 1
    out: list[Candidate] = []
    for value, mask in candidates:
        out.append((value, mask))
        if (value | mask) >> bits:
            out.append((value & low, mask & low))
    return either(out)


def write_low(candidates: Set, bits: int, value: int, mask: int = 0) -> Set:
    """The low `bits` become (value, mask); those above are kept, or all cleared."""
    if len(candidates) == 1:
        old, old_mask = candidates[0]
        if not (old | old_mask) >> bits:
            return ((value, mask),)
    high = -1 << bits
    kept = [(old & high | value, old_mask & high | mask) for old, old_mask in candidates]
    return either([*kept, (value, mask)])


def low(candidates: Set, bits: int) -> Candidate:
    """What a reader of the low `bits` sees, as one candidate."""
    ones = (1 << bits) - 1
    if len(candidates) == 1:
        value, mask = candidates[0]
        return value & ones, mask & ones
    return join(tuple(dict.fromkeys((value & ones, mask & ones) for value, mask in candidates)))


def narrow(candidates: Set, observed: int) -> int | None:
    """Index of the first candidate that permits `observed`, or None."""
    for index, (value, mask) in enumerate(candidates):
        if (value ^ observed) & ~mask == 0:
            return index
    return None
