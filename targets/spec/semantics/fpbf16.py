"""Dot products of BF16 numbers. As FPCR.EBF = 0 has them, every product and sum is rounded to
odd single precision and denormals count as zero; with EBF two products are summed with one
rounding, and FPCR decides how. NaNs become the default one, nothing is raised (Arm ARM, BFDotAdd,
BFMatMulAdd, FPDot)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from targets.spec.semantics import softfloat
from targets.spec.semantics.softfloat import (
    AH,
    CACHE,
    DN,
    EBF,
    FZ,
    INFINITY,
    IOC,
    ODD,
    OFC,
    QNAN,
    ZERO_KIND,
    Result,
    Unpacked,
    aligned_sum,
    default_nan,
    infinity,
    pack_sum,
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
def multiply(a: int, b: int, ctl: int) -> int:
    """The product of two single-precision numbers. Of `ctl` AH matters alone."""
    k1, s1, m1, e1, _ = unpack(a, _SINGLE, FZ)
    k2, s2, m2, e2, _ = unpack(b, _SINGLE, FZ)
    sign = s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN or {k1, k2} == {INFINITY, ZERO_KIND}:
        return default_nan(_SINGLE, ctl)
    if INFINITY in (k1, k2):
        return infinity(sign, _SINGLE)
    if ZERO_KIND in (k1, k2):
        return zero(sign, _SINGLE)
    return _rounded(sign, m1 * m2, e1 + e2)


@lru_cache(CACHE)
def add(a: int, b: int, ctl: int) -> int:
    """The sum of two single-precision numbers; an exact zero of both signs is positive."""
    k1, s1, m1, e1, _ = unpack(a, _SINGLE, FZ)
    k2, s2, m2, e2, _ = unpack(b, _SINGLE, FZ)
    if k1 >= QNAN or k2 >= QNAN or (k1 == k2 == INFINITY and s1 != s2):
        return default_nan(_SINGLE, ctl)
    if INFINITY in (k1, k2):
        return infinity(s1 if k1 == INFINITY else s2, _SINGLE)
    if k1 == k2 == ZERO_KIND:
        return zero(s1 & s2, _SINGLE)
    total, exponent = aligned_sum(s1, m1, e1, s2, m2, e2)
    return _rounded(int(total < 0), abs(total), exponent) if total else 0


def widened(x: int) -> int:
    """A BF16 number in single precision."""
    return x << 16


def dot(acc: int, a: int, b: int, ctl: int) -> int:
    """acc plus the products of two pairs of BF16 numbers, each pair in 32 bits."""
    low, high = (widened(a & 0xFFFF), widened(b & 0xFFFF)), (a & 0xFFFF_0000, b & 0xFFFF_0000)
    if ctl & EBF:
        ctl = ctl & ~EBF | DN
        return softfloat.add(acc, _sum_of_products(low, high, ctl), _SINGLE, ctl)[0]
    ctl &= AH
    return add(acc, add(multiply(*low, ctl), multiply(*high, ctl), ctl), ctl)


@lru_cache(CACHE)
def _sum_of_products(x: tuple[int, int], y: tuple[int, int], ctl: int) -> int:
    """x0 * x1 + y0 * y1 with one rounding; every NaN is the default one (Arm ARM, FPDot)."""
    numbers = [unpack(n, _SINGLE, ctl) for n in (*x, *y)]
    if any(kind >= QNAN for kind, *_ in numbers):
        return default_nan(_SINGLE, ctl)
    (x0, x1, y0, y1) = numbers
    return two_products((x0, x1), (y0, y1), ctl)[0]


def two_products(x: tuple[Unpacked, Unpacked], y: tuple[Unpacked, Unpacked], ctl: int) -> Result:
    """x0 * x1 + y0 * y1 of numbers that are no NaNs, rounded once to single precision, and the
    flags that this raises (Arm ARM, FPDot)."""
    signs, mantissas, exponents = [], [], []
    infinities = set()
    for (k1, s1, m1, e1, _), (k2, s2, m2, e2, _) in (x, y):
        if {k1, k2} == {INFINITY, ZERO_KIND}:
            return default_nan(_SINGLE, ctl), IOC
        if INFINITY in (k1, k2):
            infinities.add(s1 ^ s2)
        signs.append(s1 ^ s2)
        mantissas.append(m1 * m2)
        exponents.append(e1 + e2)
    if len(infinities) > 1:
        return default_nan(_SINGLE, ctl), IOC
    if infinities:
        return infinity(infinities.pop(), _SINGLE), 0
    if mantissas == [0, 0] and signs[0] == signs[1]:
        return zero(signs[0], _SINGLE), 0
    first, second = zip(signs, mantissas, exponents, strict=True)
    return pack_sum(*aligned_sum(*first, *second), _SINGLE, ctl)


def matrix(acc: Sequence[int], a: Sequence[int], b: Sequence[int], ctl: int) -> list[int]:
    """2x2 numbers plus a (2x4 BF16 numbers, in pairs) times b transposed."""
    out: list[int] = []
    for i in (0, 2):
        for j in (0, 2):
            total = acc[len(out)]
            for k in (0, 1):
                total = dot(total, a[i + k], b[j + k], ctl)
            out.append(total)
    return out
