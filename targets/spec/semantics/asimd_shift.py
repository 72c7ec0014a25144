"""AdvSIMD shifts by immediate, multiplications by an element, dot products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.asimd_int import THREE_SAME, Lanes
from targets.spec.semantics.asimd_long import half_lanes, lengthened_mask
from targets.spec.semantics.lanes import (
    BITS,
    SINT,
    UINT,
    Array,
    join_lanes,
    note_saturation,
    ones,
    put_v,
    split,
    spread,
)
from targets.spec.semantics.longops import (
    LONG,
    SHIFT_BY,
    doubling_long,
    lengthen,
    saturating_shift_by,
)
from targets.spec.semantics.registry import SEMANTICS


def _shift(form: Form) -> None:
    name = form.mnemonic

    def apply(cpu: Cpu, vd: int, size: int, t: int, vn: int, amount: int) -> None:
        (x, mx), (d, md) = cpu.v(vn, size), cpu.v(vd, size)
        lanes = split(x, size, t)
        if name in SHIFT_BY:
            result = SHIFT_BY[name](split(d, size, t), lanes, amount, t)
            uses_old = name.endswith("a") or name in ("sri", "sli")
            mask = spread(mx | md if uses_old else mx, size, t)
        else:
            result, clipped = saturating_shift_by(name, lanes, amount, t)
            mask = spread(mx, size, t)
            note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    def run(cpu: Cpu, vd: int, a: int, vn: int, amount: int) -> None:
        apply(cpu, vd, 8 << (a & 1), a >> 1, vn, amount)

    def run_scalar(cpu: Cpu, t: int, vd: int, vn: int, amount: int) -> None:
        apply(cpu, vd, 1 << t, t, vn, amount)

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def element(cpu: Cpu, vm: int, t: int, index: int) -> tuple[int, int]:
    """One element of a V register."""
    value, mask = cpu.v(vm)
    at, keep = index * BITS[t], ones(BITS[t])
    return value >> at & keep, mask >> at & keep


def _by_element(form: Form) -> None:
    """mul, mla, sqdmulh and kin: vd, arrangement, vn, vm, index."""
    f: Lanes = THREE_SAME[form.mnemonic]
    t = 1 if form.name.endswith("h") else 2
    uses_old = "ml" in form.mnemonic
    saturates = form.mnemonic.startswith("sq")

    def apply(cpu: Cpu, vd: int, size: int, vn: int, vm: int, index: int) -> None:
        (x, mx), (e, me) = cpu.v(vn, size), element(cpu, vm, t, index)
        d, md = cpu.v(vd, size) if uses_old else (0, 0)
        lanes = split(x, size, t)
        result, clipped = f(split(d, size, t), lanes, np.full_like(lanes, e), t)
        mask = ones(8 * size) if me else spread(mx | md, size, t)
        if saturates:
            note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int, index: int) -> None:
        apply(cpu, vd, 8 << (a & 1), vn, vm, index)

    def run_scalar(cpu: Cpu, vd: int, vn: int, vm: int, index: int) -> None:
        apply(cpu, vd, 1 << t, vn, vm, index)

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def _long_by_element(form: Form) -> None:
    """smull, sqdmlal and kin."""
    stem = form.mnemonic.rstrip("2")
    t = 1 if form.name.endswith("h") else 2
    doubling, negative = stem.startswith("sqd"), stem[0] == "s"
    accumulates = "mla" in stem or "mls" in stem
    sign = -1 if stem == "sqdmlsl" else 1

    def apply(
        cpu: Cpu, vd: int, lanes: tuple[Array, int], size: int, element_: tuple[int, int]
    ) -> None:
        (x, mx), (e, me) = lanes, element_
        d, md = cpu.v(vd, size) if accumulates else (0, 0)
        a = lengthen(x, t, negative=negative)
        b = lengthen(np.full(len(x), e, UINT[t]), t, negative=negative)
        acc = split(d, size, t + 1)
        clipped = False
        if doubling:
            result, clipped = doubling_long(acc if accumulates else None, a, b, t + 1, sign)
        else:
            result = LONG[stem[1:]](acc, a, b, t + 1)
        wide = lengthened_mask(mx, t) & ones(8 * size)
        mask = ones(8 * size) if me else wide | spread(md, size, t + 1)
        if doubling:
            note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int, index: int) -> None:
        lanes = half_lanes(cpu, vn, t, bool(a & 1))
        apply(cpu, vd, lanes, 16, element(cpu, vm, t, index))

    def run_scalar(cpu: Cpu, vd: int, vn: int, vm: int, index: int) -> None:
        value, mask = cpu.v(vn, 1 << t)
        lanes = (split(value, 1 << t, t), mask)
        apply(cpu, vd, lanes, 2 << t, element(cpu, vm, t, index))

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def quarters(a: Array, t: int, *, negative: bool) -> Array:
    """Lanes of size t - 2, four to a row, as int64."""
    return (a.view(SINT[t - 2]) if negative else a).astype(np.int64).reshape(-1, 4)


def dot(acc: Array, a: Array, b: Array, t: int, signs: tuple[bool, bool]) -> Array:
    """acc + sums of four products of the quarter-size lanes a and b."""
    products = quarters(a, t, negative=signs[0]) * quarters(b, t, negative=signs[1])
    return acc + products.sum(axis=1).astype(UINT[t])


DOT_SIGNS = {
    "sdot": (True, True),
    "udot": (False, False),
    "usdot": (False, True),
    "sudot": (True, False),
}
"""Signedness of the first and second operands."""


def _dot(form: Form) -> None:
    signs = DOT_SIGNS[form.mnemonic]

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int, index: int | None = None) -> None:
        size = 8 << (a & 1)
        (x, mx), (d, md) = cpu.v(vn, size), cpu.v(vd, size)
        if index is None:
            y, my = cpu.v(vm, size)
        else:
            repeat = sum(1 << 32 * i for i in range(size // 4))
            y, my = (part * repeat for part in element(cpu, vm, 2, index))
        result = dot(split(d, size, 2), split(x, size, 0), split(y, size, 0), 2, signs)
        put_v(cpu, vd, join_lanes(result), spread(mx | my | md, size, 2))

    SEMANTICS[form.name] = run


MATRIX_SIGNS = {"smmla": (True, True), "ummla": (False, False), "usmmla": (False, True)}


def matrix_multiply(acc: Array, a: Array, b: Array, signs: tuple[bool, bool]) -> Array:
    """Per 128 bits: the 2x2 words of acc plus a (2x8 bytes) times b transposed."""
    n, m = (
        (x.view(np.int8) if negative else x).astype(np.int64).reshape(-1, 2, 8)
        for x, negative in ((a, signs[0]), (b, signs[1]))
    )
    products = n @ m.transpose(0, 2, 1)
    return acc + products.reshape(-1).astype(UINT[2])


def _matrix(form: Form) -> None:
    signs = MATRIX_SIGNS[form.mnemonic]

    def run(cpu: Cpu, vd: int, vn: int, vm: int) -> None:
        (x, mx), (y, my), (d, md) = cpu.v(vn), cpu.v(vm), cpu.v(vd)
        result = matrix_multiply(split(d, 16, 2), split(x, 16, 0), split(y, 16, 0), signs)
        put_v(cpu, vd, join_lanes(result), ones(128) if mx | my | md else 0)

    SEMANTICS[form.name] = run


def _builder(form: Form) -> Callable[[Form], None] | None:
    if form.group in ("asimd-shift", "asimd-scalar-shift"):
        by_number = form.mnemonic in SHIFT_BY or form.mnemonic in ("sqshl", "uqshl", "sqshlu")
        return _shift if by_number else None
    if form.mnemonic in MATRIX_SIGNS and form.group == "asimd-dot":
        return _matrix
    if form.group in ("asimd-dot", "asimd-element") and form.mnemonic in DOT_SIGNS:
        return _dot
    if form.group in ("asimd-element", "asimd-scalar-element"):
        return _by_element if form.mnemonic in THREE_SAME else _long_by_element
    return None


for _form in FORMS.values():
    _build = _builder(_form)
    if _build:
        _build(_form)
