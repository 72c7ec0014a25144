"""Floating-point arithmetic against exact fractions, and against the host's own."""

from __future__ import annotations

import random
import struct
from bisect import bisect_left
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from targets.spec.semantics import fpbf16, fpsteps, softconvert, softfloat
from targets.spec.semantics.softfloat import (
    AHP,
    DN,
    DZC,
    FZ,
    FZ16,
    IDC,
    IOC,
    IXC,
    MINUS,
    OFC,
    PLUS,
    QNAN,
    RMODE_SHIFT,
    TIES_AWAY,
    TIES_EVEN,
    UFC,
    ZERO,
    unpack,
)

MODES = (TIES_EVEN, PLUS, MINUS, ZERO)
INF = 0x7C00


def exact(x: int) -> Fraction:
    """The value of a finite half-precision number, from the format's definition."""
    exponent, fraction = x >> 10 & 31, x & 1023
    magnitude = Fraction(fraction, 1 << 24) if exponent == 0 else Fraction(1024 + fraction, 1024)
    if exponent:
        magnitude *= Fraction(2) ** (exponent - 15)
    return -magnitude if x & 0x8000 else magnitude


_POSITIVE = [exact(x) for x in range(INF)]
_LIMIT = Fraction(65536)
"""What would be the next number above the largest: infinity's place for rounding."""


def rounded(value: Fraction, mode: int) -> tuple[int, int]:
    """The half-precision number nearest to a non-zero value in the sense of `mode`, and its
    flags, by search in the list of all of them."""
    sign, magnitude = value < 0, abs(value)
    above = bisect_left(_POSITIVE, magnitude)
    if above < len(_POSITIVE) and _POSITIVE[above] == magnitude:
        return above | sign << 15, 0
    below = above - 1
    upper = _POSITIVE[above] if above < len(_POSITIVE) else _LIMIT
    if mode == TIES_EVEN:
        middle = (_POSITIVE[below] + upper) / 2
        up = magnitude > middle or (magnitude == middle and below & 1)
    else:
        up = mode == (MINUS if sign else PLUS)
    flags = IXC | (UFC if magnitude < Fraction(1, 1 << 14) else 0)
    result = above if up else below
    # Beyond the limit it overflows whichever way it goes.
    if result == INF or magnitude >= _LIMIT:
        flags |= OFC
    return result | sign << 15, flags


def halves(rng: random.Random) -> int:
    """A finite half-precision number, often at the ends of the range."""
    choices = (rng.getrandbits(16), rng.randrange(4), 0x7BFF, 0x3C00, 0x400, 0x3FF)
    return (rng.choice(choices) & 0x7FFF if rng.random() < 0.8 else rng.getrandbits(16)) % INF | (
        rng.randrange(2) << 15
    )


BINARY: dict[str, tuple[Callable[..., softfloat.Result], Callable[..., Fraction]]] = {
    "add": (softfloat.add, lambda a, b: a + b),
    "subtract": (softfloat.subtract, lambda a, b: a - b),
    "multiply": (softfloat.multiply, lambda a, b: a * b),
    "divide": (softfloat.divide, lambda a, b: a / b),
    "recps": (fpsteps.reciprocal_step, lambda a, b: 2 - a * b),
    "rsqrts": (fpsteps.reciprocal_sqrt_step, lambda a, b: (3 - a * b) / 2),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_round_the_exact_result(name: str, mode: int) -> None:
    f, reference = BINARY[name]
    rng = random.Random(name)
    compared = 0
    for _ in range(3000):
        a, b = halves(rng), halves(rng)
        if name == "divide" and exact(b) == 0:
            continue
        value = reference(exact(a), exact(b))
        if value == 0:
            continue
        expected = rounded(value, mode)
        assert f(a, b, 1, mode << RMODE_SHIFT) == expected, (hex(a), hex(b))
        compared += 1
    assert compared > 2000


@pytest.mark.parametrize("mode", MODES)
def test_fused_multiply_add_rounds_once(mode: int) -> None:
    rng = random.Random(5)
    for _ in range(4000):
        acc, a, b = halves(rng), halves(rng), halves(rng)
        value = exact(acc) + exact(a) * exact(b)
        if value:
            found = softfloat.multiply_add(acc, a, b, 1, mode << RMODE_SHIFT)
            assert found == rounded(value, mode), (hex(acc), hex(a), hex(b))


@pytest.mark.parametrize("mode", MODES)
def test_square_roots_are_nearest(mode: int) -> None:
    for x in range(1, INF, 23):
        value, flags = softfloat.square_root(x, 1, mode << RMODE_SHIFT)
        root, square = exact(value), exact(x)
        assert bool(flags & IXC) == (root * root != square)
        if mode in (MINUS, ZERO):
            assert root * root <= square < exact(value + 1) ** 2
        elif mode == PLUS:
            assert root * root >= square > exact(value - 1) ** 2
        else:
            half_below = (exact(value - 1) + root) / 2
            half_above = (exact(value + 1) + root) / 2
            assert half_below**2 <= square <= half_above**2


def test_every_half_converts_to_single_and_back() -> None:
    for x in range(0, 0x10000, 3):
        single, flags = softconvert.convert(x, 1, 2, 0)
        if unpack(x, 1, 0)[0] >= QNAN:
            assert bool(flags & IOC) == (not x & 0x200)
            assert softconvert.convert(single, 2, 1, 0) == (x | 0x200, 0)
        else:
            assert flags == 0
            assert softconvert.convert(single, 2, 1, 0) == (x, 0)


def test_the_alternative_half_format_has_neither_infinity_nor_nan() -> None:
    single, flags = softconvert.convert(0x7C00, 1, 2, AHP)
    assert (single, flags) == (0x47800000, 0)
    assert softconvert.convert(0x7F800000, 2, 1, AHP) == (0x7FFF, IOC)
    assert softconvert.convert(0xFFC00000, 2, 1, AHP) == (0x8000, IOC)


@pytest.mark.parametrize("mode", [*MODES, TIES_AWAY])
def test_integers_are_rounded_and_saturate(mode: int) -> None:
    rng = random.Random(mode)
    for _ in range(4000):
        x = halves(rng)
        value = exact(x)
        floor = value.numerator // value.denominator
        part = value - floor
        up = {
            TIES_EVEN: part > Fraction(1, 2) or (part == Fraction(1, 2) and floor % 2 == 1),
            TIES_AWAY: part > Fraction(1, 2) or (part == Fraction(1, 2) and floor >= 0),
            PLUS: part > 0,
            MINUS: False,
            ZERO: part > 0 and value < 0,
        }[mode]
        number = floor + up
        saturated = min(max(number, -(1 << 15)), (1 << 15) - 1)
        flags = IOC if saturated != number else IXC if part else 0
        assert softconvert.to_integer(x, 1, 0, mode, 16, True, 0) == (saturated & 0xFFFF, flags)
        whole = softconvert.round_integral(x, 1, 0, mode, True)
        assert exact(whole[0]) == number
        assert whole[1] == (IXC if part else 0)


HOST = {1: np.float16, 2: np.float32, 3: np.float64}
BITS = {1: np.uint16, 2: np.uint32, 3: np.uint64}


def _wild(rng: random.Random, t: int) -> int:
    fraction = softfloat.FRACTION[t]
    exponents = (1 << softfloat.EXPONENT[t]) - 1
    exponent = rng.choice(
        (0, 1, exponents, exponents - 1, exponents // 2, rng.randrange(exponents))
    )
    return (
        rng.randrange(2) << (8 << t) - 1
        | exponent << fraction
        | rng.choice((0, 1, (1 << fraction) - 1, rng.getrandbits(fraction)))
    )


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
def test_the_host_agrees_when_rounding_to_nearest(name: str, t: int) -> None:
    host = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}
    rng = random.Random(f"{name} {t}")
    with np.errstate(all="ignore"):
        for _ in range(3000):
            a, b = _wild(rng, t), _wild(rng, t)
            x, y = (np.array([v], BITS[t]).view(HOST[t]) for v in (a, b))
            theirs = host[name](x, y)
            ours, _ = BINARY[name][0](a, b, t, 0)
            if np.isnan(theirs[0]):
                assert unpack(ours, t, 0)[0] == QNAN
            else:
                assert ours == int(theirs.view(BITS[t])[0]), (hex(a), hex(b))


QUIET, SIGNAL, OTHER = 0x7FC0_0012, 0x7FA0_0034, 0x7FC0_0056


def test_nans_are_chosen_signalling_first_then_in_order() -> None:
    assert softfloat.add(QUIET, OTHER, 2, 0) == (QUIET, 0)
    assert softfloat.add(QUIET, SIGNAL, 2, 0) == (SIGNAL | 1 << 22, IOC)
    assert softfloat.add(QUIET, OTHER, 2, DN) == (0x7FC0_0000, 0)
    assert softfloat.multiply_add(QUIET, 0, 0x7F80_0000, 2, 0) == (0x7FC0_0000, IOC)
    assert softfloat.multiply_add(0x3F80_0000, QUIET, SIGNAL, 2, 0) == (SIGNAL | 1 << 22, IOC)


def test_maximum_number_prefers_numbers_to_quiet_nans() -> None:
    assert softconvert.extreme(QUIET, 0xC000_0000, 2, 0, True, True) == (0xC000_0000, 0)
    assert softconvert.extreme(QUIET, 0xC000_0000, 2, 0, True, False) == (QUIET, 0)
    assert softconvert.extreme(SIGNAL, 0, 2, 0, True, True) == (SIGNAL | 1 << 22, IOC)
    assert softconvert.extreme(0x8000_0000, 0, 2, 0, True, False) == (0, 0)
    assert softconvert.extreme(0x8000_0000, 0, 2, 0, False, False) == (0x8000_0000, 0)


def test_flushing_denormals_is_flagged() -> None:
    assert softfloat.add(1, 0, 2, FZ) == (0, IDC)
    assert softfloat.multiply(0x0080_0000, 0x3F00_0000, 2, FZ) == (0, UFC)
    assert softfloat.add(1, 0, 1, FZ) == (1, 0), "FZ does not concern half precision"


def test_half_precision_denormals_are_flushed_by_a_bit_of_their_own() -> None:
    assert softfloat.add(0x8001, 0x8001, 1, FZ16) == (0x8000, 0), "inputs silently"
    assert softfloat.multiply(0x0400, 0x3800, 1, FZ16) == (0, UFC)
    assert softfloat.add(1, 0, 2, FZ16) == (1, 0), "FZ16 concerns half precision only"
    assert softconvert.to_integer(1, 1, FZ16, PLUS, 16, True, 0) == (0, 0)
    assert softconvert.to_integer(1, 1, 0, PLUS, 16, True, 0) == (1, IXC)
    assert softconvert.from_integer(1, 1, FZ16, 16, True, 16) == (0, UFC)


def test_conversions_between_precisions_do_not_flush_halves() -> None:
    for ctl in (FZ, FZ16, FZ | FZ16):
        assert softconvert.convert(1, 1, 2, ctl) == (0x3380_0000, 0)
        assert softconvert.convert(0x3380_0000, 2, 1, ctl) == (1, 0)


@pytest.mark.parametrize("mode", MODES)
def test_rounding_within_an_integer_saturates_to_the_most_negative(mode: int) -> None:
    lowest = 0xCF00_0000

    def f(x: int, bits: int = 32) -> softfloat.Result:
        return softconvert.round_within(x, 2, 0, mode, bits)

    assert f(0x4F00_0000) == (lowest, IOC), "2**31"
    assert f(lowest) == (lowest, 0), "-2**31 fits"
    assert f(0xCF00_0001) == (lowest, IOC)
    assert f(0x7F80_0000) == f(QUIET) == f(SIGNAL) == (lowest, IOC)
    assert f(0x4F00_0000, 64) == (0x4F00_0000, 0)
    assert f(0x5F00_0000, 64) == (0xDF00_0000, IOC)
    assert f(0xBE80_0000) == (0xBF80_0000 if mode == MINUS else 0x8000_0000, IXC)


def test_sums_of_bf16_products_round_to_odd_and_flush() -> None:
    one, tiny = 0x3F80, 0x0080
    assert fpbf16.dot(0, one, one, 0) == 0x3F80_0000
    assert fpbf16.dot(0x3F80_0000, tiny, one, 0) == 0x3F80_0001, "what is cut off makes it odd"
    assert fpbf16.dot(0x3F80_0000, tiny | 0x8000, one, 0) == 0x3F7F_FFFF
    assert fpbf16.dot(1, 0, 0, 0) == 0, "a denormal counts as zero"
    assert fpbf16.dot(0, tiny, 0x3F00, 0) == 0, "a result that would be one becomes zero"
    assert fpbf16.dot(0, 0x7F00, 0x7F00, 0) == 0x7F80_0000, "too large is infinite"
    assert fpbf16.dot(0, 0x7F80, 0, 0) == 0x7FC0_0000
    assert fpbf16.dot(0xFFFF_FFFF, one, one, 0) == 0x7FC0_0000, "every NaN is the default one"
    assert fpbf16.dot(0x8000_0000, 0, one, 0) == 0
    assert fpbf16.dot(0x8000_0000, 0x8000_8000, one | one << 16, 0) == 0x8000_0000


def test_zero_sums_take_the_sign_of_the_rounding() -> None:
    one = 0x3F80_0000
    assert softfloat.subtract(one, one, 2, 0) == (0, 0)
    assert softfloat.subtract(one, one, 2, MINUS << RMODE_SHIFT) == (0x8000_0000, 0)


def test_invalid_operations_give_the_default_nan() -> None:
    infinity, default = 0x7F80_0000, 0x7FC0_0000
    assert softfloat.subtract(infinity, infinity, 2, 0) == (default, IOC)
    assert softfloat.multiply(infinity, 0, 2, 0) == (default, IOC)
    assert softfloat.multiply_extended(infinity, 1 << 31, 2, 0) == (0xC000_0000, 0)
    assert softfloat.divide(0, 0, 2, 0) == (default, IOC)
    assert softfloat.divide(0x3F80_0000, 1 << 31, 2, 0) == (0xFF80_0000, DZC)
    assert softfloat.square_root(0xBF80_0000, 2, 0) == (default, IOC)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_estimates_are_within_their_precision(t: int) -> None:
    rng = random.Random(t)
    bias = (1 << softfloat.EXPONENT[t] - 1) - 1
    fraction = softfloat.FRACTION[t]
    for _ in range(2000):
        exponent = rng.randrange(bias - 8, bias + 8)
        x = exponent << fraction | rng.getrandbits(fraction)
        m, e = unpack(x, t, 0)[2:4]
        value = Fraction(m) * Fraction(2) ** e
        m, e = unpack(fpsteps.reciprocal_estimate(x, t, 0)[0], t, 0)[2:4]
        assert abs(Fraction(m) * Fraction(2) ** e * value - 1) < Fraction(1, 256)
        m, e = unpack(fpsteps.reciprocal_sqrt_estimate(x, t, 0)[0], t, 0)[2:4]
        assert abs((Fraction(m) * Fraction(2) ** e) ** 2 * value - 1) < Fraction(1, 128)


def test_exponential_table_is_the_nearest_fraction_of_a_power_of_two() -> None:
    for index in range(64):
        value, _ = fpsteps.exponential(127 << 6 | index, 2, 0)
        fraction = (value & 0x7F_FFFF) + (1 << 23)
        # 2**(index/64) * 2**23 rounded: compare 64th powers of the neighbouring half steps.
        exact_power = 1 << index + 64 * 24
        assert (2 * fraction - 1) ** 64 <= exact_power <= (2 * fraction + 1) ** 64


def test_scaling_and_logarithms() -> None:
    assert fpsteps.scale(0x3F80_0000, 3, 2, 0) == (0x4100_0000, 0)
    assert fpsteps.scale(0x3F80_0000, (1 << 32) - 149, 2, 0) == (1, 0)
    assert fpsteps.scale(0x3F80_0000, (1 << 32) - 150, 2, 0) == (0, UFC | IXC)
    assert fpsteps.scale(0x3F80_0000, 200, 2, 0) == (0x7F80_0000, OFC | IXC)
    assert fpsteps.logarithm(0x4100_0000, 2, 0) == (3, 0)
    assert fpsteps.logarithm(1, 2, 0) == (-149 & 0xFFFF_FFFF, 0)
    assert fpsteps.logarithm(0, 2, 0) == (0x8000_0000, IOC)


def test_integers_modulo_2_to_the_32_tell_whether_they_are_exact() -> None:
    def f(x: float, ctl: int = 0) -> tuple[int, bool, int]:
        return softconvert.to_integer_modulo(struct.unpack("<Q", struct.pack("<d", x))[0], ctl)

    assert f(-5.0) == (-5 & 0xFFFF_FFFF, True, 0)
    assert f(-5.5) == (-5 & 0xFFFF_FFFF, False, IXC)
    assert f(2.0**32 + 7) == (7, False, IOC)
    assert f(-(2.0**31)) == (1 << 31, True, 0)
    assert f(2.0**31) == (1 << 31, False, IOC)
    assert f(2.0**100) == f(float("inf")) == f(float("nan")) == (0, False, IOC)
    assert (f(0.0), f(-0.0)) == ((0, True, 0), (0, False, 0))
    assert f(5e-324, FZ) == (0, False, IDC)
