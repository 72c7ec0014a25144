"""SVE2 integer instructions, dot products, matrix multiplications and multiplications by
an element."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.model.cpu import Cpu
from targets.model.semantics.asimd_shift import DOT_SIGNS, MATRIX_SIGNS, dot, matrix_multiply
from targets.model.semantics.intops import (
    BINARY,
    LONG,
    SHIFT_BY,
    difference_s,
    difference_u,
    doubled_high_accumulate,
    doubling_long,
    high_half,
    lengthen,
    narrow,
    narrow_shift,
    polynomial_long,
    saturate,
    saturating_shift_by,
    small,
)
from targets.model.semantics.lanes import (
    BITS,
    SINT,
    UINT,
    Array,
    every,
    flags,
    governing,
    join_lanes,
    merge,
    ones,
    predicate,
    predicate_test,
    put_p,
    put_z,
    signed,
    split,
    spread,
)
from targets.model.semantics.registry import SEMANTICS, Semantic, semantic


def _group(group: str) -> list[Form]:
    return [form for form in FORMS.values() if form.group == group]


# -- pairs, accumulations, complex numbers ------------------------------------------


def _pairwise(f: Callable[[Array, Array, int], Array]) -> Semantic:
    """Even results from pairs of zdn, odd ones from pairs of zm."""

    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        old, (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
        x, y = split(old[0], vl, t), split(b, vl, t)
        result = np.empty_like(x)
        result[0::2] = f(x[0::2], x[1::2], t)
        result[1::2] = f(y[0::2], y[1::2], t)
        taint = spread(old[1] | mb, vl, t + 1) if t < 3 else spread(old[1] | mb, vl, 4)
        put_z(cpu, zdn, *merge((join_lanes(result), taint), old, *governing(cpu, pg, t)))

    return run


for _name in ("add", "smax", "umax", "smin", "umin"):
    SEMANTICS[f"{_name}p_zpz"] = _pairwise(BINARY[_name])


def _accumulate_pairs(negative: bool) -> Semantic:
    """sadalp, uadalp: t is the size of the sums."""

    def run(cpu: Cpu, zda: int, t: int, pg: int, zn: int) -> None:
        old, (a, ma), vl = cpu.z(zda), cpu.z(zn), cpu.vl
        lanes = lengthen(split(a, vl, t - 1), t - 1, negative=negative)
        total = split(old[0], vl, t) + lanes[0::2] + lanes[1::2]
        taint = spread(old[1] | ma, vl, t)
        put_z(cpu, zda, *merge((join_lanes(total), taint), old, *governing(cpu, pg, t)))

    return run


SEMANTICS["sadalp_zpz"], SEMANTICS["uadalp_zpz"] = _accumulate_pairs(True), _accumulate_pairs(False)

Ternary = Callable[[Array, Array, Array, int], Array]


def _ternary(f: Ternary) -> Semantic:
    """zda, t, zn, zm: an unpredicated operation on the old destination."""

    def run(cpu: Cpu, zda: int, t: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        result = f(split(d, vl, t), split(a, vl, t), split(b, vl, t), t)
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, t))

    return run


def _doubling_high(sign: int) -> Ternary:
    return lambda d, a, b, t: saturate(doubled_high_accumulate(d, a, b, t, sign), t, negative=True)[
        0
    ]


SEMANTICS["saba_zz"] = _ternary(lambda d, a, b, t: d + difference_s(a, b, t))
SEMANTICS["uaba_zz"] = _ternary(lambda d, a, b, t: d + difference_u(a, b, t))
SEMANTICS["sqrdmlah_zz"] = _ternary(_doubling_high(1))
SEMANTICS["sqrdmlsh_zz"] = _ternary(_doubling_high(-1))


def _exclusive_or(first: int) -> Ternary:
    """EORBT (first 0) and EORTB: lanes of the other parity keep their value."""

    def run(d: Array, a: Array, b: Array, t: int) -> Array:
        result = d.copy()
        result[first::2] = a[first::2] ^ b[1 - first :: 2]
        return result

    return run


def _spread_pairs(run: Semantic) -> Semantic:
    """A semantic whose lanes depend on their neighbour: unknown inputs spoil everything."""

    def guarded(cpu: Cpu, zd: int, t: int, zn: int, zm: int, *rest: int) -> None:
        dirty = cpu.z(zd)[1] | cpu.z(zn)[1] | cpu.z(zm)[1]
        run(cpu, zd, t, zn, zm, *rest)
        if dirty:
            cpu.set_z(zd, 0, ones(cpu.vl * 8))

    return guarded


SEMANTICS["eorbt_zz"] = _spread_pairs(_ternary(_exclusive_or(0)))
SEMANTICS["eortb_zz"] = _spread_pairs(_ternary(_exclusive_or(1)))


def _add_with_carry(top: int, invert: bool) -> Semantic:
    """ADCLB/T and SBCLB/T: even lanes of the result are sums, odd ones carries; the carry
    comes from the odd lanes of zm."""

    def run(d: Array, a: Array, b: Array, t: int) -> Array:
        x = d[0::2]
        y = a[top::2]
        if invert:
            y = ~y
        carry = b[1::2] & UINT[t].type(1)
        partial = x + y
        total = partial + carry
        out = (partial < x) | (total < partial)
        result = np.empty_like(d)
        result[0::2], result[1::2] = total, out.astype(UINT[t])
        return result

    return _spread_pairs(_ternary(run))


for _top, _letter in ((0, "b"), (1, "t")):
    SEMANTICS[f"adcl{_letter}_zz"] = _add_with_carry(_top, False)
    SEMANTICS[f"sbcl{_letter}_zz"] = _add_with_carry(_top, True)


def _complex_add(saturating: bool) -> Semantic:
    """CADD, SQCADD: zdn, t, zm, rot (0: 90, 1: 270 degrees)."""

    def run(cpu: Cpu, zdn: int, t: int, zm: int, rot: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
        x, y = (small(split(v, vl, t), t, negative=True) for v in (a, b))
        sign = 1 if rot else -1
        result = np.empty_like(x)
        result[0::2] = x[0::2] + sign * y[1::2]
        result[1::2] = x[1::2] - sign * y[0::2]
        lanes = saturate(result, t, negative=True)[0] if saturating else narrow(result, t)
        put_z(cpu, zdn, join_lanes(lanes), spread(ma | mb, vl, min(t + 1, 4)))

    return run


SEMANTICS["cadd_zz"], SEMANTICS["sqcadd_zz"] = _complex_add(False), _complex_add(True)


def _complex_parts(rot: int) -> tuple[int, int, int, int]:
    """Which part of zn is used, the parts of zm for real and imaginary results' order, and
    their signs (Arm ARM, CMLA): (part of zn, 1 if zm's parts swap, sign of real, of imag)."""
    return rot & 1, rot & 1, -1 if rot in (1, 2) else 1, -1 if rot in (2, 3) else 1


def _complex_multiply(rounding: bool) -> Semantic:
    """CMLA, SQRDCMLAH: zda, t, zn, zm, rot."""

    def run(cpu: Cpu, zda: int, t: int, zn: int, zm: int, rot: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        part, swap, real_sign, imag_sign = _complex_parts(rot)
        acc, n, m = split(d, vl, t), split(a, vl, t)[part::2], split(b, vl, t)
        result = np.empty_like(acc)
        for lane, factor, sign in ((0, m[swap::2], real_sign), (1, m[1 - swap :: 2], imag_sign)):
            if rounding:
                exact = doubled_high_accumulate(acc[lane::2], n, factor, t, sign)
                result[lane::2] = saturate(exact, t, negative=True)[0]
            else:
                product = n * factor
                result[lane::2] = acc[lane::2] + product if sign > 0 else acc[lane::2] - product
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, min(t + 1, 4)))

    return run


SEMANTICS["cmla_zz"], SEMANTICS["sqrdcmlah_zz"] = _complex_multiply(False), _complex_multiply(True)


# -- bit permutes, searches, histograms ----------------------------------------------


def _bit_extract(x: int, mask: int) -> int:
    out = at = 0
    while mask:
        low = mask & -mask
        if x & low:
            out |= 1 << at
        at += 1
        mask ^= low
    return out


def _bit_deposit(x: int, mask: int) -> int:
    out = 0
    while mask:
        low = mask & -mask
        if x & 1:
            out |= low
        x >>= 1
        mask ^= low
    return out


def _bit_group(x: int, mask: int, bits: int) -> int:
    chosen = _bit_extract(x, mask)
    return chosen | _bit_extract(x, mask ^ ones(bits)) << mask.bit_count()


_BIT_PERMUTES: dict[str, Callable[[int, int, int], int]] = {
    "bext": lambda x, mask, bits: _bit_extract(x, mask),
    "bdep": lambda x, mask, bits: _bit_deposit(x, mask),
    "bgrp": _bit_group,
}


def _bit_permute(name: str) -> Semantic:
    f = _BIT_PERMUTES[name]

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        pairs = zip(split(a, vl, t).tolist(), split(b, vl, t).tolist(), strict=True)
        lanes = np.array([f(x, mask, BITS[t]) for x, mask in pairs], UINT[t])
        put_z(cpu, zd, join_lanes(lanes), spread(ma | mb, vl, t))

    return run


for _name in _BIT_PERMUTES:
    SEMANTICS[_name] = _bit_permute(_name)


def _match(wanted: bool) -> Semantic:
    """MATCH, NMATCH: whether a lane equals any lane of the same 128 bits of zm."""

    def run(cpu: Cpu, pd: int, t: int, pg: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), g, vl = cpu.z(zn), cpu.z(zm), cpu.p(pg), cpu.vl
        x, y = (split(v, vl, t).reshape(-1, 16 >> t) for v in (a, b))
        hits = (x[:, :, None] == y[:, None, :]).any(axis=2).reshape(-1) == wanted
        mask = every(vl, t) & (g[0] | g[1]) if ma | mb else g[1] & every(vl, t)
        value = predicate(hits.view(np.uint8), t) & g[0] & ~mask
        predicate_test(cpu, g, (value, mask), t)
        put_p(cpu, pd, value, mask)

    return run


SEMANTICS["match"], SEMANTICS["nmatch"] = _match(True), _match(False)


@semantic("histcnt")
def histcnt(cpu: Cpu, zd: int, t: int, pg: int, zn: int, zm: int) -> None:
    """Per active lane of zn, how many active lanes of zm up to it are equal."""
    (a, ma), (b, mb), (g, mg), vl = cpu.z(zn), cpu.z(zm), cpu.p(pg), cpu.vl
    if (ma | mb) or mg & every(vl, t):
        cpu.set_z(zd, 0, ones(vl * 8))
        return
    chosen = flags(g, vl, t).view(bool)
    x, y = split(a, vl, t), split(b, vl, t)
    equal = np.tril(x[:, None] == y[None, :]) & chosen[None, :] & chosen[:, None]
    cpu.set_z(zd, join_lanes(equal.sum(axis=1).astype(UINT[t])))


@semantic("histseg")
def histseg(cpu: Cpu, zd: int, zn: int, zm: int) -> None:
    """Per byte of zn, how many bytes of the same 128 bits of zm are equal."""
    (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
    x, y = (split(v, vl, 0).reshape(-1, 16) for v in (a, b))
    counts = (x[:, :, None] == y[:, None, :]).sum(axis=2).reshape(-1).astype(np.uint8)
    put_z(cpu, zd, join_lanes(counts), spread(ma | mb, vl, 4))


# -- widening and narrowing -----------------------------------------------------------


def _halves(form: Form) -> tuple[str, int, int]:
    """The mnemonic without its ending, and whether zn and zm give odd (1) or even lanes."""
    name = form.mnemonic
    for ending, parts in (("bt", (0, 1)), ("tb", (1, 0))):
        if name in ("saddlbt", "ssublbt", "ssubltb", "sqdmlalbt", "sqdmlslbt") and name.endswith(
            ending
        ):
            return name[:-2], *parts
    top = int(name[-1] == "t")
    return name[:-1], top, top


def _widen(form: Form) -> None:
    """zd (or zda), t of the result, zn, zm."""
    stem, first, second = _halves(form)
    wide_first = stem.endswith("w")
    negative = stem[0] == "s"
    doubling, polynomial = stem.startswith("sqd"), stem == "pmull"
    kind = stem[1:]
    accumulates = (doubling and stem != "sqdmull") or kind in ("abal", "mlal", "mlsl")
    sign = -1 if stem == "sqdmlsl" else 1

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        d, md = cpu.z(zd) if accumulates else (0, 0)
        acc = split(a if wide_first else d, vl, t)
        y = lengthen(split(b, vl, t - 1)[second::2], t - 1, negative=negative)
        x = y
        if not wide_first:
            x = lengthen(split(a, vl, t - 1)[first::2], t - 1, negative=negative)
        if polynomial:
            result = polynomial_long(x, y, t)
        elif doubling:
            result = doubling_long(acc if accumulates else None, x, y, t, sign)[0]
        else:
            result = LONG[kind](acc, x, y, t)
        put_z(cpu, zd, join_lanes(result), spread(ma | mb | md, vl, t))

    SEMANTICS[form.name] = run


def _shift_long(form: Form) -> None:
    """sshllb and kin: zd, t of the source, zn, amount."""
    negative, top = form.mnemonic[0] == "s", int(form.mnemonic[-1] == "t")

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        lanes = lengthen(split(a, vl, t)[top::2], t, negative=negative)
        value = join_lanes(lanes << UINT[t + 1].type(amount))
        put_z(cpu, zd, value, spread(ma, vl, t + 1))

    SEMANTICS[form.name] = run


def _put_narrow(cpu: Cpu, zd: int, t: int, lanes: Array, mask: int, top: bool) -> None:
    """Results of half size t: in the even lanes with zero in the odd ones, or (`top`) in
    the odd lanes with the even ones kept."""
    vl = cpu.vl
    old, old_mask = cpu.z(zd) if top else (0, 0)
    both = split(old, vl, t).copy()
    both[int(top) :: 2] = lanes
    even = every(vl * 8, t + 4) * ones(BITS[t])
    chosen = even << BITS[t] if top else even
    mask = mask & chosen | (old_mask & ~chosen)
    put_z(cpu, zd, join_lanes(both), mask)


def _high_narrow(form: Form) -> None:
    """addhnb and kin: zd, t of the sources, zn, zm."""
    rounding, add, top = form.mnemonic[0] == "r", "add" in form.mnemonic, form.mnemonic[-1] == "t"

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        x, y = split(a, vl, t), split(b, vl, t)
        lanes = high_half(x + y if add else x - y, t, rounding)
        _put_narrow(cpu, zd, t - 1, lanes, spread(ma | mb, vl, t), top)

    SEMANTICS[form.name] = run


def _shift_narrow(form: Form) -> None:
    """sqxtnb, shrnb and kin: zd, t of the result, zn[, amount]."""
    name, top = form.mnemonic[:-1], form.mnemonic[-1] == "t"

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int = 0) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        lanes = narrow_shift(name, split(a, vl, t + 1), amount, t + 1)[0]
        _put_narrow(cpu, zd, t, lanes, spread(ma, vl, t + 1), top)

    SEMANTICS[form.name] = run


# -- shifts --------------------------------------------------------------------------


def _shift(form: Form) -> None:
    """ssra, sri and kin: zd, t, zn, amount."""
    f = SHIFT_BY[form.mnemonic]

    def run(cpu: Cpu, zd: int, t: int, zn: int, amount: int) -> None:
        (d, md), (a, ma), vl = cpu.z(zd), cpu.z(zn), cpu.vl
        result = f(split(d, vl, t), split(a, vl, t), amount, t)
        put_z(cpu, zd, join_lanes(result), spread(md | ma, vl, t))

    SEMANTICS[form.name] = run


def _governed_shift(form: Form) -> None:
    """srshr, sqshl and kin: zdn, t, pg, amount."""
    name = form.mnemonic

    def run(cpu: Cpu, zdn: int, t: int, pg: int, amount: int) -> None:
        old, vl = cpu.z(zdn), cpu.vl
        lanes = split(old[0], vl, t)
        if name in SHIFT_BY:
            result = SHIFT_BY[name](lanes, lanes, amount, t)
        else:
            result = saturating_shift_by(name, lanes, amount, t)[0]
        new = (join_lanes(result), spread(old[1], vl, t))
        put_z(cpu, zdn, *merge(new, old, *governing(cpu, pg, t)))

    SEMANTICS[form.name] = run


@semantic("xar_zi")
def xar(cpu: Cpu, zdn: int, t: int, zm: int, amount: int) -> None:
    """Exclusive or, rotated right by 1 to the element's bits."""
    (a, ma), (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
    x, kind = split(a ^ b, vl, t), UINT[t].type
    turn = amount % BITS[t]
    rotated = x >> kind(turn) | x << kind(BITS[t] - turn) if turn else x
    put_z(cpu, zdn, join_lanes(rotated), spread(ma | mb, vl, t))


# -- dot products, matrices, elements ------------------------------------------------


def _long_dot(acc: Array, a: Array, b: Array, negative: bool) -> Array:
    """As `dot` for 16-bit lanes into 64-bit sums."""
    kind = SINT if negative else UINT
    x, y = (v.view(kind[1]).astype(kind[3]).reshape(-1, 4) for v in (a, b))
    return acc + (x * y).sum(axis=1, dtype=kind[3]).view(UINT[3])


def _any_dot(acc: Array, a: Array, b: Array, t: int, name: str) -> Array:
    if t == 2:
        return dot(acc, a, b, 2, DOT_SIGNS[name])
    return _long_dot(acc, a, b, name == "sdot")


def _dot(form: Form) -> None:
    name = form.mnemonic
    if any(operand.name == "imm" for operand in form.operands):
        _dot_by_element(form)
        return

    def run(cpu: Cpu, zda: int, t: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        x, y = split(a, vl, t - 2), split(b, vl, t - 2)
        result = _any_dot(split(d, vl, t), x, y, t, name)
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, t))

    fixed = form.operands[1].name != "t"
    SEMANTICS[form.name] = (lambda cpu, zda, zn, zm: run(cpu, zda, 2, zn, zm)) if fixed else run


def by_segment(lanes: Array, t: int, index: int) -> Array:
    """Element `index` of each 128 bits, in all lanes of those 128 bits."""
    per = 16 >> t
    return np.repeat(lanes.reshape(-1, per)[:, index], per)


def _dot_by_element(form: Form) -> None:
    name, t = form.mnemonic, 2 if form.name.endswith("sx") else 3

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        group = by_segment(split(b, vl, t), t, index).view(UINT[t - 2])
        result = _any_dot(split(d, vl, t), split(a, vl, t - 2), group, t, name)
        put_z(cpu, zda, join_lanes(result), spread(md | ma, vl, t) | spread(mb, vl, 4))

    SEMANTICS[form.name] = run


@semantic("cdot_zz")
def cdot(cpu: Cpu, zda: int, t: int, zn: int, zm: int, rot: int) -> None:
    """Complex dot product: pairs of complex quarter-size numbers."""
    (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
    x, y = (signed(split(v, vl, t - 2), t - 2).astype(np.int64).reshape(-1, 4) for v in (a, b))
    if rot in (0, 2):
        sums = x[:, 0::2] * y[:, 0::2] + (1 if rot else -1) * x[:, 1::2] * y[:, 1::2]
    else:
        sums = x[:, 0::2] * y[:, 1::2] + (1 if rot == 1 else -1) * x[:, 1::2] * y[:, 0::2]
    result = split(d, vl, t) + sums.sum(axis=1).astype(UINT[t])
    put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, t))


def _matrix(form: Form) -> None:
    signs = MATRIX_SIGNS[form.mnemonic]

    def run(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        result = matrix_multiply(split(d, vl, 2), split(a, vl, 0), split(b, vl, 0), signs)
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, 4))

    SEMANTICS[form.name] = run


def _multiply_by_element(form: Form) -> None:
    name = form.mnemonic
    t = "bhsd".index(form.name[-2])

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        product = split(a, vl, t) * by_segment(split(b, vl, t), t, index)
        acc = split(d, vl, t)
        result = {"mul": product, "mla": acc + product, "mls": acc - product}[name]
        taint = spread(ma | (0 if name == "mul" else md), vl, t) | spread(mb, vl, 4)
        put_z(cpu, zda, join_lanes(result), taint)

    SEMANTICS[form.name] = run


def _register() -> None:
    for form in _group("sve-widen"):
        (_shift_long if "shll" in form.mnemonic else _widen)(form)
    for form in _group("sve-narrow"):
        (_high_narrow if form.mnemonic[:-1].endswith("hn") else _shift_narrow)(form)
    for form in _group("sve-shift"):
        if form.cap == "sve2" and form.name not in SEMANTICS:
            (_governed_shift if form.name.endswith("_zpi") else _shift)(form)
    for form in _group("sve-dot"):
        if form.mnemonic in MATRIX_SIGNS:
            _matrix(form)
        elif form.mnemonic in DOT_SIGNS:
            _dot(form)
    for form in _group("sve-mla"):
        if form.name.endswith("x"):
            _multiply_by_element(form)


_register()
