"""Integer operations on lanes, shared by AdvSIMD and SVE: pure functions of numpy arrays.

Arguments are unsigned lane arrays and t = log2 of the element's bytes; results are lane
arrays of the same kind. What can exceed an element is computed in *wide* lanes: int64 as
long as that is exact, Python ints (dtype object) otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import TypeAlias

import numpy as np

from targets.spec.semantics.lanes import BITS, SINT, UINT, Array, signed

Binary: TypeAlias = Callable[[Array, Array, int], Array]
Unary: TypeAlias = Callable[[Array, int], Array]

_U64 = np.dtype("<u8")
I64 = np.dtype("<i8")
EXACT = np.dtype(object)


def wide(a: Array, t: int, *, negative: bool, room: int = 0) -> Array:
    """Lanes with room for exact arithmetic: `room` is how many bits the result may need
    beyond twice the element's; 64-bit lanes (and too wide 32-bit results) are Python ints."""
    view = a.view(SINT[t]) if negative else a
    if t == 3 or 2 * BITS[t] + room > 63:
        return view.astype(EXACT)
    return view.astype(I64)


def small(a: Array, t: int, *, negative: bool) -> Array:
    """As `wide`, for results that need only a few bits more than the element."""
    view = a.view(SINT[t]) if negative else a
    return view.astype(EXACT if t == 3 else I64)


def narrow(a: Array, t: int) -> Array:
    """The low bits of wide lanes."""
    if a.dtype == EXACT:
        keep = (1 << BITS[t]) - 1
        return np.array([value & keep for value in a.tolist()], UINT[t])
    return a.astype(UINT[t])


def limits(t: int, *, negative: bool) -> tuple[int, int]:
    """Lowest and highest value of an element."""
    bits = BITS[t]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if negative else (0, (1 << bits) - 1)


def saturate(a: Array, t: int, *, negative: bool) -> tuple[Array, bool]:
    """Wide lanes limited to an element's range, and whether any had to be."""
    lo, hi = limits(t, negative=negative)
    limited = np.minimum(np.maximum(a, lo), hi)
    return narrow(limited, t), bool((limited != a).any())


def minimum_s(a: Array, b: Array, t: int) -> Array:
    return np.minimum(signed(a, t), signed(b, t)).view(UINT[t])


def maximum_s(a: Array, b: Array, t: int) -> Array:
    return np.maximum(signed(a, t), signed(b, t)).view(UINT[t])


def minimum_u(a: Array, b: Array, _t: int) -> Array:
    return np.minimum(a, b)


def maximum_u(a: Array, b: Array, _t: int) -> Array:
    return np.maximum(a, b)


def difference_s(a: Array, b: Array, t: int) -> Array:
    return np.where(signed(a, t) > signed(b, t), a - b, b - a)


def difference_u(a: Array, b: Array, _t: int) -> Array:
    return np.where(a > b, a - b, b - a)


def multiply_high_s(a: Array, b: Array, t: int) -> Array:
    product = wide(a, t, negative=True, room=-1) * wide(b, t, negative=True, room=-1)
    return narrow(product >> BITS[t], t)


def multiply_high_u(a: Array, b: Array, t: int) -> Array:
    if t < 3:
        return (a.astype(_U64) * b.astype(_U64) >> BITS[t]).astype(UINT[t])
    return narrow(a.astype(EXACT) * b.astype(EXACT) >> 64, t)


def divide(a: Array, b: Array, t: int, *, negative: bool) -> Array:
    """Towards zero; by zero gives zero."""
    if negative:
        a, b = signed(a, t), signed(b, t)
    quotients = [
        0 if y == 0 else (abs(x) // abs(y) if (x < 0) == (y < 0) else -(abs(x) // abs(y)))
        for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    keep = (1 << BITS[t]) - 1
    return np.array([q & keep for q in quotients], UINT[t])


def shift_left(a: Array, b: Array, t: int) -> Array:
    """By an unsigned amount per lane; too much gives zero."""
    bits = BITS[t]
    return np.where(b < bits, a << (b & UINT[t].type(bits - 1)), UINT[t].type(0))


def shift_right_u(a: Array, b: Array, t: int) -> Array:
    bits = BITS[t]
    return np.where(b < bits, a >> (b & UINT[t].type(bits - 1)), UINT[t].type(0))


def shift_right_s(a: Array, b: Array, t: int) -> Array:
    amount = np.minimum(b, UINT[t].type(BITS[t] - 1)).view(SINT[t])
    return (signed(a, t) >> amount).view(UINT[t])


def signed_shift(a: Array, b: Array, t: int, *, negative: bool, rounding: bool) -> Array:
    """Wide lanes of a shifted by signed lanes of b: left, or right if negative.

    The amount is limited to one more than the element's bits, which changes no low bits.
    """
    bits = BITS[t]
    view = a.view(SINT[t]) if negative else a
    x = view.astype(EXACT if t >= 2 else I64)
    amount = np.minimum(np.maximum(signed(b, t).astype(I64), -(bits + 1)), bits)
    if t >= 2:
        amount = amount.astype(EXACT)
    left = np.maximum(amount, 0)
    right = np.maximum(-amount, 0)
    if rounding:
        x = x + ((1 << right) >> 1 if t < 2 else np.array([(1 << n) >> 1 for n in right], EXACT))
    return x >> right << left


def low_byte(b: Array, t: int) -> Array:
    """The signed low byte of each lane: what AdvSIMD shifts by."""
    return b.astype(np.uint8).view(np.int8).astype(SINT[t]).view(UINT[t])


def halving(a: Array, b: Array, t: int, *, negative: bool, sign: int, rounding: int) -> Array:
    """(a ± b [+ 1]) / 2 without losing the carry."""
    total = small(a, t, negative=negative) + sign * small(b, t, negative=negative)
    return narrow(total + rounding >> 1, t)


def count_bits(a: Array, t: int) -> Array:
    return np.bitwise_count(a).astype(UINT[t])


def leading_zeros(a: Array, t: int) -> Array:
    smeared = a
    for step in (1, 2, 4, 8, 16, 32):
        if step < BITS[t]:
            smeared = smeared | smeared >> UINT[t].type(step)
    return (BITS[t] - np.bitwise_count(smeared)).astype(UINT[t])


def leading_sign_bits(a: Array, t: int) -> Array:
    sign = (signed(a, t) >> (BITS[t] - 1)).view(UINT[t])
    return leading_zeros(a ^ sign, t) - UINT[t].type(1)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def reverse_chunks(a: Array, t: int, chunk: int) -> Array:
    """Reverse the order of 2**chunk-byte pieces within each lane."""
    return a.view(UINT[chunk]).reshape(-1, 1 << t - chunk)[:, ::-1].reshape(-1).copy().view(UINT[t])


def reverse_bits(a: Array, t: int) -> Array:
    flipped = np.frombuffer(a.tobytes().translate(_REVERSED), UINT[t])
    return reverse_chunks(flipped, t, 0) if t else flipped


def polynomial(a: Array, b: Array, t: int) -> Array:
    """The low half of the carry-less product."""
    out = np.zeros_like(a)
    for bit in range(BITS[t]):
        take = -(b >> UINT[t].type(bit) & UINT[t].type(1)) if bit else -(b & UINT[t].type(1))
        out ^= a << UINT[t].type(bit) & take
    return out


BINARY: dict[str, Binary] = {
    "add": lambda a, b, t: a + b,
    "sub": lambda a, b, t: a - b,
    "subr": lambda a, b, t: b - a,
    "mul": lambda a, b, t: a * b,
    "smax": maximum_s,
    "umax": maximum_u,
    "smin": minimum_s,
    "umin": minimum_u,
    "sabd": difference_s,
    "uabd": difference_u,
    "smulh": multiply_high_s,
    "umulh": multiply_high_u,
    "sdiv": lambda a, b, t: divide(a, b, t, negative=True),
    "udiv": lambda a, b, t: divide(a, b, t, negative=False),
    "sdivr": lambda a, b, t: divide(b, a, t, negative=True),
    "udivr": lambda a, b, t: divide(b, a, t, negative=False),
    "and": lambda a, b, t: a & b,
    "orr": lambda a, b, t: a | b,
    "eor": lambda a, b, t: a ^ b,
    "bic": lambda a, b, t: a & ~b,
    "orn": lambda a, b, t: a | ~b,
    "lsl": shift_left,
    "lsr": shift_right_u,
    "asr": shift_right_s,
    "lslr": lambda a, b, t: shift_left(b, a, t),
    "lsrr": lambda a, b, t: shift_right_u(b, a, t),
    "asrr": lambda a, b, t: shift_right_s(b, a, t),
    "shadd": lambda a, b, t: halving(a, b, t, negative=True, sign=1, rounding=0),
    "uhadd": lambda a, b, t: halving(a, b, t, negative=False, sign=1, rounding=0),
    "srhadd": lambda a, b, t: halving(a, b, t, negative=True, sign=1, rounding=1),
    "urhadd": lambda a, b, t: halving(a, b, t, negative=False, sign=1, rounding=1),
    "shsub": lambda a, b, t: halving(a, b, t, negative=True, sign=-1, rounding=0),
    "uhsub": lambda a, b, t: halving(a, b, t, negative=False, sign=-1, rounding=0),
    "shsubr": lambda a, b, t: halving(b, a, t, negative=True, sign=-1, rounding=0),
    "uhsubr": lambda a, b, t: halving(b, a, t, negative=False, sign=-1, rounding=0),
    "pmul": polynomial,
    "sshl": lambda a, b, t: narrow(signed_shift(a, b, t, negative=True, rounding=False), t),
    "ushl": lambda a, b, t: narrow(signed_shift(a, b, t, negative=False, rounding=False), t),
    "srshl": lambda a, b, t: narrow(signed_shift(a, b, t, negative=True, rounding=True), t),
    "urshl": lambda a, b, t: narrow(signed_shift(a, b, t, negative=False, rounding=True), t),
}
BINARY["srshlr"] = lambda a, b, t: BINARY["srshl"](b, a, t)
BINARY["urshlr"] = lambda a, b, t: BINARY["urshl"](b, a, t)
"""Same-size operations of two vectors that wrap around."""


def _sum(a: Array, b: Array, t: int, *, negative: bool, sign: int) -> Array:
    return small(a, t, negative=negative) + sign * small(b, t, negative=negative)


def _mixed_sum(a: Array, b: Array, t: int, *, negative: bool) -> Array:
    """A signed (or unsigned) lane plus a lane of the other signedness."""
    return small(a, t, negative=negative) + small(b, t, negative=not negative)


def doubled_high(a: Array, b: Array, t: int, rounding: bool) -> Array:
    """(2ab [+ rounding]) >> bits, in wide lanes."""
    product = wide(a, t, negative=True, room=-1) * wide(b, t, negative=True, room=-1)
    return product + (1 << BITS[t] - 2 if rounding else 0) >> BITS[t] - 1


def doubled_high_accumulate(acc: Array, a: Array, b: Array, t: int, sign: int) -> Array:
    """(acc << bits) ± 2ab, rounded, high half: in wide lanes (SQRDMLAH, SQRDMLSH)."""
    product = wide(a, t, negative=True, room=2) * wide(b, t, negative=True, room=2)
    total = (wide(acc, t, negative=True, room=2) << BITS[t] - 1) + sign * product
    return total + (1 << BITS[t] - 2) >> BITS[t] - 1


SATURATING: dict[str, tuple[Binary, bool]] = {
    "sqadd": (lambda a, b, t: _sum(a, b, t, negative=True, sign=1), True),
    "uqadd": (lambda a, b, t: _sum(a, b, t, negative=False, sign=1), False),
    "sqsub": (lambda a, b, t: _sum(a, b, t, negative=True, sign=-1), True),
    "uqsub": (lambda a, b, t: _sum(a, b, t, negative=False, sign=-1), False),
    "sqsubr": (lambda a, b, t: _sum(b, a, t, negative=True, sign=-1), True),
    "uqsubr": (lambda a, b, t: _sum(b, a, t, negative=False, sign=-1), False),
    "suqadd": (lambda a, b, t: _mixed_sum(a, b, t, negative=True), True),
    "usqadd": (lambda a, b, t: _mixed_sum(a, b, t, negative=False), False),
    "sqdmulh": (lambda a, b, t: doubled_high(a, b, t, False), True),
    "sqrdmulh": (lambda a, b, t: doubled_high(a, b, t, True), True),
    "sqshl": (lambda a, b, t: signed_shift(a, b, t, negative=True, rounding=False), True),
    "uqshl": (lambda a, b, t: signed_shift(a, b, t, negative=False, rounding=False), False),
    "sqrshl": (lambda a, b, t: signed_shift(a, b, t, negative=True, rounding=True), True),
    "uqrshl": (lambda a, b, t: signed_shift(a, b, t, negative=False, rounding=True), False),
    "sqshlr": (lambda a, b, t: signed_shift(b, a, t, negative=True, rounding=False), True),
    "uqshlr": (lambda a, b, t: signed_shift(b, a, t, negative=False, rounding=False), False),
    "sqrshlr": (lambda a, b, t: signed_shift(b, a, t, negative=True, rounding=True), True),
    "uqrshlr": (lambda a, b, t: signed_shift(b, a, t, negative=False, rounding=True), False),
}
"""Operations with a saturated result: the exact value in wide lanes, and whether it is signed."""


def saturated(name: str, a: Array, b: Array, t: int) -> tuple[Array, bool]:
    """A saturating operation's result and whether any lane saturated."""
    exact, negative = SATURATING[name]
    return saturate(exact(a, b, t), t, negative=negative)


def _limited(name: str) -> Binary:
    return lambda a, b, t: saturated(name, a, b, t)[0]


ANY_BINARY: dict[str, Binary] = BINARY | {name: _limited(name) for name in SATURATING}
"""All same-size operations, for SVE, where saturation leaves no trace."""

COMPARE: dict[str, Binary] = {
    "eq": lambda a, b, t: a == b,
    "ne": lambda a, b, t: a != b,
    "hs": lambda a, b, t: a >= b,
    "hi": lambda a, b, t: a > b,
    "lo": lambda a, b, t: a < b,
    "ls": lambda a, b, t: a <= b,
    "ge": lambda a, b, t: signed(a, t) >= signed(b, t),
    "gt": lambda a, b, t: signed(a, t) > signed(b, t),
    "lt": lambda a, b, t: signed(a, t) < signed(b, t),
    "le": lambda a, b, t: signed(a, t) <= signed(b, t),
    "tst": lambda a, b, t: (a & b) != 0,
}
"""Comparisons by the condition in their mnemonics; results are boolean lanes."""


def _extend(from_t: int, *, negative: bool) -> Unary:
    def extend(a: Array, t: int) -> Array:
        low = a.astype(UINT[from_t])
        return (low.view(SINT[from_t]) if negative else low).astype(SINT[t]).view(UINT[t])

    return extend


UNARY: dict[str, Unary] = {
    "abs": lambda a, t: np.abs(signed(a, t)).view(UINT[t]),
    "neg": lambda a, t: (~a) + UINT[t].type(1),
    "not": lambda a, t: ~a,
    "cnot": lambda a, t: (a == 0).astype(UINT[t]),
    "cnt": count_bits,
    "clz": leading_zeros,
    "cls": leading_sign_bits,
    "rbit": reverse_bits,
    "revb": lambda a, t: reverse_chunks(a, t, 0),
    "revh": lambda a, t: reverse_chunks(a, t, 1),
    "revw": lambda a, t: reverse_chunks(a, t, 2),
    "sxtb": _extend(0, negative=True),
    "uxtb": _extend(0, negative=False),
    "sxth": _extend(1, negative=True),
    "uxth": _extend(1, negative=False),
    "sxtw": _extend(2, negative=True),
    "uxtw": _extend(2, negative=False),
}
"""Operations of one vector that wrap around."""

SATURATING_UNARY: dict[str, Unary] = {
    "sqabs": lambda a, t: np.abs(small(a, t, negative=True)),
    "sqneg": lambda a, t: -small(a, t, negative=True),
}
"""Exact values in wide lanes; results are signed."""


def unsigned_recip_estimate(a: Array, _t: int) -> Array:
    """URECPE: all ones below one half."""
    return np.array([_recip(x) for x in a.tolist()], UINT[2])


def unsigned_rsqrt_estimate(a: Array, _t: int) -> Array:
    """URSQRTE: all ones below one quarter."""
    return np.array([_rsqrt(x) for x in a.tolist()], UINT[2])


def recip_estimate(a: int) -> int:
    """Nine bits of 1/x for a nine-bit fraction 256..511 (Arm ARM, RecipEstimate)."""
    a = a * 2 + 1
    return ((1 << 19) // a + 1) // 2


def recip_sqrt_estimate(a: int) -> int:
    """Nine bits of 1/sqrt(x) for a fraction 128..511 (Arm ARM, RecipSqrtEstimate)."""
    a = a * 2 + 1 if a < 256 else (a >> 1 << 1) * 2 + 2
    b = 512
    while a * (b + 1) * (b + 1) < 1 << 28:
        b += 1
    return (b + 1) // 2


def fine_recip_estimate(a: int) -> int:
    """Thirteen bits of 1/x for a fraction 2048..4095 (the same, with increased precision)."""
    a = a * 2 + 1
    return ((1 << 26) // a + 1) // 2


def fine_recip_sqrt_estimate(a: int) -> int:
    """Thirteen bits of 1/sqrt(x) for a fraction 1024..4095 (the same, with increased precision):
    of 2**65 by a root that is rounded to 53 bits."""
    twice = a * 2 + 1 if a < 2048 else (a >> 1 << 1) * 2 + 2
    root = isqrt(twice << 95)
    root = root // 2 + (root & 1)
    value, rest = divmod(1 << 65, root)
    return value + (2 * rest > root or (2 * rest == root and value & 1))


def _recip(x: int) -> int:
    return recip_estimate(x >> 23) << 23 if x >> 31 else 0xFFFFFFFF


def _rsqrt(x: int) -> int:
    return recip_sqrt_estimate(x >> 23) << 23 if x >> 30 else 0xFFFFFFFF


UNARY["urecpe"] = unsigned_recip_estimate
UNARY["ursqrte"] = unsigned_rsqrt_estimate
