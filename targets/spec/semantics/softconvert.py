"""Floating-point comparisons, rounding to integers and conversions."""

from __future__ import annotations

from functools import lru_cache

from targets.spec.semantics.softfloat import (
    AH,
    AHP,
    BF16,
    CACHE,
    DN,
    FRACTION,
    FZ,
    FZ16,
    INFINITY,
    IOC,
    IXC,
    NUMBER,
    QNAN,
    QUIET,
    SNAN,
    WIDTH,
    ZERO,
    ZERO_KIND,
    Result,
    Unpacked,
    aligned_sum,
    default_nan,
    first_nan,
    infinity,
    nan_result,
    plain_with_ah,
    round_pack,
    rounds_up,
    unpack,
    used,
    zero,
)


def _order(a: Unpacked, b: Unpacked) -> int:
    """-1, 0 or 1 as a is less than, equal to or greater than b; neither is a NaN."""
    (k1, s1, m1, e1, _), (k2, s2, m2, e2, _) = a, b
    if INFINITY in (k1, k2):
        x, y = ((0 if k != INFINITY else -1 if s else 1) for k, s in ((k1, s1), (k2, s2)))
        return (x > y) - (x < y)
    total, _ = aligned_sum(s1, m1, e1, 1 - s2, m2, e2)
    return (total > 0) - (total < 0)


def _chosen(a: Unpacked, t: int, ctl: int) -> Result:
    """An operand as a result: rounded, so that a flushed denormal stays flushed."""
    kind, sign, m, e, _ = a
    if kind == INFINITY:
        return infinity(sign, t), 0
    if kind == ZERO_KIND:
        return zero(sign, t), 0
    return round_pack(sign, m, e, t, ctl)


@lru_cache(CACHE)
def extreme(a: int, b: int, t: int, ctl: int, largest: bool, number: bool) -> Result:
    """FMAX, FMIN, which with AH give the second operand wherever the two do not compare;
    `number`: FMAXNM, FMINNM, which prefer a number to a quiet NaN."""
    x, y = unpack(a, t, ctl), unpack(b, t, ctl)
    flags = x[4] | y[4]
    nans = x[0] >= QNAN, y[0] >= QNAN
    if ctl & AH and not number:
        if any(nans):
            return (zero(y[1], t) if y[0] == ZERO_KIND else b), flags | IOC
        if x[0] == y[0] == ZERO_KIND and x[1] != y[1]:
            return zero(y[1], t), flags
    if number and (x[0] == QNAN) != (y[0] == QNAN) and not (ctl & AH and all(nans)):
        substitute = infinity(1 if largest else 0, t)
        if x[0] == QNAN:
            a, x = substitute, unpack(substitute, t, ctl)
        else:
            b, y = substitute, unpack(substitute, t, ctl)
    nan = first_nan(((x[0], a), (y[0], b)), t, ctl)
    if nan:
        return nan[0], nan[1] | flags
    flags |= used(t, ctl, x, y)
    order = _order(x, y)
    if order == 0 and x[0] == ZERO_KIND:
        sign = x[1] & y[1] if largest else x[1] | y[1]
        return zero(sign, t), flags
    rounding = ctl & ~(FZ | FZ16) if ctl & AH and not number else ctl
    value, more = _chosen(x if (order > 0) == largest else y, t, rounding)
    return value, flags | more


EQ, GE, GT, LE, LT, NE, UO = range(7)
"""Comparisons."""


@lru_cache(CACHE)
def compare(a: int, b: int, t: int, ctl: int, relation: int) -> Result:
    """1 if the relation holds. Any NaN is invalid for the orderings, only a signalling
    one for EQ, NE and UO; unordered operands satisfy NE and UO alone."""
    x, y = unpack(a, t, ctl), unpack(b, t, ctl)
    flags = x[4] | y[4]
    if x[0] >= QNAN or y[0] >= QNAN:
        if relation not in (EQ, NE, UO) or SNAN in (x[0], y[0]):
            flags |= IOC
        return int(relation in (NE, UO)), flags
    flags |= used(t, ctl, x, y)
    order = _order(x, y)
    holds = {
        EQ: order == 0,
        GE: order >= 0,
        GT: order > 0,
        LE: order <= 0,
        LT: order < 0,
        NE: order != 0,
        UO: False,
    }[relation]
    return int(holds), flags


def compare_nzcv(a: int, b: int, t: int, ctl: int, signalling: bool) -> Result:
    """FCMP and FCMPE: the flags."""
    x, y = unpack(a, t, ctl), unpack(b, t, ctl)
    flags = x[4] | y[4]
    if x[0] >= QNAN or y[0] >= QNAN:
        return 0b0011, flags | (IOC if signalling or SNAN in (x[0], y[0]) else 0)
    return {0: 0b0110, -1: 0b1000, 1: 0b0010}[_order(x, y)], flags | used(t, ctl, x, y)


def _rounded_integer(sign: int, m: int, e: int, mode: int) -> tuple[int, bool]:
    """The magnitude of m * 2**e as an integer, and whether it was inexact."""
    if e >= 0:
        return m << e, False
    kept, rest = m >> -e, m & (1 << -e) - 1
    if rounds_up(mode, sign, kept & 1, rest, 1 << -e - 1):
        kept += 1
    return kept, bool(rest)


@lru_cache(CACHE)
def round_integral(a: int, t: int, ctl: int, mode: int, exact: bool) -> Result:
    """FRINTx. `exact`: an inexact result is signalled."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, more | flags
    if kind == INFINITY:
        return infinity(sign, t), flags
    number, inexact = _rounded_integer(sign, m, e, mode) if kind == NUMBER else (0, False)
    if exact and inexact:
        flags |= IXC
    if number == 0:
        return zero(sign, t), flags
    return round_pack(sign, number, 0, t, ctl, ZERO)[0], flags


@lru_cache(CACHE)
def round_within(a: int, t: int, ctl: int, mode: int, bits: int) -> Result:
    """FRINT32x, FRINT64x: rounded, and what does not fit a signed integer of `bits` becomes
    the most negative one (Arm ARM, FPRoundIntN)."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    outside = round_pack(1, 1, bits - 1, t, 0)[0], flags | IOC
    if kind >= INFINITY or (kind == NUMBER and m.bit_length() + e > bits + 1):
        return outside
    number, inexact = _rounded_integer(sign, m, e, mode) if kind == NUMBER else (0, False)
    if number >= (1 << bits - 1) + sign:
        return outside
    flags |= IXC if inexact else 0
    if number == 0:
        return zero(sign, t), flags
    return round_pack(sign, number, 0, t, ctl, ZERO)[0], flags


@lru_cache(CACHE)
def to_integer(
    a: int, t: int, ctl: int, mode: int, bits: int, negative: bool, scale: int
) -> Result:
    """a * 2**scale as an integer of `bits`, saturating; `negative`: a signed one."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if negative else (0, (1 << bits) - 1)
    keep = (1 << bits) - 1
    if kind >= QNAN:
        return 0, flags | IOC
    if kind == INFINITY:
        return (lo if sign else hi) & keep, flags | IOC
    if kind == ZERO_KIND:
        return 0, flags
    if m.bit_length() + e + scale > bits + 1:
        return (lo if sign else hi) & keep, flags | IOC
    magnitude, inexact = _rounded_integer(sign, m, e + scale, mode)
    number = -magnitude if sign else magnitude
    if number < lo or number > hi:
        return (lo if sign else hi) & keep, flags | IOC
    return number & keep, flags | (IXC if inexact else 0)


def to_integer_modulo(a: int, ctl: int) -> tuple[int, bool, int]:
    """FJCVTZS: a double's integer modulo 2**32, whether it is all of the number, and FPSR
    bits (Arm ARM, FPToFixedJS). Minus zero and a flushed denormal do not count as exact."""
    kind, sign, m, e, flags = unpack(a, 3, ctl)
    if kind >= INFINITY:
        return 0, False, flags | IOC
    if kind == ZERO_KIND:
        return 0, a == 0, flags
    magnitude, inexact = _rounded_integer(sign, m, e, ZERO)
    number = -magnitude if sign else magnitude
    if not -(1 << 31) <= number < 1 << 31:
        return number & 0xFFFF_FFFF, False, flags | IOC
    return number & 0xFFFF_FFFF, not inexact, flags | (IXC if inexact else 0)


@lru_cache(CACHE)
def from_integer(a: int, t: int, ctl: int, bits: int, negative: bool, scale: int) -> Result:
    """An integer of `bits`, divided by 2**scale, as a number."""
    sign = int(negative and a >> bits - 1 & 1)
    magnitude = (1 << bits) - a if sign else a
    if magnitude == 0:
        return 0, 0
    return round_pack(sign, magnitude, -scale, t, ctl & ~AHP)


@lru_cache(CACHE)
def convert(a: int, from_t: int, to_t: int, ctl: int, mode: int | None = None) -> Result:
    """Between precisions; AHP selects the alternative half-precision format, which has
    neither infinities nor NaNs. FZ16 does not concern conversions (Arm ARM, FPUnpackCV)."""
    ctl &= ~FZ16
    alternative = bool(ctl & AHP)
    kind, sign, m, e, flags = x = unpack(a, from_t, ctl, alternative=from_t == 1 and alternative)
    to_alternative = to_t == 1 and alternative
    if kind >= QNAN:
        if kind == SNAN or to_alternative:
            flags |= IOC
        if to_alternative:
            return zero(sign, to_t), flags
        if ctl & DN:
            return default_nan(to_t, ctl), flags
        fraction = a & (1 << FRACTION[from_t]) - 1
        shift = FRACTION[to_t] - FRACTION[from_t]
        moved = fraction << shift if shift >= 0 else fraction >> -shift
        return infinity(sign, to_t) | QUIET[to_t] | moved, flags
    if kind == INFINITY:
        if to_alternative:
            return zero(sign, to_t) | (1 << WIDTH[to_t] - 1) - 1, flags | IOC
        return infinity(sign, to_t), flags
    if kind == ZERO_KIND:
        return zero(sign, to_t), flags
    value, more = round_pack(sign, m, e, to_t, ctl, mode)
    return value, flags | more | used(from_t, ctl, x)


@plain_with_ah
def to_bf16(a: int, ctl: int) -> Result:
    """A single-precision number as BF16."""
    return convert(a, 2, BF16, ctl)
