"""SVE moves, selects, permutes and lane extractions."""

from __future__ import annotations

import numpy as np

from targets.spec.cpu import Cpu
from targets.spec.errors import UNDEFINED, GuestException
from targets.spec.semantics.lanes import (
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
    put_v,
    put_z,
    signed,
    split,
    spread,
)
from targets.spec.semantics.permute import REARRANGE
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic


def repeat(cpu: Cpu, element: int, t: int) -> int:
    """An element in every lane."""
    return (element & ones(BITS[t])) * every(cpu.vl * 8, t + 3)


@semantic("dup_r")
def dup_r(cpu: Cpu, zd: int, t: int, rn: int) -> None:
    value, mask = cpu.xsp(rn)
    put_z(cpu, zd, repeat(cpu, value, t), repeat(cpu, mask, t))


@semantic("dup_i")
def dup_i(cpu: Cpu, zd: int, t: int, imm: int, shifted: int) -> None:
    cpu.set_z(zd, repeat(cpu, imm << 8 * shifted, t))


@semantic("dup_zx")
def dup_zx(cpu: Cpu, zd: int, t: int, zn: int, index: int) -> None:
    value, mask = cpu.z(zn)
    at = index * BITS[t]
    put_z(cpu, zd, repeat(cpu, value >> at, t), repeat(cpu, mask >> at, t))


@semantic("cpy_r")
def cpy_r(cpu: Cpu, zd: int, t: int, pg: int, rn: int) -> None:
    value, mask = cpu.xsp(rn)
    new = (repeat(cpu, value, t), repeat(cpu, mask, t))
    put_z(cpu, zd, *merge(new, cpu.z(zd), *governing(cpu, pg, t)))


@semantic("cpy_v")
def cpy_v(cpu: Cpu, zd: int, t: int, pg: int, vn: int) -> None:
    value, mask = cpu.v(vn, 1 << t)
    new = (repeat(cpu, value, t), repeat(cpu, mask, t))
    put_z(cpu, zd, *merge(new, cpu.z(zd), *governing(cpu, pg, t)))


@semantic("cpy_i")
def cpy_i(cpu: Cpu, zd: int, t: int, pg: int, merging: int, imm: int, shifted: int) -> None:
    new = (repeat(cpu, imm << 8 * shifted, t), 0)
    old = cpu.z(zd) if merging else (0, 0)
    put_z(cpu, zd, *merge(new, old, *governing(cpu, pg, t)))


def _insert(cpu: Cpu, zdn: int, t: int, element: tuple[int, int]) -> None:
    keep = ones(cpu.vl * 8)
    value, mask = (
        (old << BITS[t] & keep) | (new & ones(BITS[t]))
        for old, new in zip(cpu.z(zdn), element, strict=True)
    )
    put_z(cpu, zdn, value, mask)


@semantic("insr_r")
def insr_r(cpu: Cpu, zdn: int, t: int, rm: int) -> None:
    _insert(cpu, zdn, t, cpu.x(rm))


@semantic("insr_v")
def insr_v(cpu: Cpu, zdn: int, t: int, vm: int) -> None:
    _insert(cpu, zdn, t, cpu.v(vm, 1 << t))


@semantic("sel_zz")
def sel(cpu: Cpu, zd: int, t: int, pg: int, zn: int, zm: int) -> None:
    put_z(cpu, zd, *merge(cpu.z(zn), cpu.z(zm), *governing(cpu, pg, t)))


def _last_lane(cpu: Cpu, pg: int, zn: int, t: int, after: bool) -> tuple[int, int] | None:
    """The last active lane, or (`after`) the one that follows it, wrapping around.

    With no active lane LASTA gives the first and LASTB the last lane. None when the
    predicate is not known.
    """
    chosen, unknown = cpu.p(pg)
    lanes = every(cpu.vl, t)
    if unknown & lanes:
        return None
    count = cpu.vl >> t
    last = (chosen & lanes).bit_length() - 1 >> t if chosen & lanes else -1
    lane = (last + 1) % count if after else last % count
    value, mask = cpu.z(zn)
    return value >> lane * BITS[t] & ones(BITS[t]), mask >> lane * BITS[t] & ones(BITS[t])


def _any_active(cpu: Cpu, pg: int, t: int) -> bool:
    return bool(cpu.p(pg)[0] & every(cpu.vl, t))


def _last_r(after: bool) -> Semantic:
    def run(cpu: Cpu, rd: int, t: int, pg: int, zn: int) -> None:
        cpu.set_x(rd, *(_last_lane(cpu, pg, zn, t, after) or (0, ones(BITS[t]))))

    return run


def _last_v(after: bool) -> Semantic:
    def run(cpu: Cpu, vd: int, t: int, pg: int, zn: int) -> None:
        put_v(cpu, vd, *(_last_lane(cpu, pg, zn, t, after) or (0, ones(BITS[t]))))

    return run


def _conditional_r(after: bool) -> Semantic:
    """Without an active lane the register keeps its value, zero-extended."""

    def run(cpu: Cpu, rdn: int, t: int, pg: int, zm: int) -> None:
        lane = _last_lane(cpu, pg, zm, t, after)
        if lane is None:
            cpu.set_x(rdn, 0, ones(BITS[t]))
        elif _any_active(cpu, pg, t):
            cpu.set_x(rdn, *lane)
        else:
            value, mask = cpu.x(rdn)
            cpu.set_x(rdn, value & ones(BITS[t]), mask & ones(BITS[t]))

    return run


def _conditional_v(after: bool) -> Semantic:
    def run(cpu: Cpu, vdn: int, t: int, pg: int, zm: int) -> None:
        lane = _last_lane(cpu, pg, zm, t, after)
        if lane is None:
            put_v(cpu, vdn, 0, ones(BITS[t]))
        elif _any_active(cpu, pg, t):
            put_v(cpu, vdn, *lane)
        else:
            put_v(cpu, vdn, *cpu.v(vdn, 1 << t))

    return run


def _conditional_z(after: bool) -> Semantic:
    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        lane = _last_lane(cpu, pg, zm, t, after)
        if lane is None:
            cpu.set_z(zdn, 0, ones(cpu.vl * 8))
        elif _any_active(cpu, pg, t):
            put_z(cpu, zdn, repeat(cpu, lane[0], t), repeat(cpu, lane[1], t))
        else:
            put_z(cpu, zdn, *cpu.z(zdn))

    return run


for _after, _letter in ((True, "a"), (False, "b")):
    SEMANTICS[f"last{_letter}_r"] = _last_r(_after)
    SEMANTICS[f"last{_letter}_v"] = _last_v(_after)
    SEMANTICS[f"clast{_letter}_r"] = _conditional_r(_after)
    SEMANTICS[f"clast{_letter}_v"] = _conditional_v(_after)
    SEMANTICS[f"clast{_letter}_z"] = _conditional_z(_after)


def _rearrange(name: str) -> Semantic:
    f = REARRANGE[name]

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        mask = join_lanes(f(split(ma, vl, t), split(mb, vl, t))) if ma | mb else 0
        cpu.set_z(zd, join_lanes(f(split(a, vl, t), split(b, vl, t))), mask)

    return run


def _quadwords(value: int, vl: int) -> Array:
    """An even number of 16-byte rows."""
    return split(value, vl, 0).reshape(-1, 16)[: vl // 32 * 2]


def _rearrange_q(name: str) -> Semantic:
    """Of 128-bit elements: undefined at VL 128; an odd last quadword becomes zero."""
    f = REARRANGE[name]

    def run(cpu: Cpu, zd: int, zn: int, zm: int) -> None:
        (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        if vl < 32:
            raise GuestException(UNDEFINED)
        mask = join_lanes(f(_quadwords(ma, vl), _quadwords(mb, vl))) if ma | mb else 0
        cpu.set_z(zd, join_lanes(f(_quadwords(a, vl), _quadwords(b, vl))), mask)

    return run


for _name in REARRANGE:
    SEMANTICS[f"{_name}_zz"] = _rearrange(_name)
    SEMANTICS[f"{_name}_q"] = _rearrange_q(_name)


@semantic("rev_z")
def rev(cpu: Cpu, zd: int, t: int, zn: int) -> None:
    value, mask = (join_lanes(split(bits, cpu.vl, t)[::-1]) if bits else 0 for bits in cpu.z(zn))
    cpu.set_z(zd, value, mask)


def lookup(table: Array, indices: Array, otherwise: Array) -> Array:
    """table[index] per lane, and `otherwise` where the index is past its end."""
    inside = indices < len(table)
    return np.where(inside, table[np.where(inside, indices, 0)], otherwise)


def _table(count: int, extension: bool) -> Semantic:
    """TBL with `count` table registers, TBX."""

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        vl = cpu.vl
        parts = [cpu.z((zn + i) % 32) for i in range(count)]
        (index, index_mask), old = cpu.z(zm), cpu.z(zd) if extension else (0, 0)
        indices = split(index, vl, t).astype(np.uint64)

        def pick(which: int) -> int:
            table = np.concatenate([split(part[which], vl, t) for part in parts])
            return join_lanes(lookup(table, indices, split(old[which], vl, t)))

        dirty = index_mask or old[1] or any(part[1] for part in parts)
        mask = pick(1) | spread(index_mask, vl, t) if dirty else 0
        put_z(cpu, zd, pick(0), mask)

    return run


SEMANTICS["tbl_zz"] = _table(1, False)
SEMANTICS["tbl_zz2"] = _table(2, False)
SEMANTICS["tbx_zz"] = _table(1, True)


def _unpack(is_signed: bool, high: bool) -> Semantic:
    def run(cpu: Cpu, zd: int, t: int, zn: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl

        def widen(bits: int) -> int:
            lanes = split(bits, vl, t - 1)
            half = lanes[len(lanes) // 2 :] if high else lanes[: len(lanes) // 2]
            return join_lanes(
                signed(half, t - 1).astype(SINT[t]) if is_signed else half.astype(UINT[t])
            )

        put_z(cpu, zd, widen(a), widen(ma) if ma else 0)

    return run


for _signed, _letter in ((True, "s"), (False, "u")):
    SEMANTICS[f"{_letter}unpklo"] = _unpack(_signed, False)
    SEMANTICS[f"{_letter}unpkhi"] = _unpack(_signed, True)


def _extract(cpu: Cpu, zd: int, low: tuple[int, int], high: tuple[int, int], imm: int) -> None:
    """VL bytes from byte `imm` of high:low; positions past the end count as zero."""
    vl = cpu.vl
    at = 8 * (imm if imm < vl else 0)
    value, mask = ((h << vl * 8 | lo) >> at & ones(vl * 8) for h, lo in zip(high, low, strict=True))
    put_z(cpu, zd, value, mask)


@semantic("ext_zz")
def ext(cpu: Cpu, zdn: int, zm: int, imm: int) -> None:
    _extract(cpu, zdn, cpu.z(zdn), cpu.z(zm), imm)


@semantic("ext_zz2")
def ext2(cpu: Cpu, zd: int, zn: int, imm: int) -> None:
    _extract(cpu, zd, cpu.z(zn), cpu.z((zn + 1) % 32), imm)


def _splice(cpu: Cpu, zd: int, t: int, pg: int, a: tuple[int, int], b: tuple[int, int]) -> None:
    """The lanes of a from its first to its last active one, then lanes of b."""
    lanes, vl = every(cpu.vl, t), cpu.vl
    chosen, unknown = cpu.p(pg)
    if unknown & lanes:
        cpu.set_z(zd, 0, ones(vl * 8))
        return
    chosen &= lanes
    if not chosen:
        put_z(cpu, zd, *b)
        return
    first = (chosen & -chosen).bit_length() - 1
    size = chosen.bit_length() - 1 + (1 << t) - first
    value, mask = (
        (x >> 8 * first & ones(8 * size) | y << 8 * size) & ones(8 * vl)
        for x, y in zip(a, b, strict=True)
    )
    put_z(cpu, zd, value, mask)


@semantic("splice_zz")
def splice(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
    _splice(cpu, zdn, t, pg, cpu.z(zdn), cpu.z(zm))


@semantic("splice_zz2")
def splice2(cpu: Cpu, zd: int, t: int, pg: int, zn: int) -> None:
    _splice(cpu, zd, t, pg, cpu.z(zn), cpu.z((zn + 1) % 32))


@semantic("compact")
def compact(cpu: Cpu, zd: int, t: int, pg: int, zn: int) -> None:
    chosen, unknown = cpu.p(pg)
    vl = cpu.vl
    if unknown & every(vl, t):
        cpu.set_z(zd, 0, ones(vl * 8))
        return
    picked = flags(chosen, vl, t).view(bool)
    value, mask = (join_lanes(split(x, vl, t)[picked]) if x else 0 for x in cpu.z(zn))
    cpu.set_z(zd, value, mask)


@semantic("adr_lsl")
def adr(cpu: Cpu, zd: int, t: int, zn: int, zm: int, shift: int) -> None:
    (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
    value = split(a, vl, t) + (split(b, vl, t) << UINT[t].type(shift))
    put_z(cpu, zd, join_lanes(value), spread(ma | mb, vl, t))


@semantic("adr_ext")
def adr_ext(cpu: Cpu, zd: int, zn: int, zm: int, unsigned_: int, shift: int) -> None:
    (a, ma), (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
    low = split(b, vl, 3).astype(UINT[2])
    offset = low.astype(UINT[3]) if unsigned_ else low.view(SINT[2]).astype(SINT[3]).view(UINT[3])
    value = split(a, vl, 3) + (offset << UINT[3].type(shift))
    put_z(cpu, zd, join_lanes(value), spread(ma | mb, vl, 3))
