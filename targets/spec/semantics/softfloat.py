"""Floating-point arithmetic on bit patterns, by the rules of the Arm architecture.

Formats are named by t, the log2 of their bytes: 1 half, 2 single, 3 double; BF16 is a
format of its own. Every operation takes bit patterns and `ctl`, the FPCR bits DN, FZ, FZ16,
RMode, AH and FIZ (AHP too for `convert`, and for `convert` only), and returns (bit pattern, FPSR
bits). All of it is exact integer arithmetic followed by one rounding.

With AH (FEAT_AFP) the default NaN is negative, no operation changes the sign of a NaN, of several
NaNs the place decides and not the kind, a denormal that is made use of says so in FPSR, and whether
a result is one is decided after rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from math import isqrt
from typing import TypeAlias, TypeVar, cast

Result: TypeAlias = tuple[int, int]

IOC, DZC, OFC, UFC, IXC, IDC = 1, 2, 4, 8, 16, 128
"""Cumulative exception bits of FPSR."""

RPRES = 1 << 32
"""In `ctl`, but no bit of FPCR: the CPU's estimates are finer with AH."""
AHP, DN, FZ, FZ16, EBF, AH, FIZ = 1 << 26, 1 << 25, 1 << 24, 1 << 19, 1 << 13, 1 << 1, 1 << 0
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


def default_nan(t: int, ctl: int) -> int:
    """The default NaN of a format."""
    return (_SIGN[t] if ctl & AH else 0) | _INF[t] | QUIET[t]


def is_nan(x: int, t: int) -> bool:
    """Whether it is a NaN of either kind."""
    return x & ~_SIGN[t] > _INF[t]


def negate(x: int, t: int, ctl: int) -> int:
    """The other sign; also of a NaN, but not with AH."""
    return x if ctl & AH and is_nan(x, t) else x ^ _SIGN[t]


def absolute(x: int, t: int, ctl: int) -> int:
    """Without sign; also of a NaN, but not with AH."""
    return x if ctl & AH and is_nan(x, t) else x & ~_SIGN[t]


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
    """Take a number apart. FZ without AH flushes denormal inputs and says so in FPSR; FIZ does
    not say so, nor does FZ16, which those of half precision look at instead.

    `alternative`: a half-precision number in Arm's alternative format.
    """
    f = FRACTION[t]
    sign = 1 if x & _SIGN[t] else 0
    exponent = x >> f & (1 << EXPONENT[t]) - 1
    fraction = x & (1 << f) - 1
    if exponent == 0:
        if fraction == 0:
            return ZERO_KIND, sign, 0, 0, 0
        if t == 1:
            if ctl & FZ16:
                return ZERO_KIND, sign, 0, 0, 0
        elif ctl & (FZ | AH) == FZ:
            return ZERO_KIND, sign, 0, 0, IDC
        elif ctl & FIZ:
            return ZERO_KIND, sign, 0, 0, 0
        return NUMBER, sign, fraction, _LEAST[t] - f, 0
    if exponent == (1 << EXPONENT[t]) - 1 and not alternative:
        if fraction == 0:
            return INFINITY, sign, 0, 0, 0
        return (QNAN if fraction & QUIET[t] else SNAN), sign, 0, 0, 0
    return NUMBER, sign, fraction | 1 << f, exponent - 1 + _LEAST[t] - f, 0


def used(t: int, ctl: int, *operands: Unpacked) -> int:
    """What FPSR says of operands that a result was made of (Arm ARM, FPProcessDenorms)."""
    if not ctl & AH or t == 1:
        return 0
    return IDC if any(kind == NUMBER and not m >> FRACTION[t] for kind, _, m, *_ in operands) else 0


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
    tiny = top < least
    if tiny and ctl & AH:
        tiny = not _rounds_to_next(sign, mantissa, f, mode) or top < least - 1
    if tiny and ctl & FLUSH[t]:
        return zero(sign, t), UFC | IXC if ctl & AH else UFC
    biased = max(top - least + 1, 0)
    quantum = max(top, least) - f
    shift = quantum - exponent
    if shift <= 0:
        kept, rest, half = mantissa << -shift, 0, 1
    else:
        kept = mantissa >> shift
        rest, half = mantissa & (1 << shift) - 1, 1 << shift - 1
    flags = UFC if tiny and rest else 0
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


def _rounds_to_next(sign: int, mantissa: int, bits: int, mode: int) -> bool:
    """Whether rounding to `bits` of fraction, at any exponent, reaches the next power of two."""
    shift = mantissa.bit_length() - 1 - bits
    if shift <= 0:
        return False
    kept, rest = mantissa >> shift, mantissa & (1 << shift) - 1
    full = kept == (2 << bits) - 1
    return full and rounds_up(mode, sign, kept & 1, rest, 1 << shift - 1)


def nan_result(x: int, kind: int, t: int, ctl: int) -> Result:
    """A NaN operand as result: quietened, or the default NaN."""
    flags = IOC if kind == SNAN else 0
    return (default_nan(t, ctl) if ctl & DN else x | QUIET[t]), flags


def first_nan(operands: tuple[tuple[int, int], ...], t: int, ctl: int) -> Result | None:
    """The result if any of (kind, bits) is a NaN: signalling ones first, then in order. With AH
    any first, and an addend, which is the first of three, last."""
    if ctl & AH:
        addend, factors = operands[:-2], operands[-2:]
        nans = [operand for operand in (*factors, *addend) if operand[0] >= QNAN]
        return nan_result(nans[0][1], max(kind for kind, _ in nans), t, ctl) if nans else None
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
    k1, s1, m1, e1, f1 = x = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = y = unpack(b, t, ctl)
    flags = f1 | f2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    flags |= used(t, ctl, x, y)
    s2 ^= flip
    if INFINITY in (k1, k2):
        if k1 == k2 and s1 != s2:
            return default_nan(t, ctl), IOC | flags
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
    k1, s1, m1, e1, f1 = x = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = y = unpack(b, t, ctl)
    flags, sign = f1 | f2, s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    flags |= used(t, ctl, x, y)
    if INFINITY in (k1, k2):
        if ZERO_KIND in (k1, k2):
            two = zero(sign, t) | one(t) + (1 << FRACTION[t])
            return (two, flags) if extended else (default_nan(t, ctl), flags | IOC)
        return infinity(sign, t), flags
    if ZERO_KIND in (k1, k2):
        return zero(sign, t), flags
    value, more = round_pack(sign, m1 * m2, e1 + e2, t, ctl)
    return value, flags | more


@lru_cache(CACHE)
def divide(a: int, b: int, t: int, ctl: int) -> Result:
    """a / b."""
    k1, s1, m1, e1, f1 = x = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = y = unpack(b, t, ctl)
    flags, sign = f1 | f2, s1 ^ s2
    if k1 >= QNAN or k2 >= QNAN:
        nan = first_nan(((k1, a), (k2, b)), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    if k1 == k2 and k1 in (INFINITY, ZERO_KIND):
        return default_nan(t, ctl), flags | IOC
    if k2 != ZERO_KIND:
        flags |= used(t, ctl, x, y)
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
    numbers = unpack(acc, t, ctl), unpack(a, t, ctl), unpack(b, t, ctl)
    return multiply_add_numbers(*numbers, (acc, a, b), t, ctl, used(t, ctl, *numbers))


def multiply_add_numbers(
    acc: Unpacked, a: Unpacked, b: Unpacked, bits: tuple[int, int, int], t: int, ctl: int, use: int
) -> Result:
    """The same of numbers in any formats; `use`: what FPSR says if the result is of them."""
    (ka, sa, ma, ea, fa), (k1, s1, m1, e1, f1), (k2, s2, m2, e2, f2) = acc, a, b
    flags = fa | f1 | f2
    invalid = {k1, k2} == {INFINITY, ZERO_KIND}
    if ka >= QNAN or k1 >= QNAN or k2 >= QNAN:
        if ka == QNAN and invalid and not ctl & AH:
            return default_nan(t, ctl), flags | IOC
        nan = first_nan(((ka, bits[0]), (k1, bits[1]), (k2, bits[2])), t, ctl)
        assert nan
        return nan[0], nan[1] | flags
    sign = s1 ^ s2
    infinite = INFINITY in (k1, k2)
    if invalid or (infinite and ka == INFINITY and sa != sign):
        return default_nan(t, ctl), flags | IOC
    flags |= use
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
    kind, sign, m, e, flags = x = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, more | flags
    if kind == ZERO_KIND:
        return zero(sign, t), flags
    if sign:
        return default_nan(t, ctl), flags | IOC
    if kind == INFINITY:
        return infinity(0, t), flags
    flags |= used(t, ctl, x)
    shift = 2 * (FRACTION[t] + 3)
    if e - shift & 1:
        shift += 1
    scaled = m << shift
    root = isqrt(scaled)
    inexact = 1 if root * root != scaled else 0
    value, more = round_pack(0, root << 1 | inexact, (e - shift) // 2 - 1, t, ctl)
    return value, flags | more


_Operation = TypeVar("_Operation", bound=Callable[..., Result])


def plain_with_ah(f: _Operation) -> _Operation:
    """An operation, whose last argument is ctl, that with AH flushes denormals, rounds to nearest
    and raises no flags: estimates, Newton steps, conversions to BF16 and products of it."""

    @wraps(f)
    def run(*args: int) -> Result:
        *operands, ctl = args
        if not ctl & AH:
            return f(*args)
        return f(*operands, (ctl | FIZ | FZ) & ~(3 << RMODE_SHIFT))[0], 0

    return cast("_Operation", run)
