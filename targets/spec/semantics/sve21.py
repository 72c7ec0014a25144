"""SVE2.1 instructions on integers, and those that permute each 128 bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.spec.cpu import Cpu
from targets.spec.semantics.intops import maximum_s, maximum_u, minimum_s, minimum_u, saturate
from targets.spec.semantics.lanes import (
    BITS,
    SINT,
    UINT,
    Array,
    flags,
    governing,
    in_segments,
    join_lanes,
    merge,
    ones,
    predicate,
    put_p,
    put_v,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.permute import REARRANGE
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_dot import by_segment

Lanes2 = Callable[[Array, Array, int], Array]


def segments(value: int, vl: int, t: int) -> Array:
    """One row of elements for each 128 bits."""
    return split(value, vl, t).reshape(-1, 16 >> t)


# -- reductions and clamps -----------------------------------------------------------------

_ACROSS: dict[str, tuple[Lanes2, Callable[[int], int]]] = {
    "addqv": (lambda a, b, t: a + b, lambda bits: 0),
    "smaxqv": (maximum_s, lambda bits: 1 << bits - 1),
    "umaxqv": (maximum_u, lambda bits: 0),
    "sminqv": (minimum_s, lambda bits: ones(bits - 1)),
    "uminqv": (minimum_u, ones),
    "orqv": (lambda a, b, t: a | b, lambda bits: 0),
    "eorqv": (lambda a, b, t: a ^ b, lambda bits: 0),
    "andqv": (lambda a, b, t: a & b, ones),
}
"""The operation, and what stands for inactive elements (Arm ARM, ADDQV and kin)."""


def unknown_columns(dirty: int, vl: int, t: int) -> int:
    """Elements of 128 bits that have an unknown one among those of all segments, as a mask."""
    if not dirty:
        return 0
    return join_lanes(np.bitwise_or.reduce(segments(spread(dirty, vl, t), vl, t), axis=0))


def _across(name: str) -> Semantic:
    """vd, t, pg, zn: each element of the result is made of those at its place."""
    f, identity = _ACROSS[name]

    def run(cpu: Cpu, vd: int, t: int, pg: int, zn: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        chosen, maybe = governing(cpu, pg, t)
        fill = UINT[t].type(identity(BITS[t]))
        rows = np.where(segments(chosen, vl, t) != 0, segments(a, vl, t), fill)
        total = rows[0]
        for row in rows[1:]:
            total = f(total, row, t)
        put_v(cpu, vd, join_lanes(total), unknown_columns(ma & chosen | maybe, vl, t))

    return run


for _name in _ACROSS:
    SEMANTICS[_name] = _across(_name)


def _clamp(lowest: Lanes2, highest: Lanes2) -> Semantic:
    """zd, t, zn, zm: zd, but at least zn, and of that at most zm."""

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zd), cpu.z(zn), cpu.z(zm), cpu.vl
        raised = highest(split(a, vl, t), split(d, vl, t), t)
        limited = lowest(raised, split(b, vl, t), t)
        put_z(cpu, zd, join_lanes(limited), spread(md | ma | mb, vl, t))

    return run


SEMANTICS["sclamp"] = _clamp(minimum_s, maximum_s)
SEMANTICS["uclamp"] = _clamp(minimum_u, maximum_u)


# -- permutes --------------------------------------------------------------------------------


@semantic("dupq")
def dupq(cpu: Cpu, zd: int, t: int, zn: int, index: int) -> None:
    put_z(cpu, zd, *in_segments(cpu.z(zn), cpu.vl, BITS[t], index))


@semantic("extq")
def extq(cpu: Cpu, zdn: int, zm: int, imm: int) -> None:
    """Of each segment 16 bytes, from byte `imm` of zm:zdn."""
    vl = cpu.vl
    value, mask = (
        join_lanes(
            np.hstack((segments(low, vl, 0), segments(high, vl, 0)))[:, imm : imm + 16],
        )
        for low, high in zip(cpu.z(zdn), cpu.z(zm), strict=True)
    )
    put_z(cpu, zdn, value, mask)


def _table(extension: bool) -> Semantic:
    """TBLQ, TBXQ: a table for each segment, which ends with it."""

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        vl = cpu.vl
        table, (index, index_mask) = cpu.z(zn), cpu.z(zm)
        old = cpu.z(zd) if extension else (0, 0)
        indices = segments(index, vl, t)
        inside = indices < 16 >> t
        places = np.where(inside, indices, 0).astype(np.intp)

        def pick(which: int) -> int:
            found = np.take_along_axis(segments(table[which], vl, t), places, axis=1)
            return join_lanes(np.where(inside, found, segments(old[which], vl, t)))

        dirty = index_mask or table[1] or old[1]
        put_z(cpu, zd, pick(0), pick(1) | spread(index_mask, vl, t) if dirty else 0)

    return run


SEMANTICS["tblq"], SEMANTICS["tbxq"] = _table(False), _table(True)


def _rearrange(name: str) -> Semantic:
    """ZIPQ1 and kin: as the instruction for whole vectors, in each segment."""
    f = REARRANGE[name]

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        vl = cpu.vl
        value, mask = (
            join_lanes(f(segments(a, vl, t).T, segments(b, vl, t).T).T) if a or b else 0
            for a, b in zip(cpu.z(zn), cpu.z(zm), strict=True)
        )
        cpu.set_z(zd, value, mask)

    return run


for _name in ("zip", "uzp"):
    for _part in "12":
        SEMANTICS[f"{_name}q{_part}"] = _rearrange(_name + _part)


@semantic("revd")
def revd(cpu: Cpu, zd: int, pg: int, zn: int) -> None:
    """The halves of active segments change places."""
    vl = cpu.vl
    value, mask = (
        join_lanes(split(x, vl, 3).reshape(-1, 2)[:, ::-1]) if x else 0 for x in cpu.z(zn)
    )
    put_z(cpu, zd, *merge((value, mask), cpu.z(zd), *governing(cpu, pg, 4)))


def _to_predicate(t: int) -> Semantic:
    """pd, zn[, part]: a bit for each element."""

    def run(cpu: Cpu, pd: int, zn: int, part: int = 0) -> None:
        vl = cpu.vl
        count = vl >> t
        value, mask = (
            predicate(flags(bits >> count * part & ones(count), count, 0), t) for bits in cpu.z(zn)
        )
        put_p(cpu, pd, value, mask)

    return run


def _from_predicate(t: int) -> Semantic:
    """zd, part, pn: part 0 clears the rest of the vector, the others keep it."""

    def run(cpu: Cpu, zd: int, part: int, pn: int) -> None:
        vl = cpu.vl
        count = vl >> t
        old = cpu.z(zd) if part else (0, 0)
        rest = ~(ones(count) << count * part)
        value, mask = (
            kept & rest | predicate(flags(bits, vl, t), 0) << count * part
            for kept, bits in zip(old, cpu.p(pn), strict=True)
        )
        put_z(cpu, zd, value, mask)

    return run


def _whole(run: Semantic) -> Semantic:
    """For the form that has no part to name."""
    return lambda cpu, zd, pn: run(cpu, zd, 0, pn)


for _t, _letter in enumerate("bhsd"):
    SEMANTICS[f"pmov_p{_letter}"] = _to_predicate(_t)
    SEMANTICS[f"pmov_z{_letter}"] = _from_predicate(_t)
SEMANTICS["pmov_zb"] = _whole(SEMANTICS["pmov_zb"])


# -- products and narrowing --------------------------------------------------------------------


def _pairs(acc: Array, a: Array, b: Array, kind: tuple[np.dtype, ...]) -> Array:
    """acc plus the products of pairs of 16-bit elements, all modulo 2**32."""
    products = a.view(kind[1]).astype(kind[3]) * b.view(kind[1]).astype(kind[3])
    return acc + products.reshape(-1, 2).sum(axis=1).astype(UINT[2])


def _dot(name: str) -> None:
    kind = SINT if name == "sdot" else UINT

    def run(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        total = _pairs(split(d, vl, 2), split(a, vl, 1), split(b, vl, 1), kind)
        put_z(cpu, zda, join_lanes(total), spread(md | ma | mb, vl, 2))

    def by_element(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        pair = by_segment(split(b, vl, 2), 2, index).view(UINT[1])
        total = _pairs(split(d, vl, 2), split(a, vl, 1), pair, kind)
        put_z(cpu, zda, join_lanes(total), spread(md | ma, vl, 2) | spread(mb, vl, 4))

    SEMANTICS[f"{name}_zhh"], SEMANTICS[f"{name}_zhhx"] = run, by_element


_dot("sdot")
_dot("udot")

_FROM_SIGNED = {
    "sqcvtn": (True, True),
    "uqcvtn": (False, False),
    "sqcvtun": (True, False),
    "sqrshrn": (True, True),
    "uqrshrn": (False, False),
    "sqrshrun": (True, False),
}
"""Whether the wide and the narrow elements are signed."""


def _narrow(name: str) -> Semantic:
    """zd, zn[, amount]: elements of two registers by turns, rounded and saturated."""
    wide_signed, narrow_signed = _FROM_SIGNED[name]

    def run(cpu: Cpu, zd: int, zn: int, amount: int = 0) -> None:
        vl = cpu.vl
        sources = [cpu.z(zn), cpu.z(zn + 1)]
        kind = SINT if wide_signed else UINT
        columns = [split(value, vl, 2).view(kind[2]).astype(np.int64) for value, _ in sources]
        lanes = np.stack(columns, axis=1).reshape(-1)
        rounded = lanes + (1 << amount >> 1) >> amount
        result = saturate(rounded, 1, negative=narrow_signed)[0]
        touched = [split(spread(mask, vl, 2), vl, 2).astype(UINT[1]) for _, mask in sources]
        put_z(cpu, zd, join_lanes(result), join_lanes(np.stack(touched, axis=1).reshape(-1)))

    return run


for _name in _FROM_SIGNED:
    SEMANTICS[_name] = _narrow(_name)
