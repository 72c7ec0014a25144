"""Dot products of BF16 numbers as FPCR.EBF = 0 has them: every product and sum is rounded to
odd single precision, denormals count as zero, NaNs become the default one, nothing is raised
(Arm ARM, BFDotAdd, BFMatMulAdd)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from targets.spec.semantics.softfloat import (
    CACHE,
    FZ,
    INFINITY,
    ODD,
    OFC,
    QNAN,
    ZERO_KIND,
    aligned_sum,
    default_nan,
    infinity,
    round_pack,
    unpack,
    zero,
)

_SINGLE = 2


def _rounded(sign: int, mantissa: int, exponent: int) -> int:
    """To odd, but to infinity above the largest number."""
    value, flags = round_pack(sign, mantissa, exponent, _SINGLE, FZ, ODD)
    return infinity(sign, _SINGLE) if flags & OFC else value


@lru_cache(CACHE)
def multiply(a: int, b: int) -> int:
    """The product of two single-precision numbers."""
    k1, s1, m1, e1, _ = unpack(a, _SINGLE, FZ)
    k2, s2, m2, e2, _ = unpack(b, _SINGLE, FZ)
    sign = s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN or {k1, k2} == {INFINITY, ZERO_KIND}:
        return default_nan(_SINGLE)
    if INFINITY in (k1, k2):
        return infinity(sign, _SINGLE)
    if ZERO_KIND in (k1, k2):
        return zero(sign, _SINGLE)
    return _rounded(sign, m1 * m2, e1 + e2)


@lru_cache(CACHE)
def add(a: int, b: int) -> int:
    """The sum of two single-precision numbers; an exact zero of both signs is positive."""
    k1, s1, m1, e1, _ = unpack(a, _SINGLE, FZ)
    k2, s2, m2, e2, _ = unpack(b, _SINGLE, FZ)
    if k1 >= QNAN or k2 >= QNAN or (k1 == k2 == INFINITY and s1 != s2):
        return default_nan(_SINGLE)
    if INFINITY in (k1, k2):
        return infinity(s1 if k1 == INFINITY else s2, _SINGLE)
    if k1 == k2 == ZERO_KIND:
        return zero(s1 & s2, _SINGLE)
    total, exponent = aligned_sum(s1, m1, e1, s2, m2, e2)
    return _rounded(int(total < 0), abs(total), exponent) if total else 0


def widened(x: int) -> int:
    """A BF16 number in single precision."""
    return x << 16


def dot(acc: int, a: int, b: int) -> int:
    """acc plus the products of two pairs of BF16 numbers, each pair in 32 bits."""
    low = multiply(widened(a & 0xFFFF), widened(b & 0xFFFF))
    return add(acc, add(low, multiply(a & 0xFFFF_0000, b & 0xFFFF_0000)))


def matrix(acc: Sequence[int], a: Sequence[int], b: Sequence[int]) -> list[int]:
    """2x2 numbers plus a (2x4 BF16 numbers, in pairs) times b transposed."""
    out: list[int] = []
    for i in (0, 2):
        for j in (0, 2):
            total = acc[len(out)]
            for k in (0, 1):
                total = dot(total, a[i + k], b[j + k])
            out.append(total)
    return out
