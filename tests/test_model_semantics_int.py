"""Integer lane operations against definitions on single numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.spec.semantics import intops, longops
from targets.spec.semantics.lanes import BITS, UINT

Scalar = Callable[[int, int, int], int]
"""(a, b, bits) -> exact result; a and b are signed for operations that read them so."""


def signed(x: int, bits: int) -> int:
    return x - (1 << bits) if x >> bits - 1 else x


def clamp(x: int, bits: int, *, negative: bool) -> int:
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if negative else (0, (1 << bits) - 1)
    return min(max(x, lo), hi)


def shifted(a: int, by: int, rounding: bool) -> int:
    """a * 2**by, rounded down or to nearest."""
    if by >= 0:
        return a << min(by, 70)
    by = max(by, -300)
    return a + (1 << -by - 1 if rounding else 0) >> -by


def quotient(a: int, b: int) -> int:
    if b == 0:
        return 0
    magnitude = abs(a) // abs(b)
    return -magnitude if (a < 0) != (b < 0) else magnitude


def polynomial(a: int, b: int, n: int) -> int:
    out = 0
    for bit in range(n):
        if b >> bit & 1:
            out ^= a << bit
    return out


SIGNED: dict[str, Scalar] = {
    "smax": lambda a, b, n: max(a, b),
    "smin": lambda a, b, n: min(a, b),
    "sabd": lambda a, b, n: abs(a - b),
    "smulh": lambda a, b, n: a * b >> n,
    "sdiv": lambda a, b, n: quotient(a, b),
    "sdivr": lambda a, b, n: quotient(b, a),
    "shadd": lambda a, b, n: a + b >> 1,
    "srhadd": lambda a, b, n: a + b + 1 >> 1,
    "shsub": lambda a, b, n: a - b >> 1,
    "shsubr": lambda a, b, n: b - a >> 1,
    "sshl": lambda a, b, n: shifted(a, b, False),
    "srshl": lambda a, b, n: shifted(a, b, True),
    "srshlr": lambda a, b, n: shifted(b, a, True),
}
UNSIGNED: dict[str, Scalar] = {
    "add": lambda a, b, n: a + b,
    "sub": lambda a, b, n: a - b,
    "subr": lambda a, b, n: b - a,
    "mul": lambda a, b, n: a * b,
    "umax": lambda a, b, n: max(a, b),
    "umin": lambda a, b, n: min(a, b),
    "uabd": lambda a, b, n: abs(a - b),
    "umulh": lambda a, b, n: a * b >> n,
    "udiv": lambda a, b, n: quotient(a, b),
    "udivr": lambda a, b, n: quotient(b, a),
    "uhadd": lambda a, b, n: a + b >> 1,
    "urhadd": lambda a, b, n: a + b + 1 >> 1,
    "uhsub": lambda a, b, n: a - b >> 1,
    "uhsubr": lambda a, b, n: b - a >> 1,
    "and": lambda a, b, n: a & b,
    "orr": lambda a, b, n: a | b,
    "eor": lambda a, b, n: a ^ b,
    "bic": lambda a, b, n: a & ~b,
    "orn": lambda a, b, n: a | ~b,
    "lsl": lambda a, b, n: a << b if b < n else 0,
    "lsr": lambda a, b, n: a >> b if b < n else 0,
    "asr": lambda a, b, n: signed(a, n) >> min(b, n - 1),
    "lslr": lambda a, b, n: b << a if a < n else 0,
    "lsrr": lambda a, b, n: b >> a if a < n else 0,
    "asrr": lambda a, b, n: signed(b, n) >> min(a, n - 1),
    "ushl": lambda a, b, n: shifted(a, signed(b, n), False),
    "urshl": lambda a, b, n: shifted(a, signed(b, n), True),
    "urshlr": lambda a, b, n: shifted(b, signed(a, n), True),
    "pmul": polynomial,
}


SATURATING: dict[str, Scalar] = {
    "sqadd": lambda a, b, n: a + b,
    "uqadd": lambda a, b, n: a + b,
    "sqsub": lambda a, b, n: a - b,
    "uqsub": lambda a, b, n: a - b,
    "sqsubr": lambda a, b, n: b - a,
    "uqsubr": lambda a, b, n: b - a,
    "suqadd": lambda a, b, n: a + b % (1 << n),
    "usqadd": lambda a, b, n: a + signed(b, n),
    "sqdmulh": lambda a, b, n: 2 * a * b >> n,
    "sqrdmulh": lambda a, b, n: 2 * a * b + (1 << n - 1) >> n,
    "sqshl": lambda a, b, n: shifted(a, b, False),
    "uqshl": lambda a, b, n: shifted(a, signed(b, n), False),
    "sqrshl": lambda a, b, n: shifted(a, b, True),
    "uqrshl": lambda a, b, n: shifted(a, signed(b, n), True),
    "sqshlr": lambda a, b, n: shifted(b, a, False),
    "uqshlr": lambda a, b, n: shifted(b, signed(a, n), False),
    "sqrshlr": lambda a, b, n: shifted(b, a, True),
    "uqrshlr": lambda a, b, n: shifted(b, signed(a, n), True),
}


def numbers(rng: random.Random, bits: int, count: int) -> list[int]:
    """Unsigned elements: ends of the range, small ones, likely shift amounts, noise."""
    top = 1 << bits
    ends = (0, 1, 2, top - 1, top - 2, top >> 1, (top >> 1) - 1, (top >> 1) + 1, bits, bits - 1)

    def near() -> int:
        return rng.randrange(-bits - 2, bits + 2) % top

    return [rng.choice((rng.choice(ends), near(), rng.getrandbits(bits))) for _ in range(count)]


def lanes(values: list[int], t: int) -> NDArray[Any]:
    return np.array(values, UINT[t])


SIZES = pytest.mark.parametrize("t", range(4))


def test_all_operations_are_covered() -> None:
    assert set(intops.BINARY) == set(SIGNED) | set(UNSIGNED)
    assert set(intops.SATURATING) == set(SATURATING)


@SIZES
@pytest.mark.parametrize("name", sorted(intops.BINARY))
def test_wrapping_operations(name: str, t: int) -> None:
    bits = BITS[t]
    rng = random.Random(f"{name} {t}")
    a, b = (numbers(rng, bits, 512) for _ in range(2))
    result = intops.BINARY[name](lanes(a, t), lanes(b, t), t)
    assert result.dtype == UINT[t]
    reference = SIGNED.get(name) or UNSIGNED[name]
    for x, y, found in zip(a, b, result.tolist(), strict=True):
        if name in SIGNED:
            x, y = signed(x, bits), signed(y, bits)  # noqa: PLW2901
        assert found == reference(x, y, bits) % (1 << bits), (name, bits, x, y)


@SIZES
@pytest.mark.parametrize("name", sorted(intops.SATURATING))
def test_saturating_operations(name: str, t: int) -> None:
    bits, negative = BITS[t], name.startswith("s")
    rng = random.Random(f"{name} {t}")
    for _ in range(12):
        a, b = (numbers(rng, bits, 40) for _ in range(2))
        result, clipped = intops.saturated(name, lanes(a, t), lanes(b, t), t)
        expected = []
        for x, y in zip(a, b, strict=True):
            if negative:
                x, y = signed(x, bits), signed(y, bits)  # noqa: PLW2901
            expected.append(SATURATING[name](x, y, bits))
        limited = [clamp(value, bits, negative=negative) for value in expected]
        assert result.tolist() == [value % (1 << bits) for value in limited]
        assert clipped == (limited != expected)


@SIZES
def test_shifts_by_a_number(t: int) -> None:
    bits = BITS[t]
    rng = random.Random(t)
    a, acc = numbers(rng, bits, 64), numbers(rng, bits, 64)
    for amount in range(1, bits + 1):
        for name, f in longops.SHIFT_BY.items():
            if name in ("shl", "sli") and amount == bits:
                continue
            found = f(lanes(acc, t), lanes(a, t), amount, t).tolist()
            for x, old, value in zip(a, acc, found, strict=True):
                assert value == _shift_by(name, old, x, amount, bits) % (1 << bits), (name, amount)


def _shift_by(name: str, old: int, x: int, amount: int, bits: int) -> int:
    if name == "shl":
        return x << amount
    if name == "sli":
        return x << amount | old & (1 << amount) - 1
    if name == "sri":
        return x >> amount | old & ~((1 << bits - amount) - 1)
    number = signed(x, bits) if name[0] == "s" else x
    result = shifted(number, -amount, "r" in name[:2])
    return old + result if name.endswith("ra") else result


@SIZES
def test_saturating_shifts_by_a_number(t: int) -> None:
    bits = BITS[t]
    a = numbers(random.Random(t), bits, 64)
    for name in ("sqshl", "uqshl", "sqshlu"):
        for amount in range(bits):
            result, clipped = longops.saturating_shift_by(name, lanes(a, t), amount, t)
            exact = [(signed(x, bits) if name[0] == "s" else x) << amount for x in a]
            limited = [clamp(x, bits, negative=name == "sqshl") for x in exact]
            assert result.tolist() == [x % (1 << bits) for x in limited]
            assert clipped == (exact != limited)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_narrowing_shifts(t: int) -> None:
    bits, half = BITS[t], BITS[t - 1]
    a = numbers(random.Random(t), bits, 96)
    names = ("shrn", "rshrn", "sqshrn", "sqrshrn", "sqshrun", "sqrshrun", "uqshrn", "uqrshrn")
    for name in names:
        for amount in range(1, half + 1):
            result, clipped = longops.narrow_shift(name, lanes(a, t), amount, t)
            negative = name.startswith("sq")
            rounding = name in ("rshrn", "sqrshrn", "sqrshrun", "uqrshrn")
            exact = [shifted(signed(x, bits) if negative else x, -amount, rounding) for x in a]
            limited = [clamp(x, half, negative=negative and not name.endswith("un")) for x in exact]
            if "q" in name:
                assert result.tolist() == [x % (1 << half) for x in limited]
                assert clipped == (exact != limited)
            else:
                assert result.tolist() == [x % (1 << half) for x in exact]
    for name, negative, target in (
        ("xtn", False, None),
        ("sqxtn", True, True),
        ("sqxtun", True, False),
        ("uqxtn", False, False),
    ):
        found, _ = longops.narrow_shift(name, lanes(a, t), 0, t)
        exact = [signed(x, bits) if negative else x for x in a]
        if target is not None:
            exact = [clamp(x, half, negative=target) for x in exact]
        assert found.tolist() == [x % (1 << half) for x in exact]


@pytest.mark.parametrize("t", [1, 2, 3])
def test_doubling_products_saturate_twice(t: int) -> None:
    bits, half = BITS[t], BITS[t - 1]
    rng = random.Random(t)
    for sign in (1, -1):
        a, b = (numbers(rng, half, 64) for _ in range(2))
        acc = numbers(rng, bits, 64)
        first, second = (
            longops.lengthen(np.array(x, UINT[t - 1]), t - 1, negative=True) for x in (a, b)
        )
        found, clipped = longops.doubling_long(lanes(acc, t), first, second, t, sign)
        expected, clips = [], False
        for old, x, y in zip(acc, a, b, strict=True):
            exact = 2 * signed(x, half) * signed(y, half)
            product = clamp(exact, bits, negative=True)
            total = signed(old, bits) + sign * product
            limited = clamp(total, bits, negative=True)
            clips = clips or product != exact or limited != total
            expected.append(limited % (1 << bits))
        assert found.tolist() == expected
        assert clipped == clips


@SIZES
def test_counts_and_reversals(t: int) -> None:
    bits = BITS[t]
    a = numbers(random.Random(t), bits, 200)
    digits = [f"{x:0{bits}b}" for x in a]
    found = {
        name: intops.UNARY[name](lanes(a, t), t).tolist() for name in ("cnt", "clz", "cls", "rbit")
    }
    assert found["cnt"] == [d.count("1") for d in digits]
    assert found["clz"] == [bits - len(d.lstrip("0")) for d in digits]
    assert found["cls"] == [bits - len(d.lstrip(d[0])) - 1 for d in digits]
    assert found["rbit"] == [int(d[::-1], 2) for d in digits]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("urecpe", 0x8000_0000, 0xFF80_0000),
        ("urecpe", 0xFFFF_FFFF, 0x8000_0000),
        ("urecpe", 0x7FFF_FFFF, 0xFFFF_FFFF),
        ("ursqrte", 0x4000_0000, 0xFF80_0000),
        ("ursqrte", 0xFFFF_FFFF, 0x8000_0000),
        ("ursqrte", 0x3FFF_FFFF, 0xFFFF_FFFF),
    ],
)
def test_unsigned_estimates(name: str, value: int, expected: int) -> None:
    assert intops.UNARY[name](lanes([value], 2), 2).tolist() == [expected]
