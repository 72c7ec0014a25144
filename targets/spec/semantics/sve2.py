"""SVE2 integer instructions, dot products, matrix multiplications and multiplications by
an element."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.spec.cpu import Cpu
from targets.spec.semantics.intops import (
    BINARY,
    difference_s,
    difference_u,
    doubled_high_accumulate,
    narrow,
    saturate,
    small,
)
from targets.spec.semantics.lanes import (
    BITS,
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
    split,
    spread,
)
from targets.spec.semantics.longops import lengthen
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic


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
