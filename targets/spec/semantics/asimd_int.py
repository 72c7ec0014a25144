"""AdvSIMD integer arithmetic. Arrangements are log2 of the element's bytes * 2 + Q."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.intops import (
    BINARY,
    COMPARE,
    SATURATING,
    SATURATING_UNARY,
    UNARY,
    doubled_high_accumulate,
    low_byte,
    reverse_chunks,
    saturate,
    saturated,
)
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
from targets.spec.semantics.longops import lengthen
from targets.spec.semantics.registry import SEMANTICS

Lanes = Callable[..., tuple[Array, bool]]
"""(old destination, a, b, t) -> (result lanes, whether any saturated)."""


def _plain(f: Callable[[Array, Array, int], Array]) -> Lanes:
    return lambda acc, a, b, t: (f(a, b, t), False)


def _masks(f: Callable[[Array, Array, int], Array]) -> Lanes:
    """A comparison: all ones where it holds."""
    return lambda acc, a, b, t: ((-f(a, b, t).astype(SINT[t])).view(UINT[t]), False)


def _pairs(f: Callable[[Array, Array, int], Array]) -> Lanes:
    """Adjacent elements of a, then of b."""

    def run(acc: Array, a: Array, b: Array, t: int) -> tuple[Array, bool]:
        both = np.concatenate((a, b))
        return f(both[0::2], both[1::2], t), False

    return run


def _by_low_byte(f: Lanes) -> Lanes:
    return lambda acc, a, b, t: f(acc, a, low_byte(b, t), t)


def _accumulate_high(sign: int) -> Lanes:
    return lambda acc, a, b, t: saturate(
        doubled_high_accumulate(acc, a, b, t, sign), t, negative=True
    )


def _three_same() -> dict[str, Lanes]:
    table: dict[str, Lanes] = {name: _plain(f) for name, f in BINARY.items()}
    for name in SATURATING:
        table[name] = lambda acc, a, b, t, name=name: saturated(name, a, b, t)
    for name in ("sshl", "ushl", "srshl", "urshl", "sqshl", "uqshl", "sqrshl", "uqrshl"):
        table[name] = _by_low_byte(table[name])
    for name, f in COMPARE.items():
        table["cm" + name] = _masks(f)
    for name in ("add", "smax", "umax", "smin", "umin"):
        table[name + "p"] = _pairs(BINARY[name])
    table["mla"] = lambda acc, a, b, t: (acc + a * b, False)
    table["mls"] = lambda acc, a, b, t: (acc - a * b, False)
    table["saba"] = lambda acc, a, b, t: (acc + BINARY["sabd"](a, b, t), False)
    table["uaba"] = lambda acc, a, b, t: (acc + BINARY["uabd"](a, b, t), False)
    table["sqrdmlah"] = _accumulate_high(1)
    table["sqrdmlsh"] = _accumulate_high(-1)
    return table


THREE_SAME = _three_same()


def _pairwise(mnemonic: str) -> bool:
    return mnemonic[-1] == "p" and mnemonic[:-1] in ("add", "smax", "umax", "smin", "umin")


def _vector_three(form: Form) -> None:
    f = THREE_SAME[form.mnemonic]
    uses_old = form.mnemonic in ("mla", "mls", "saba", "uaba", "sqrdmlah", "sqrdmlsh")
    saturates = "q" in form.mnemonic[1:3]
    pairwise = _pairwise(form.mnemonic)

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        _three(cpu, f, (8 << (a & 1), a >> 1), (vd, vn, vm), (uses_old, saturates, pairwise))

    def run_scalar(cpu: Cpu, t: int, vd: int, vn: int, vm: int) -> None:
        _three(cpu, f, (1 << t, t), (vd, vn, vm), (uses_old, saturates, pairwise))

    SEMANTICS[form.name] = run_scalar if form.name.endswith("_sc") else run


def _three(
    cpu: Cpu,
    f: Lanes,
    sizes: tuple[int, int],
    registers: tuple[int, int, int],
    nature: tuple[bool, bool, bool],
) -> None:
    (size, t), (vd, vn, vm) = sizes, registers
    uses_old, saturates, pairwise = nature
    (x, mx), (y, my) = cpu.v(vn, size), cpu.v(vm, size)
    d, md = cpu.v(vd, size) if uses_old else (0, 0)
    result, clipped = f(split(d, size, t), split(x, size, t), split(y, size, t), t)
    mask = mx | my | md
    if mask:
        mask = ones(8 * size) if pairwise else spread(mask, size, t)
    if saturates:
        note_saturation(cpu, clipped, mask)
    put_v(cpu, vd, join_lanes(result), mask)


_LOGIC: dict[str, Callable[[int, int, int], int]] = {
    "and": lambda d, n, m: n & m,
    "bic": lambda d, n, m: n & ~m,
    "orr": lambda d, n, m: n | m,
    "orn": lambda d, n, m: n | ~m,
    "eor": lambda d, n, m: n ^ m,
    "bsl": lambda d, n, m: n & d | m & ~d,
    "bit": lambda d, n, m: n & m | d & ~m,
    "bif": lambda d, n, m: n & ~m | d & m,
}


def _logic(form: Form) -> None:
    f = _LOGIC[form.mnemonic]
    uses_old = form.mnemonic[:2] in ("bs", "bi") and form.mnemonic != "bic"

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int) -> None:
        size = 8 << (a & 1)
        (n, mn), (m, mm) = cpu.v(vn, size), cpu.v(vm, size)
        d, md = cpu.v(vd, size) if uses_old else (0, 0)
        put_v(cpu, vd, f(d, n, m) & ones(8 * size), mn | mm | md)

    SEMANTICS[form.name] = run


def _reverse(container: int) -> Callable[[Array, Array, int], tuple[Array, bool]]:
    def run(acc: Array, a: Array, t: int) -> tuple[Array, bool]:
        return reverse_chunks(a.view(UINT[container]), container, t).view(UINT[t]), False

    return run


Lanes1 = Callable[[Array, Array, int], tuple[Array, bool]]


def _wrapping(f: Callable[[Array, int], Array]) -> Lanes1:
    return lambda acc, a, t: (f(a, t), False)


def _saturating(f: Callable[[Array, int], Array]) -> Lanes1:
    return lambda acc, a, t: saturate(f(a, t), t, negative=True)


def _adding(name: str) -> Lanes1:
    """The destination is the first operand: SUQADD adds vn, unsigned, to it."""
    return lambda acc, a, t: saturated(name, acc, a, t)


TWO_MISC: dict[str, Lanes1] = {
    **{name: _wrapping(f) for name, f in UNARY.items()},
    **{name: _saturating(f) for name, f in SATURATING_UNARY.items()},
    "suqadd": _adding("suqadd"),
    "usqadd": _adding("usqadd"),
    "rev64": _reverse(3),
    "rev32": _reverse(2),
    "rev16": _reverse(1),
}


def _two(form: Form) -> None:
    f = TWO_MISC[form.mnemonic]
    uses_old = form.mnemonic in ("suqadd", "usqadd")
    saturates = form.mnemonic.startswith(("sq", "suq", "usq"))
    container = {"rev64": 3, "rev32": 2, "rev16": 1}.get(form.mnemonic)

    def apply(cpu: Cpu, vd: int, size: int, t: int, vn: int) -> None:
        x, mx = cpu.v(vn, size)
        d, md = cpu.v(vd, size) if uses_old else (0, 0)
        result, clipped = f(split(d, size, t), split(x, size, t), t)
        mask = spread(mx | md, size, t if container is None else container)
        if saturates:
            note_saturation(cpu, clipped, mask)
        put_v(cpu, vd, join_lanes(result), mask)

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        apply(cpu, vd, 8 << (a & 1), a >> 1, vn)

    def run_scalar(cpu: Cpu, t: int, vd: int, vn: int) -> None:
        apply(cpu, vd, 1 << t, t, vn)

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def _compare_zero(form: Form) -> None:
    f = COMPARE[form.mnemonic[2:]]

    def apply(cpu: Cpu, vd: int, size: int, t: int, vn: int) -> None:
        x, mx = cpu.v(vn, size)
        lanes = split(x, size, t)
        hits = f(lanes, np.zeros_like(lanes), t)
        put_v(cpu, vd, join_lanes(-hits.astype(SINT[t])), spread(mx, size, t))

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        apply(cpu, vd, 8 << (a & 1), a >> 1, vn)

    def run_scalar(cpu: Cpu, t: int, vd: int, vn: int) -> None:
        apply(cpu, vd, 1 << t, t, vn)

    SEMANTICS[form.name] = run_scalar if "scalar" in form.group else run


def _pairwise_long(form: Form) -> None:
    """saddlp and kin: vd, arrangement of the source, vn."""
    negative, accumulates = form.mnemonic[0] == "s", form.mnemonic[1:] == "adalp"

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        size, t = 8 << (a & 1), a >> 1
        x, mx = cpu.v(vn, size)
        lanes = lengthen(split(x, size, t), t, negative=negative)
        total = lanes[0::2] + lanes[1::2]
        mask = spread(mx, size, t + 1)
        if accumulates:
            d, md = cpu.v(vd, size)
            total = total + split(d, size, t + 1)
            mask |= spread(md, size, t + 1)
        put_v(cpu, vd, join_lanes(total), mask)

    SEMANTICS[form.name] = run


def _across(form: Form) -> None:
    name = form.mnemonic

    def run(cpu: Cpu, vd: int, vn: int, a: int) -> None:
        size, t = 8 << (a & 1), a >> 1
        x, mx = cpu.v(vn, size)
        lanes = split(x, size, t)
        out = 2 << t if name.endswith("lv") else 1 << t
        view = signed(lanes, t) if name[0] == "s" else lanes
        if "add" in name:
            value = int(view.sum(dtype=np.int64))
        else:
            value = int(view.max() if "max" in name else view.min())
        keep = ones(8 * out)
        put_v(cpu, vd, value & keep, keep if mx else 0)

    SEMANTICS[form.name] = run


def _add_pair(cpu: Cpu, vd: int, vn: int) -> None:
    x, mx = cpu.v(vn)
    put_v(cpu, vd, (x >> 64) + x & ones(64), ones(64) if mx else 0)


def _select(form: Form) -> Callable[[Form], None] | None:
    group, name = form.group, form.mnemonic.rstrip("2")
    if group in ("asimd-3same", "asimd-scalar-3same"):
        return _vector_three
    if group in ("asimd-2misc", "asimd-scalar-2misc"):
        if form.name.endswith("0"):
            return _compare_zero
        if name.startswith("shll") or name.endswith(("xtn", "xtun")):
            return None
        return _pairwise_long if name.endswith("lp") else _two
    return {"asimd-logic": _logic, "asimd-across": _across}.get(group)


def _register() -> None:
    for form in FORMS.values():
        build = _select(form)
        if build:
            build(form)
    SEMANTICS["addp_sc"] = _add_pair


_register()
