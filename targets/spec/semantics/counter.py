"""Predicates as counters: how many elements of up to four vectors are active (SVE2.1).

The low 16 bits of a predicate register say it: the lowest one that is set gives the size of the
elements, the bits above it a count, bit 15 that all but so many are active (Arm ARM,
CounterToPredicate, EncodePredCount).
"""

from __future__ import annotations

from targets.spec.semantics.lanes import every, ones

VECTORS = 4
"""The most vectors that a counter is about."""

_INVERT = 1 << 15


def encoded(t: int, elements: int, count: int, *, last: bool = False) -> int:
    """The counter of the first `count` of `elements` elements of 2**t bytes, or of the last."""
    if not count:
        return 0
    if last:
        count, inverted = elements - count, True
    else:
        inverted = count == elements
        count = 0 if inverted else count
    return (count << 1 | 1) << t & ones(15) | _INVERT * inverted


def decoded(counter: int, vl: int) -> int:
    """The predicate that a counter stands for, for four vectors of `vl` bytes: as of predicates
    one bit for each byte, at the lowest of each element."""
    counter &= 0xFFFF
    if not counter & 0xF:
        return 0
    t = (counter & -counter).bit_length() - 1
    size = VECTORS * vl
    width = (vl - 1).bit_length() + 3
    count = (counter & ones(width)) >> t + 1
    chosen = ones(count << t)
    if counter & _INVERT:
        chosen = ~chosen
    return chosen & every(size, t)
