"""Floating-point arithmetic on bit patterns, by the rules of the Arm architecture.

Formats are named by t, the log2 of their bytes: 1 half, 2 single, 3 double; BF16 is a
format of its own. Every operation takes bit patterns and `ctl`, the FPCR bits DN, FZ, FZ16
and RMode (AHP too for `convert`, and for `convert` only), and returns (bit pattern, FPSR bits).
All of it is exact integer arithmetic followed by one rounding.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import TypeAlias

Result: TypeAlias = tuple[int, int]

IOC, DZC, OFC, UFC, IXC, IDC = 1, 2, 4, 8, 16, 128
"""Cumulative exception bits of FPSR."""

AHP, DN, FZ, FZ16 = 1 << 26, 1 << 25, 1 << 24, 1 << 19
RMODE_SHIFT = 22
TIES_EVEN, PLUS, MINUS, ZERO, TIES_AWAY, ODD = range(6)
"""Rounding; the first four are the values of FPCR.RMode."""

BF16 = 0
EXPONENT = {BF16: 8, 1: 5, 2: 8, 3: 11}
FRACTION = {BF16: 7, 1: 10, 2: 23, 3: 52}
WIDTH = {t: 1 + EXPONENT[t] + FRACTION[t] for t in EXPONENT}
_SIGN = {t: 1 << WIDTH[t] - 1 for t in EXPONENT}
_INF = {t: ((1 << EXPONENT[t]) - 1) << FRACTION[t] for t in EXPONENT}
FLUSH = {t: FZ16 if t == 1 else FZ for t in EXPONENT}
"""The control bit that flushes a format's denormals to zero."""
QUIET = {t: 1 << FRACTION[t] - 1 for t in EXPONENT}
_LEAST = {t: 2 - (1 << EXPONENT[t] - 1) for t in EXPONENT}
"""Exponent of the smallest normal number."""

ZERO_KIND, NUMBER, INFINITY, QNAN, SNAN = range(5)

CACHE = 1 << 14


def rmode(ctl: int) -> int:
    """The rounding that FPCR asks for."""
    return ctl >> RMODE_SHIFT & 3


def default_nan(t: int) -> int:
    """The default NaN of a format."""
    return _INF[t] | QUIET[t]


def negate(x: int, t: int) -> int:
    """The other sign; also of a NaN."""
    return x ^ _SIGN[t]


def absolute(x: int, t: int) -> int:
    """Without sign; also of a NaN."""
    return x & ~_SIGN[t]


def infinity(sign: int, t: int) -> int:
    return _INF[t] | (_SIGN[t] if sign else 0)


def zero(sign: int, t: int) -> int:
    return _SIGN[t] if sign else 0


def one(t: int) -> int:
    """The number 1."""
    return ((1 << EXPONENT[t] - 1) - 1) << FRACTION[t]


Unpacked: TypeAlias = tuple[int, int, int, int, int]
"""kind, sign, mantissa, exponent (value = mantissa * 2**exponent), FPSR bits."""


def unpack(x: int, t: int, ctl: int, *, alternative: bool = False) -> Unpacked:
    """Take a number apart. FZ flushes denormal inputs and says so in FPSR, FZ16 those of half
    precision and does not.

    `alternative`: a half-precision number in Arm's alternative format.
    """
    f = FRACTION[t]
    sign = 1 if x & _SIGN[t] else 0
    exponent = x >> f & (1 << EXPONENT[t]) - 1
    fraction = x & (1 << f) - 1
    if exponent == 0:
        if fraction == 0:
            return ZERO_KIND, sign, 0, 0, 0
        if ctl & FLUSH[t]:
            return ZERO_KIND, sign, 0, 0, 0 if t == 1 else IDC
        return NUMBER, sign, fraction, _LEAST[t] - f, 0
    if exponent == (1 << EXPONENT[t]) - 1 and not alternative:
        if fraction == 0:
            return INFINITY, sign, 0, 0, 0
        return (QNAN if fraction & QUIET[t] else SNAN), sign, 0, 0, 0
    return NUMBER, sign, fraction | 1 << f, exponent - 1 + _LEAST[t] - f, 0


def rounds_up(mode: int, sign: int, odd: int, rest: int, half: int) -> bool:
    """Whether to round the magnitude up; `rest` is what is cut off, `half` half a unit."""
    if mode == TIES_EVEN:
        return rest > half or (rest == half and bool(odd))
    if mode == TIES_AWAY:
        return rest >= half
    return bool(rest) and mode == (MINUS if sign else PLUS)


def round_pack(
    sign: int, mantissa: int, exponent: int, t: int, ctl: int, mode: int | None = None
) -> Result:
    """Round mantissa * 2**exponent (mantissa > 0) to a format (Arm ARM, FPRound).

    With ODD the mantissa's lowest bit becomes one if anything is cut off.
    """
    mode = rmode(ctl) if mode is None else mode
    f, least = FRACTION[t], _LEAST[t]
    top = mantissa.bit_length() - 1 + exponent
    if top < least and ctl & FLUSH[t]:
        return zero(sign, t), UFC
    biased = max(top - least + 1, 0)
    quantum = max(top, least) - f
    shift = quantum - exponent
    if shift <= 0:
        kept, rest, half = mantissa << -shift, 0, 1
    else:
        kept = mantissa >> shift
        rest, half = mantissa & (1 << shift) - 1, 1 << shift - 1
    flags = UFC if biased == 0 and rest else 0
    if mode == ODD:
        kept |= 1 if rest else 0
    elif rounds_up(mode, sign, kept & 1, rest, half):
        kept += 1
        if kept == 1 << f:
            biased = 1
        elif kept == 1 << f + 1:
            kept >>= 1
            biased += 1
    largest = (1 << EXPONENT[t]) - 1
    if t == 1 and ctl & AHP:
        if biased > largest:
            return zero(sign, t) | (1 << WIDTH[t] - 1) - 1, IOC
    elif biased >= largest:
        to_infinity = mode in (TIES_EVEN, TIES_AWAY) or mode == (MINUS if sign else PLUS)
        value = _INF[t] if to_infinity else _INF[t] - 1
        return zero(sign, t) | value, flags | OFC | IXC
    value = biased << f | kept & (1 << f) - 1
    return zero(sign, t) | value, flags | (IXC if rest else 0)


def nan_result(x: int, kind: int, t: int, ctl: int) -> Result:
    """A NaN operand as result: quietened, or the default NaN."""
    flags = IOC if kind == SNAN else 0
    return (default_nan(t) if ctl & DN else x | QUIET[t]), flags


def first_nan(operands: tuple[tuple[int, int], ...], t: int, ctl: int) -> Result | None:
    """The result if any of (kind, bits) is a NaN: signalling ones first, then in order."""
    for wanted in (SNAN, QNAN):
        for kind, x in operands:
            if kind == wanted:
                return nan_result(x, kind, t, ctl)
    return None


def _sum_zero(ctl: int) -> int:
    """Sign of an exact zero sum of numbers of different sign."""
    return 1 if rmode(ctl) == MINUS else 0


def pack_sum(total: int, exponent: int, t: int, ctl: int) -> Result:
    if total == 0:
        return zero(_sum_zero(ctl), t), 0
    return round_pack(int(total < 0), abs(total), exponent, t, ctl)


def aligned_sum(s1: int, m1: int, e1: int, s2: int, m2: int, e2: int) -> tuple[int, int]:
    """The exact sum of two numbers as (integer, exponent)."""
    low = min(e1, e2)
    a, b = m1 << e1 - low, m2 << e2 - low
    return (-a if s1 else a) + (-b if s2 else b), low


@lru_cache(CACHE)
def add(a: int, b: int, t: int, ctl: int) -> Result:
    """a + b."""
    return _add(a, b, t, ctl, 0)


@lru_cache(CACHE)
def subtract(a: int, b: int, t: int, ctl: int) -> Result:
    """a - b."""
    return _add(a, b, t, ctl, 1)


def _add(a: int, b: int, t: int, ctl: int, flip: int) -> Result:
    k1, s1, m1, e1, f1 = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = unpack(b, t, ctl)
    flags = f1 | f2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    s2 ^= flip
    if INFINITY in (k1, k2):
        if k1 == k2 and s1 != s2:
            return default_nan(t), IOC | flags
        return infinity(s1 if k1 == INFINITY else s2, t), flags
    if k1 == ZERO_KIND and k2 == ZERO_KIND and s1 == s2:
        return zero(s1, t), flags
    total, exponent = aligned_sum(s1, m1, e1, s2, m2, e2)
    value, more = pack_sum(total, exponent, t, ctl)
    return value, flags | more


@lru_cache(CACHE)
def multiply(a: int, b: int, t: int, ctl: int) -> Result:
    """a * b."""
    return _multiply(a, b, t, ctl, extended=False)


@lru_cache(CACHE)
def multiply_extended(a: int, b: int, t: int, ctl: int) -> Result:
    """FMULX: as `multiply`, but infinity times zero is two."""
    return _multiply(a, b, t, ctl, extended=True)


def _multiply(a: int, b: int, t: int, ctl: int, *, extended: bool) -> Result:
    k1, s1, m1, e1, f1 = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = unpack(b, t, ctl)
    flags, sign = f1 | f2, s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    if INFINITY in (k1, k2):
        if ZERO_KIND in (k1, k2):
            two = zero(sign, t) | one(t) + (1 << FRACTION[t])
            return (two, flags) if extended else (default_nan(t), flags | IOC)
        return infinity(sign, t), flags
    if ZERO_KIND in (k1, k2):
        return zero(sign, t), flags
    value, more = round_pack(sign, m1 * m2, e1 + e2, t, ctl)
    return value, flags | more


@lru_cache(CACHE)
def divide(a: int, b: int, t: int, ctl: int) -> Result:
    """a / b."""
    k1, s1, m1, e1, f1 = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = unpack(b, t, ctl)
    flags, sign = f1 | f2, s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    if k1 == k2 and k1 in (INFINITY, ZERO_KIND):
        return default_nan(t), flags | IOC
    if k1 == INFINITY or k2 == ZERO_KIND:
        return infinity(sign, t), flags | (DZC if k1 != INFINITY else 0)
    if k1 == ZERO_KIND or k2 == INFINITY:
        return zero(sign, t), flags
    shift = max(0, FRACTION[t] + 3 + m2.bit_length() - m1.bit_length())
    quotient, rest = divmod(m1 << shift, m2)
    value, more = round_pack(sign, quotient << 1 | (1 if rest else 0), e1 - e2 - shift - 1, t, ctl)
    return value, flags | more


@lru_cache(CACHE)
def multiply_add(acc: int, a: int, b: int, t: int, ctl: int) -> Result:
    """acc + a * b with one rounding."""
    ka, sa, ma, ea, fa = unpack(acc, t, ctl)
    k1, s1, m1, e1, f1 = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = unpack(b, t, ctl)
    return multiply_add_numbers(
        (ka, sa, ma, ea), (k1, s1, m1, e1), (k2, s2, m2, e2), (acc, a, b), t, ctl, fa | f1 | f2
    )


Number: TypeAlias = tuple[int, int, int, int]


def multiply_add_numbers(
    acc: Number, a: Number, b: Number, bits: tuple[int, int, int], t: int, ctl: int, flags: int
) -> Result:
    (ka, sa, ma, ea), (k1, s1, m1, e1), (k2, s2, m2, e2) = acc, a, b
    invalid = {k1, k2} == {INFINITY, ZERO_KIND}
    if ka >= QNAN or k1 >= QNAN or k2 >= QNAN:
        if ka == QNAN and invalid:
            return default_nan(t), flags | IOC
        nan = first_nan(((ka, bits[0]), (k1, bits[1]), (k2, bits[2])), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    sign = s1 ^ s2
    infinite = INFINITY in (k1, k2)
    if invalid or (infinite and ka == INFINITY and sa != sign):
        return default_nan(t), flags | IOC
    if ka == INFINITY or infinite:
        return infinity(sa if ka == INFINITY else sign, t), flags
    product_zero = ZERO_KIND in (k1, k2)
    if ka == ZERO_KIND and product_zero and sa == sign:
        return zero(sa, t), flags
    total, exponent = aligned_sum(sa, ma, ea, sign, 0 if product_zero else m1 * m2, e1 + e2)
    value, more = pack_sum(total, exponent, t, ctl)
    return value, flags | more


@lru_cache(CACHE)
def square_root(a: int, t: int, ctl: int) -> Result:
    """The square root."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, more | flags
    if kind == ZERO_KIND:
        return zero(sign, t), flags
    if sign:
        return default_nan(t), flags | IOC
    if kind == INFINITY:
        return infinity(0, t), flags
    shift = 2 * (FRACTION[t] + 3)
    if e - shift & 1:
        shift += 1
    scaled = m << shift
    root = isqrt(scaled)
    inexact = 1 if root * root != scaled else 0
    value, more = round_pack(0, root << 1 | inexact, (e - shift) // 2 - 1, t, ctl)
    return value, flags | more
