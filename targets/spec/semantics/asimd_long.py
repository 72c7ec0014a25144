"""AdvSIMD operations whose results have twice or half the size of their operands."""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.lanes import (
    SINT,
    UINT,
    Array,
    join_lanes,
    note_saturation,
    ones,
    put_v,
    signed,
    split,
    spread,
)
from targets.spec.semantics.longops import (
    LONG,
    doubling_long,
    high_half,
    lengthen,
    narrow_shift,
    polynomial_long,
)
from targets.spec.semantics.registry import SEMANTICS


def half_lanes(cpu: Cpu, n: int, t: int, high: bool) -> tuple[Array, int]:
    """The low or high 64 bits of a V register as lanes, and their unknown bits."""
    value, mask = cpu.v(n)
    if high:
        value, mask = value >> 64, mask >> 64
    return split(value & ones(64), 8, t), mask & ones(64)


def lengthened_mask(mask: int, t: int) -> int:
    """Unknown bits of 64 bits of lanes, as whole lanes of twice the size."""
    if not mask:
        return 0
    return join_lanes(signed(split(spread(mask, 8, t), 8, t), t).astype(SINT[t + 1]))


def _long(form: Form) -> None:
    """saddl and kin: vd, arrangement of the short operands, vn, vm."""
    stem = form.mnemonic.rstrip("2")
    negative, kind = stem[0] == "s", stem[1:]
    first_wide = kind.endswith("w")

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        t, high = a >> 1, bool(a & 1)
        (y, my) = half_lanes(cpu, vm, t, high)
        d, md = cpu.v(vn if first_wide else vd)
        mask = lengthened_mask(my, t)
        acc = split(d, 16, t + 1)
        b = lengthen(y, t, negative=negative)
        if first_wide:
            x = b
        else:
            lanes, mx = half_lanes(cpu, vn, t, high)
            x = lengthen(lanes, t, negative=negative)
            mask |= lengthened_mask(mx, t)
        if first_wide or kind in ("abal", "mlal", "mlsl"):
            mask |= spread(md, 16, t + 1)
        put_v(cpu, vd, join_lanes(LONG[kind](acc, x, b, t + 1)), mask)

    SEMANTICS[form.name] = run


def _doubling_long(form: Form) -> None:
    """sqdmull, sqdmlal, sqdmlsl of vectors."""
    stem = form.mnemonic.rstrip("2")
    accumulates, sign = stem != "sqdmull", -1 if stem == "sqdmlsl" else 1

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        t, high = a >> 1, bool(a & 1)
        (x, mx), (y, my) = half_lanes(cpu, vn, t, high), half_lanes(cpu, vm, t, high)
        d, md = cpu.v(vd) if accumulates else (0, 0)
        acc = split(d, 16, t + 1) if accumulates else None
        result, clipped = doubling_long(
            acc, lengthen(x, t, negative=True), lengthen(y, t, negative=True), t + 1, sign
        )
        mask = lengthened_mask(mx | my, t) | spread(md, 16, t + 1)
        note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    def run_scalar(cpu: Cpu, vd: int, t: int, vn: int, vm: int) -> None:
        size = 1 << t
        (x, mx), (y, my) = cpu.v(vn, size), cpu.v(vm, size)
        d, md = cpu.v(vd, 2 * size) if accumulates else (0, 0)
        acc = split(d, 2 * size, t + 1) if accumulates else None
        first, second = (lengthen(split(n, size, t), t, negative=True) for n in (x, y))
        result, clipped = doubling_long(acc, first, second, t + 1, sign)
        mask = ones(16 * size) if mx | my | md else 0
        note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    SEMANTICS[form.name] = run_scalar if form.name.endswith("_sc") else run


def put_half(cpu: Cpu, vd: int, value: int, mask: int, high: bool) -> None:
    """Write 64 bits: to the low half, clearing the high one, or to the high half only."""
    if high:
        low, low_mask = cpu.v(vd, 8)
        value, mask = value << 64 | low, mask << 64 | low_mask
    put_v(cpu, vd, value, mask)


def narrowed_mask(mask: int, t: int) -> int:
    """Unknown bits of 128 bits of lanes of size t, as whole lanes of half the size."""
    if not mask:
        return 0
    return join_lanes(split(spread(mask, 16, t), 16, t).astype(UINT[t - 1]))


def _high_narrow(form: Form) -> None:
    """addhn and kin."""
    stem = form.mnemonic.rstrip("2")
    rounding, add = stem[0] == "r", "add" in stem

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        t = (a >> 1) + 1
        (x, mx), (y, my) = cpu.v(vn), cpu.v(vm)
        lanes_x, lanes_y = split(x, 16, t), split(y, 16, t)
        total = lanes_x + lanes_y if add else lanes_x - lanes_y
        value = join_lanes(high_half(total, t, rounding))
        put_half(cpu, vd, value, narrowed_mask(mx | my, t), bool(a & 1))

    SEMANTICS[form.name] = run


def _polynomial_long(form: Form) -> None:
    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        (x, mx), (y, my) = (half_lanes(cpu, n, 0, bool(a & 1)) for n in (vn, vm))
        value = polynomial_long(lengthen(x, 0, negative=False), lengthen(y, 0, negative=False), 1)
        put_v(cpu, vd, join_lanes(value), lengthened_mask(mx | my, 0))

    SEMANTICS[form.name] = run


def _narrow(form: Form) -> None:
    """xtn, shrn and kin: vd, arrangement of the result, vn[, amount]."""
    name = form.mnemonic.rstrip("2")

    def run(cpu: Cpu, vd: int, a: int, vn: int, amount: int = 0) -> None:
        t = (a >> 1) + 1
        x, mx = cpu.v(vn)
        result, clipped = narrow_shift(name, split(x, 16, t), amount, t)
        mask = narrowed_mask(mx, t)
        note_saturation(cpu, clipped, mask if "q" in name else 0)
        put_half(cpu, vd, join_lanes(result), mask, bool(a & 1))

    def run_scalar(cpu: Cpu, t: int, vd: int, vn: int, amount: int = 0) -> None:
        x, mx = cpu.v(vn, 2 << t)
        result, clipped = narrow_shift(name, split(x, 2 << t, t + 1), amount, t + 1)
        mask = ones(8 << t) if mx else 0
        note_saturation(cpu, clipped, mask if "q" in name else 0)
        put_v(cpu, vd, join_lanes(result), mask)

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def _shift_left_long(form: Form) -> None:
    """shll (by the element's bits), sshll and ushll: vd, arrangement, vn[, amount]."""
    negative = form.mnemonic[0] == "s" and form.mnemonic[:4] != "shll"

    def run(cpu: Cpu, vd: int, a: int, vn: int, amount: int | None = None) -> None:
        t = a >> 1
        x, mx = half_lanes(cpu, vn, t, bool(a & 1))
        by = 8 << t if amount is None else amount
        result = lengthen(x, t, negative=negative) << UINT[t + 1].type(by)
        put_v(cpu, vd, join_lanes(result), lengthened_mask(mx, t))

    SEMANTICS[form.name] = run


def _select(form: Form) -> Callable[[Form], None] | None:
    group, name = form.group, form.mnemonic.rstrip("2")
    if group in ("asimd-3diff", "asimd-scalar-3diff"):
        if name.startswith("sqd"):
            return _doubling_long
        if name == "pmull":
            return _polynomial_long
        return _high_narrow if name.endswith("hn") else _long
    if group == "asimd-shift-long" or name == "shll":
        return _shift_left_long
    narrows = name.endswith(("xtn", "xtun", "shrn", "shrun"))
    return _narrow if narrows and group.startswith("asimd") else None


for _form in FORMS.values():
    _build = _select(_form)
    if _build:
        _build(_form)
