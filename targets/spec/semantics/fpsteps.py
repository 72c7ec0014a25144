"""Floating-point estimates, Newton steps, scaling and the trigonometric helpers."""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

from targets.spec.semantics.intops import (
    fine_recip_estimate,
    fine_recip_sqrt_estimate,
    recip_estimate,
    recip_sqrt_estimate,
)
from targets.spec.semantics.softfloat import (
    AH,
    CACHE,
    DZC,
    EXPONENT,
    FLUSH,
    FRACTION,
    INFINITY,
    IOC,
    IXC,
    MINUS,
    OFC,
    PLUS,
    QNAN,
    RPRES,
    TIES_EVEN,
    UFC,
    ZERO_KIND,
    Result,
    absolute,
    add,
    default_nan,
    first_nan,
    infinity,
    multiply,
    multiply_add,
    multiply_add_numbers,
    nan_result,
    negate,
    one,
    pack_sum,
    plain_with_ah,
    rmode,
    round_pack,
    unpack,
    used,
    zero,
)

_BIAS = {t: (1 << EXPONENT[t] - 1) - 1 for t in (1, 2, 3)}


@plain_with_ah
@lru_cache(CACHE)
def reciprocal_estimate(a: int, t: int, ctl: int) -> Result:
    """FRECPE: eight bits of 1 / a, or twelve."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, flags | more
    if kind == INFINITY:
        return zero(sign, t), flags
    if kind == ZERO_KIND:
        return infinity(sign, t), flags | DZC
    top = m.bit_length() - 1 + e
    if top < -_BIAS[t] - 1:
        mode = rmode(ctl)
        up = mode in (TIES_EVEN, MINUS if sign else PLUS)
        value = infinity(0, t) - (0 if up else 1)
        return zero(sign, t) | value, flags | OFC | IXC
    if ctl & FLUSH[t] and top >= _BIAS[t] - 1:
        return zero(sign, t), flags | UFC
    if _fine(t, ctl):
        estimate, bits = fine_recip_estimate(m << 11 >> m.bit_length() - 1), 12
    else:
        estimate, bits = recip_estimate(m << 8 >> m.bit_length() - 1), 8
    fraction = (estimate & (1 << bits) - 1) << FRACTION[t] - bits
    exponent = 2 * _BIAS[t] - 1 - (top + _BIAS[t])
    if exponent <= 0:
        fraction = (fraction | 1 << FRACTION[t]) >> 1 - exponent
        exponent = 0
    return zero(sign, t) | exponent << FRACTION[t] | fraction, flags


def _fine(t: int, ctl: int) -> bool:
    """Whether estimates have twelve bits (FEAT_RPRES)."""
    return t == 2 and ctl & (AH | RPRES) == AH | RPRES


@plain_with_ah
@lru_cache(CACHE)
def reciprocal_sqrt_estimate(a: int, t: int, ctl: int) -> Result:
    """FRSQRTE: eight bits of 1 / sqrt(a), or twelve."""
    kind, sign, m, e, flags = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, flags | more
    if kind == ZERO_KIND:
        return infinity(sign, t), flags | DZC
    if sign:
        return default_nan(t, ctl), flags | IOC
    if kind == INFINITY:
        return zero(0, t), flags
    biased = m.bit_length() - 1 + e + _BIAS[t]
    odd = biased & 1
    if _fine(t, ctl):
        estimate, bits = fine_recip_sqrt_estimate(m << 11 >> m.bit_length() - 1 >> odd), 12
    else:
        estimate, bits = recip_sqrt_estimate(m << 8 >> m.bit_length() - 1 >> odd), 8
    exponent = (3 * _BIAS[t] - 1 - biased) // 2
    fraction = (estimate & (1 << bits) - 1) << FRACTION[t] - bits
    return exponent << FRACTION[t] | fraction, flags


@plain_with_ah
def reciprocal_exponent(a: int, t: int, ctl: int) -> Result:
    """FRECPX: the exponent inverted, the fraction cleared."""
    kind, sign, _, _, flags = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, flags | more
    ones = (1 << EXPONENT[t]) - 1
    exponent = a >> FRACTION[t] & ones
    result = ones - 1 if exponent == 0 else exponent ^ ones
    return zero(sign, t) | result << FRACTION[t], flags


@lru_cache(CACHE)
def _step(a: int, b: int, t: int, ctl: int, constant: int, halve: int) -> Result:
    """(constant - a * b) / 2**halve with one rounding."""
    a = negate(a, t, ctl)
    k1, s1, m1, e1, f1 = unpack(a, t, ctl)
    k2, s2, m2, e2, f2 = unpack(b, t, ctl)
    flags, sign = f1 | f2, s1 ^ s2
    nan = first_nan(((k1, a), (k2, b)), t, ctl)
    if nan:
        return nan[0], nan[1] | flags
    if {k1, k2} == {INFINITY, ZERO_KIND}:
        return round_pack(0, constant, -halve, t, ctl)[0], flags
    if INFINITY in (k1, k2):
        return infinity(sign, t), flags
    product = 0 if ZERO_KIND in (k1, k2) else m1 * m2
    exponent = min(e1 + e2, 0)
    product <<= max(e1 + e2, 0)
    total = (constant << -exponent) + (-product if sign else product)
    value, more = pack_sum(total, exponent - halve, t, ctl)
    return value, flags | more


@plain_with_ah
def reciprocal_step(a: int, b: int, t: int, ctl: int) -> Result:
    """FRECPS: 2 - a * b."""
    return _step(a, b, t, ctl, 2, 0)


@plain_with_ah
def reciprocal_sqrt_step(a: int, b: int, t: int, ctl: int) -> Result:
    """FRSQRTS: (3 - a * b) / 2."""
    return _step(a, b, t, ctl, 3, 1)


def scale(a: int, by: int, t: int, ctl: int) -> Result:
    """FSCALE: a * 2**by; `by` is a signed integer of the element's size, unsigned bits."""
    kind, sign, m, e, flags = x = unpack(a, t, ctl)
    if kind >= QNAN:
        value, more = nan_result(a, kind, t, ctl)
        return value, flags | more
    if kind == INFINITY:
        return infinity(sign, t), flags
    if kind == ZERO_KIND:
        return zero(sign, t), flags
    flags |= used(t, ctl, x)
    half = 1 << (8 << t) - 1
    power = min(max((by ^ half) - half, -8192), 8192)
    value, more = round_pack(sign, m, e + power, t, ctl)
    return value, flags | more


def logarithm(a: int, t: int, ctl: int) -> Result:
    """FLOGB: the exponent as a signed integer."""
    kind, _, m, e, flags = x = unpack(a, t, ctl)
    bits = 8 << t
    if kind >= QNAN or kind == ZERO_KIND:
        return 1 << bits - 1, flags | IOC
    if kind == INFINITY:
        return (1 << bits - 1) - 1, flags
    return m.bit_length() - 1 + e & (1 << bits) - 1, flags | used(t, ctl, x)


@lru_cache(CACHE)
def multiply_add_long(acc: int, a: int, b: int, ctl: int) -> Result:
    """FMLALB and kin: a single-precision sum with the exact product of half-precision
    numbers."""
    start, first, second = unpack(acc, 2, ctl), unpack(a, 1, ctl), unpack(b, 1, ctl)
    wide = [(0x8000_0000 if x & 0x8000 else 0) | 0x7F80_0000 | (x & 0x3FF) << 13 for x in (a, b)]
    bits = (acc, wide[0], wide[1])
    return multiply_add_numbers(start, first, second, bits, 2, ctl, used(2, ctl, start))


def trig_multiply(a: int, b: int, t: int, ctl: int) -> Result:
    """FTSMUL: a squared, with the sign that the quadrant in b asks for."""
    value, flags = multiply(a, a, t, ctl)
    if unpack(value, t, 0)[0] < QNAN:
        value = absolute(value, t, ctl) | (zero(1, t) if b & 1 else 0)
    return value, flags


def trig_select(a: int, b: int, t: int, ctl: int) -> Result:
    """FTSSEL: a or 1, with the sign that the quadrant in b asks for."""
    value = one(t) if b & 1 else a
    return (negate(value, t, ctl) if b & 2 else value), 0


_SINE_COSINE = {
    1: (
        (0x3C00, 0xB155, 0x2030, 0, 0, 0, 0, 0),
        (0x3C00, 0xB800, 0x293A, 0, 0, 0, 0, 0),
    ),
    2: (
        (0x3F800000, 0xBE2AAAAB, 0x3C088886, 0xB95008B9, 0x36369D6D, 0, 0, 0),
        (0x3F800000, 0xBF000000, 0x3D2AAAA6, 0xBAB60705, 0x37CD37CC, 0, 0, 0),
    ),
    3: (
        (
            *(0x3FF0000000000000, 0xBFC5555555555543, 0x3F8111111110F30C, 0xBF2A01A019B92FC6),
            *(0x3EC71DE351F3D22B, 0xBE5AE5E2B60F7B91, 0x3DE5D8408868552F, 0),
        ),
        (
            *(0x3FF0000000000000, 0xBFE0000000000000, 0x3FA5555555555536, 0xBF56C16C16C13A0B),
            *(0x3EFA01A019B1E8D8, 0xBE927E4F7282F468, 0x3E21EE96D2641B13, 0xBDA8F76380FBB401),
        ),
    ),
}
"""Coefficients of the series for sine and cosine (Arm ARM, FPTrigMAddCoefficient)."""


def trig_multiply_add(a: int, b: int, index: int, t: int, ctl: int) -> Result:
    """FTMAD: a * |b| + coefficient; b's sign selects sine or cosine."""
    coefficient = _SINE_COSINE[t][1 if b & zero(1, t) else 0][index]
    return multiply_add(coefficient, a, absolute(b, t, ctl), t, ctl)


@lru_cache(None)
def _power_fraction(index: int, t: int) -> int:
    """The fraction of 2**(index / 64) (of 32 for half precision), rounded to nearest."""
    steps = 5 if t == 1 else 6
    bits = FRACTION[t]
    # 2**(index / 2**steps) is a chain of square roots; 80 spare bits make it exact enough.
    precision = bits + 80
    value = 1 << precision
    root = 2 << precision
    for bit in range(steps - 1, -1, -1):
        root = isqrt(root << precision)
        if index >> bit & 1:
            value = value * root >> precision
    return ((value >> 79) + 1 >> 1) - (1 << bits)


def exponential(a: int, t: int, _ctl: int) -> Result:
    """FEXPA: 2**x for a number x of a few bits, by table."""
    steps = 5 if t == 1 else 6
    index = a & (1 << steps) - 1
    exponent = a >> steps & (1 << EXPONENT[t]) - 1
    return exponent << FRACTION[t] | _power_fraction(index, t), 0


def pairwise_sum_of_products(
    acc: int, a: tuple[int, int], b: tuple[int, int], t: int, ctl: int
) -> Result:
    """FMMLA: acc + (a0 * b0 + a1 * b1), each operation rounded."""
    first, f1 = multiply(a[0], b[0], t, ctl)
    second, f2 = multiply(a[1], b[1], t, ctl)
    total, f3 = add(first, second, t, ctl)
    value, f4 = add(acc, total, t, ctl)
    return value, f1 | f2 | f3 | f4
