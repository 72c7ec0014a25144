"""Integer operations between element sizes, and shifts by a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.spec.semantics.intops import EXACT, I64, difference_s, narrow, saturate, small
from targets.spec.semantics.lanes import BITS, SINT, UINT, Array


def lengthen(a: Array, t: int, *, negative: bool) -> Array:
    """Lanes of twice the size with the same values."""
    return (a.view(SINT[t]) if negative else a).astype(SINT[t + 1]).view(UINT[t + 1])


LONG: dict[str, Callable[[Array, Array, Array, int], Array]] = {
    "addl": lambda acc, a, b, t: a + b,
    "subl": lambda acc, a, b, t: a - b,
    "abdl": lambda acc, a, b, t: difference_s(a, b, t),
    "abal": lambda acc, a, b, t: acc + difference_s(a, b, t),
    "mull": lambda acc, a, b, t: a * b,
    "mlal": lambda acc, a, b, t: acc + a * b,
    "mlsl": lambda acc, a, b, t: acc - a * b,
    "addw": lambda acc, a, b, t: acc + b,
    "subw": lambda acc, a, b, t: acc - b,
}
"""Operations on lengthened lanes (t: of the result), after the s or u of their mnemonics."""


def doubling_long(acc: Array | None, a: Array, b: Array, t: int, sign: int) -> tuple[Array, bool]:
    """SQDMULL (acc None), SQDMLAL, SQDMLSL: the product saturates, and so does the sum."""
    exact = a.view(SINT[t]).astype(EXACT) * b.view(SINT[t]).astype(EXACT) * 2
    product, clipped = saturate(exact, t, negative=True)
    if acc is None:
        return product, clipped
    total = small(acc, t, negative=True) + sign * small(product, t, negative=True)
    result, again = saturate(total, t, negative=True)
    return result, clipped or again


def polynomial_long(a: Array, b: Array, t: int) -> Array:
    """Carry-less products of lanes that were lengthened (unsigned) to t."""
    out = np.zeros_like(a)
    for bit in range(BITS[t] // 2):
        chosen = b >> UINT[t].type(bit) & UINT[t].type(1)
        out ^= (a << UINT[t].type(bit)) * chosen
    return out


def high_half(a: Array, t: int, rounding: bool) -> Array:
    """The high halves of lanes of size t, as lanes of size t - 1."""
    half = BITS[t] // 2
    if rounding:
        a = a + UINT[t].type(1 << half - 1)
    return (a >> UINT[t].type(half)).astype(UINT[t - 1])


def shift_right_by(a: Array, n: int, t: int, *, negative: bool, rounding: bool) -> Array:
    """Shift right by 1 to the element's bits."""
    bits = BITS[t]
    x = a.view(SINT[t]) if negative else a
    kind = x.dtype.type
    beyond = x >> kind(bits - 1) if negative else np.zeros_like(x)
    shifted = x >> kind(n) if n < bits else beyond
    if rounding:
        shifted = shifted + (x >> kind(n - 1) & kind(1))
    return shifted.view(UINT[t])


def shift_left_by(a: Array, n: int, t: int) -> Array:
    """Shift left by 0 to the element's bits - 1."""
    return a << UINT[t].type(n)


def insert_right(acc: Array, a: Array, n: int, t: int) -> Array:
    """SRI: a >> n, with the top n bits of acc."""
    low = UINT[t].type((1 << BITS[t] - n) - 1)
    return shift_right_by(a, n, t, negative=False, rounding=False) | acc & ~low


def insert_left(acc: Array, a: Array, n: int, t: int) -> Array:
    """SLI: a << n, with the low n bits of acc."""
    return shift_left_by(a, n, t) | acc & UINT[t].type((1 << n) - 1)


SHIFT_BY: dict[str, Callable[[Array, Array, int, int], Array]] = {
    "sri": insert_right,
    "sli": insert_left,
    "shl": lambda acc, a, n, t: shift_left_by(a, n, t),
}
for _letter, _negative in (("s", True), ("u", False)):
    for _round, _rounding in (("", False), ("r", True)):

        def _shr(
            acc: Array,
            a: Array,
            n: int,
            t: int,
            negative: bool = _negative,
            rounding: bool = _rounding,
        ) -> Array:
            return shift_right_by(a, n, t, negative=negative, rounding=rounding)

        def _sra(
            acc: Array,
            a: Array,
            n: int,
            t: int,
            negative: bool = _negative,
            rounding: bool = _rounding,
        ) -> Array:
            return acc + shift_right_by(a, n, t, negative=negative, rounding=rounding)

        SHIFT_BY[f"{_letter}{_round}shr"] = _shr
        SHIFT_BY[f"{_letter}{_round}sra"] = _sra
"""Shifts by a number, with the destination's old lanes: (acc, a, amount, t)."""


def saturating_shift_by(name: str, a: Array, n: int, t: int) -> tuple[Array, bool]:
    """SQSHL, UQSHL and SQSHLU by a number."""
    view = a.view(SINT[t]) if name[0] == "s" else a
    exact = view.astype(EXACT if t >= 2 else I64) << n
    return saturate(exact, t, negative=name == "sqshl")


def narrow_shift(name: str, a: Array, n: int, t: int) -> tuple[Array, bool]:
    """A shift right (n may be 0) of lanes of size t into lanes of size t - 1: `name` is that
    of SHRN or XTN and their rounding and saturating kin, without b, t or 2."""
    negative = name.startswith("s")
    exact = small(a, t, negative=negative)
    if n and name.lstrip("squ").startswith("r"):
        exact = exact + (1 << n - 1)
    exact = exact >> n
    if "q" not in name:
        return narrow(exact, t - 1), False
    return saturate(exact, t - 1, negative=negative and not name.endswith("un"))
