"""SVE integer arithmetic, logic, shifts, reductions and compares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.intops import (
    ANY_BINARY,
    COMPARE,
    SATURATING,
    SATURATING_UNARY,
    UNARY,
    saturate,
    small,
)
from targets.spec.semantics.lanes import (
    BITS,
    SINT,
    UINT,
    Array,
    active,
    every,
    flags,
    governing,
    join_lanes,
    merge,
    ones,
    predicate,
    predicate_test,
    put_p,
    put_v,
    put_z,
    signed,
    split,
    spread,
)
from targets.spec.semantics.registry import SEMANTICS, Semantic
from targets.spec.semantics.system import carry_mask

Lanes2 = Callable[[Array, Array, int], Array]
Lanes1 = Callable[[Array, int], Array]


def _forms(group: str, suffix: str = "") -> list[Form]:
    return [f for f in FORMS.values() if f.group == group and f.name == f.mnemonic + suffix]


def _unpredicated(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        put_z(cpu, zd, join_lanes(f(split(a, vl, t), split(b, vl, t), t)), spread(ma | mb, vl, t))

    return run


def _predicated(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        old, (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
        new = join_lanes(f(split(old[0], vl, t), split(b, vl, t), t))
        taint = spread(old[1] | mb, vl, t)
        put_z(cpu, zdn, *merge((new, taint), old, *governing(cpu, pg, t)))

    return run


def wide_second(f: Lanes2) -> Lanes2:
    """The operation with its second operand taken from the 64-bit lane above each lane."""

    def run(a: Array, b: Array, t: int) -> Array:
        amount = np.minimum(b.view(UINT[3]), UINT[3].type(64)).astype(UINT[t])
        return f(a, np.repeat(amount, 8 >> t), t)

    return run


def _wide_unpredicated(f: Lanes2) -> Semantic:
    narrow = wide_second(f)

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        value = join_lanes(narrow(split(a, vl, t), split(b, vl, 3), t))
        put_z(cpu, zd, value, spread(ma, vl, t) | spread(mb, vl, 3))

    return run


def _wide_predicated(f: Lanes2) -> Semantic:
    narrow = wide_second(f)

    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        old, (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
        new = join_lanes(narrow(split(old[0], vl, t), split(b, vl, 3), t))
        taint = spread(old[1], vl, t) | spread(mb, vl, 3)
        put_z(cpu, zdn, *merge((new, taint), old, *governing(cpu, pg, t)))

    return run


def _unary(f: Lanes1) -> Semantic:
    def run(cpu: Cpu, zd: int, t: int, pg: int, zn: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        new = join_lanes(f(split(a, vl, t), t))
        put_z(cpu, zd, *merge((new, spread(ma, vl, t)), cpu.z(zd), *governing(cpu, pg, t)))

    return run


def _saturating_unary(name: str) -> Lanes1:
    exact = SATURATING_UNARY[name]
    return lambda a, t: saturate(exact(a, t), t, negative=True)[0]


def _fixed_size(t: int, run: Semantic) -> Semantic:
    """A semantic for a form without a size operand."""
    return lambda cpu, zd, *rest: run(cpu, zd, t, *rest)


def _register_lanewise() -> None:
    for form in _forms("sve-lanewise", "_zz"):
        if form.mnemonic in ANY_BINARY:
            run = _unpredicated(ANY_BINARY[form.mnemonic])
            names = [operand.name for operand in form.operands]
            if names == ["zd", "t", "zn", "zm"]:
                SEMANTICS[form.name] = run
            elif names == ["zd", "zn", "zm"]:
                SEMANTICS[form.name] = _fixed_size(0, run)
    for group in ("sve-lanewise", "sve-shift"):
        for form in _forms(group, "_zpz"):
            if form.mnemonic in ANY_BINARY:
                SEMANTICS[form.name] = _predicated(ANY_BINARY[form.mnemonic])
    for form in _forms("sve-shift", "_zz_wide"):
        SEMANTICS[form.name] = _wide_unpredicated(ANY_BINARY[form.mnemonic])
    for form in _forms("sve-shift", "_zpz_wide"):
        SEMANTICS[form.name] = _wide_predicated(ANY_BINARY[form.mnemonic])
    for form in _forms("sve-unary", "_zpz"):
        if form.mnemonic in SATURATING_UNARY:
            SEMANTICS[form.name] = _unary(_saturating_unary(form.mnemonic))
        elif form.mnemonic in ("urecpe", "ursqrte"):
            SEMANTICS[form.name] = _fixed_size(2, _unary(UNARY[form.mnemonic]))
        else:
            SEMANTICS[form.name] = _unary(UNARY[form.mnemonic])


def _constant(value: int, vl: int, t: int) -> Array:
    return np.full(vl >> t, value & (1 << BITS[t]) - 1, UINT[t])


def _by_immediate(f: Lanes2) -> Semantic:
    """zdn, t, imm[, shifted]: an operation with the same number in every lane."""

    def run(cpu: Cpu, zdn: int, t: int, imm: int, shifted: int = 0) -> None:
        (a, ma), vl = cpu.z(zdn), cpu.vl
        b = _constant(imm << 8 * shifted, vl, t)
        put_z(cpu, zdn, join_lanes(f(split(a, vl, t), b, t)), spread(ma, vl, t))

    return run


def _saturating_by_immediate(name: str) -> Semantic:
    """The number is added or subtracted as an unsigned one, also to signed lanes."""
    negative, sign = name[0] == "s", 1 if name.endswith("add") else -1

    def run(cpu: Cpu, zdn: int, t: int, imm: int, shifted: int) -> None:
        (a, ma), vl = cpu.z(zdn), cpu.vl
        exact = small(split(a, vl, t), t, negative=negative) + sign * (imm << 8 * shifted)
        value = saturate(exact, t, negative=negative)[0]
        put_z(cpu, zdn, join_lanes(value), spread(ma, vl, t))

    return run


def _shift_by_immediate(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, zd: int, t: int, zn: int, imm: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        value = f(split(a, vl, t), _constant(imm, vl, t), t)
        put_z(cpu, zd, join_lanes(value), spread(ma, vl, t))

    return run


def _governed_shift_by_immediate(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, zdn: int, t: int, pg: int, imm: int) -> None:
        old, vl = cpu.z(zdn), cpu.vl
        new = join_lanes(f(split(old[0], vl, t), _constant(imm, vl, t), t))
        put_z(cpu, zdn, *merge((new, spread(old[1], vl, t)), old, *governing(cpu, pg, t)))

    return run


def divide_by_shift(a: Array, b: Array, t: int) -> Array:
    """ASRD: an arithmetic shift right that rounds towards zero."""
    x = signed(a, t)
    amount = int(b[0])
    bias = np.where(x < 0, SINT[t].type(-1), SINT[t].type(0)).view(UINT[t])
    bias = bias & UINT[t].type((1 << amount) - 1 & ones(BITS[t]))
    total = (a + bias).view(SINT[t])
    if amount < BITS[t]:
        return (total >> SINT[t].type(amount)).view(UINT[t])
    return np.zeros_like(a)


def _register_immediates() -> None:
    for form in _forms("sve-lanewise", "_zi"):
        if form.mnemonic in SATURATING:
            SEMANTICS[form.name] = _saturating_by_immediate(form.mnemonic)
        else:
            SEMANTICS[form.name] = _by_immediate(ANY_BINARY[form.mnemonic])
    for name in ("asr", "lsr", "lsl"):
        SEMANTICS[f"{name}_zi"] = _shift_by_immediate(ANY_BINARY[name])
        SEMANTICS[f"{name}_zpi"] = _governed_shift_by_immediate(ANY_BINARY[name])
    SEMANTICS["asrd_zpi"] = _governed_shift_by_immediate(divide_by_shift)


def _multiply_add(sign: int, accumulator_first: bool) -> Semantic:
    """zda += zn * zm, or zdn = za + zdn * zm."""

    def run(cpu: Cpu, zd: int, t: int, pg: int, zx: int, zy: int) -> None:
        old, (x, mx), (y, my), vl = cpu.z(zd), cpu.z(zx), cpu.z(zy), cpu.vl
        d, a, b = split(old[0], vl, t), split(x, vl, t), split(y, vl, t)
        acc, n, m = (d, a, b) if accumulator_first else (b, d, a)
        product = n * m
        new = join_lanes(acc + product if sign > 0 else acc - product)
        taint = spread(old[1] | mx | my, vl, t)
        put_z(cpu, zd, *merge((new, taint), old, *governing(cpu, pg, t)))

    return run


SEMANTICS["mla_zpz"] = _multiply_add(1, True)
SEMANTICS["mls_zpz"] = _multiply_add(-1, True)
SEMANTICS["mad_zpz"] = _multiply_add(1, False)
SEMANTICS["msb_zpz"] = _multiply_add(-1, False)


def _compare(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, pd: int, t: int, pg: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        hits = f(split(a, vl, t), split(b, vl, t), t)
        _put_compared(cpu, pd, pg, t, hits, ma | mb)

    return run


def _wide_compare(name: str) -> Semantic:
    is_signed = name in ("ge", "gt", "lt", "le", "eq", "ne")
    f = COMPARE[name]

    def run(cpu: Cpu, pd: int, t: int, pg: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        lanes = split(a, vl, t)
        lanes = (
            signed(lanes, t).astype(SINT[3]).view(UINT[3]) if is_signed else lanes.astype(UINT[3])
        )
        hits = f(lanes, np.repeat(split(b, vl, 3), 8 >> t), 3)
        _put_compared(cpu, pd, pg, t, hits, spread(mb, vl, 3) | ma)

    return run


def _compare_immediate(f: Lanes2) -> Semantic:
    def run(cpu: Cpu, pd: int, t: int, pg: int, zn: int, imm: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        _put_compared(cpu, pd, pg, t, f(split(a, vl, t), _constant(imm, vl, t), t), ma)

    return run


def _put_compared(cpu: Cpu, pd: int, pg: int, t: int, hits: Array, mask: int) -> None:
    """A compare's predicate result and flags; `mask`: unknown bits of its inputs."""
    vl = cpu.vl
    chosen, maybe = cpu.p(pg)
    value = predicate(hits.view(np.uint8), t) & chosen
    taint = maybe & every(vl, t)
    if mask:
        taint |= predicate((split(spread(mask, vl, t), vl, t) != 0).view(np.uint8), t) & chosen
    value &= ~taint
    predicate_test(cpu, (chosen, maybe), (value, taint), t)
    put_p(cpu, pd, value, taint)


def _register_compares() -> None:
    for form in _forms("sve-compare", "_zz"):
        if form.mnemonic.startswith("cmp"):
            SEMANTICS[form.name] = _compare(COMPARE[form.mnemonic[3:]])
    for form in _forms("sve-compare", "_zz_wide"):
        SEMANTICS[form.name] = _wide_compare(form.mnemonic[3:])
    for form in _forms("sve-compare", "_zi"):
        SEMANTICS[form.name] = _compare_immediate(COMPARE[form.mnemonic[3:]])


def reduce_lanes(name: str, lanes: Array, t: int) -> int:
    """The reduction of some lanes, identity if there are none."""
    if name in ("orv", "eorv", "andv"):
        f = {"orv": np.bitwise_or, "eorv": np.bitwise_xor, "andv": np.bitwise_and}[name]
        return int(f.reduce(lanes)) & ones(BITS[t])
    is_signed = name[0] == "s"
    if is_signed:
        lanes = signed(lanes, t)
    if name.endswith("addv"):
        return int(lanes.sum(dtype=SINT[3] if is_signed else UINT[3])) & ones(64)
    info = np.iinfo(lanes.dtype)
    largest = "max" in name
    value = lanes.max(initial=info.min) if largest else lanes.min(initial=info.max)
    return int(value) & ones(BITS[t])


def _reduce(name: str, out: int | None) -> Callable[[Cpu, int, int, int, int], None]:
    """(cpu, vd, pg, zn, t); `out` log2 of the result's bytes, None for the element's."""

    def run(cpu: Cpu, vd: int, pg: int, zn: int, t: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        value, mask = cpu.p(pg)
        lanes = split(a, vl, t)
        width = BITS[t if out is None else out]
        unknown = mask & every(vl, t) or ma & active(value, vl, t)
        if unknown:
            put_v(cpu, vd, 0, ones(width))
        else:
            cpu.set_v(vd, reduce_lanes(name, lanes[flags(value, vl, t).view(bool)], t))

    return run


def _register_reductions() -> None:
    for form in _forms("sve-reduce", "_z"):
        name = form.mnemonic
        run = _reduce(name, 3 if name.endswith("addv") else None)
        if name.endswith("addv"):
            SEMANTICS[form.name] = run
        else:
            SEMANTICS[form.name] = lambda cpu, t, vd, pg, zn, run=run: run(cpu, vd, pg, zn, t)


def _index(cpu: Cpu, zd: int, t: int, base: tuple[int, int], step: tuple[int, int]) -> None:
    """Lanes base, base + step, ...; an unknown bit spoils itself and those above it."""
    vl = cpu.vl
    width = BITS[t]
    keep = ones(width)
    numbers = np.arange(vl >> t, dtype=UINT[3])
    start, stride = (UINT[3].type(v & ones(64)) for v in (base[0], step[0]))
    value = join_lanes((start + numbers * stride).astype(UINT[t]))
    mask = carry_mask((base[1] | step[1]) & keep) & keep
    put_z(cpu, zd, value, mask * every(vl * 8, t + 3) if mask else 0)


SEMANTICS["index_ii"] = lambda cpu, zd, t, imm, imm2: _index(cpu, zd, t, (imm, 0), (imm2, 0))
SEMANTICS["index_ri"] = lambda cpu, zd, t, rn, imm: _index(cpu, zd, t, cpu.x(rn), (imm, 0))
SEMANTICS["index_ir"] = lambda cpu, zd, t, imm, rm: _index(cpu, zd, t, (imm, 0), cpu.x(rm))
SEMANTICS["index_rr"] = lambda cpu, zd, t, rn, rm: _index(cpu, zd, t, cpu.x(rn), cpu.x(rm))

_register_lanewise()
_register_immediates()
_register_compares()
_register_reductions()
