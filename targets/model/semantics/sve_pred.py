"""SVE predicates. A predicate is an int with one bit per byte of a vector; an element of
2**t bytes uses the lowest of its 2**t bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.model.cpu import U64, Cpu, load_ffr
from targets.model.semantics.intops import saturate, small
from targets.model.semantics.lanes import (
    UINT,
    Array,
    every,
    join_lanes,
    ones,
    predicate_test,
    put_p,
    put_z,
    split,
    spread,
)
from targets.model.semantics.permute import REARRANGE
from targets.model.semantics.registry import SEMANTICS, Semantic, semantic
from targets.model.semantics.system import carry_mask
from targets.model.semantics.vl import pattern_count

Pred = tuple[int, int]

_LOGIC: dict[str, Callable[[int, int], int]] = {
    "and": lambda n, m: n & m,
    "bic": lambda n, m: n & ~m,
    "eor": lambda n, m: n ^ m,
    "orr": lambda n, m: n | m,
    "orn": lambda n, m: n | ~m,
    "nor": lambda n, m: ~(n | m),
    "nand": lambda n, m: ~(n & m),
}


def _logic(name: str, sets_flags: bool) -> Semantic:
    f = _LOGIC[name]

    def run(cpu: Cpu, pd: int, pg: int, pn: int, pm: int) -> None:
        g, (n, mn), (m, mm) = cpu.p(pg), cpu.p(pn), cpu.p(pm)
        mask = (mn | mm) & (g[0] | g[1]) | g[1]
        result = (f(n, m) & g[0] & ~mask, mask)
        put_p(cpu, pd, *result)
        if sets_flags:
            predicate_test(cpu, g, result, 0)

    return run


for _name in _LOGIC:
    SEMANTICS[f"{_name}_p"] = _logic(_name, False)
    SEMANTICS[f"{_name}s_p"] = _logic(_name, True)


@semantic("sel_p")
def sel(cpu: Cpu, pd: int, pg: int, pn: int, pm: int) -> None:
    (g, mg), (n, mn), (m, mm) = cpu.p(pg), cpu.p(pn), cpu.p(pm)
    put_p(cpu, pd, n & g | m & ~g, mn & g | mm & ~g | mg)


def _ptrue(cpu: Cpu, t: int, pattern: int) -> int:
    count = pattern_count(pattern, cpu.vl >> t)
    return every(cpu.vl, t) & ones(count << t)


@semantic("ptrue")
def ptrue(cpu: Cpu, pd: int, t: int, pat: int) -> None:
    cpu.set_p(pd, _ptrue(cpu, t, pat))


@semantic("ptrues")
def ptrues(cpu: Cpu, pd: int, t: int, pat: int) -> None:
    value = _ptrue(cpu, t, pat)
    cpu.set_p(pd, value)
    predicate_test(cpu, (value, 0), (value, 0), t)


@semantic("pfalse")
def pfalse(cpu: Cpu, pd: int) -> None:
    cpu.set_p(pd, 0)


@semantic("ptest")
def ptest(cpu: Cpu, pg: int, pn: int) -> None:
    predicate_test(cpu, cpu.p(pg), cpu.p(pn), 0)


@semantic("pfirst")
def pfirst(cpu: Cpu, pdn: int, pg: int) -> None:
    (g, mg), (n, mn) = cpu.p(pg), cpu.p(pdn)
    if mg:
        result = (n, (mn | g | mg) & ~n)
    else:
        first = g & -g
        result = (n | first, mn & ~first)
    put_p(cpu, pdn, *result)
    predicate_test(cpu, (g, mg), result, 0)


@semantic("pnext")
def pnext(cpu: Cpu, pdn: int, t: int, pg: int) -> None:
    lanes = every(cpu.vl, t)
    (g, mg), (n, mn) = cpu.p(pg), cpu.p(pdn)
    if (mg | mn) & lanes:
        result = (0, lanes)
    else:
        past = (1 << (n & lanes).bit_length()) - 1
        left = g & lanes & ~past
        result = (left & -left, 0)
    put_p(cpu, pdn, *result)
    predicate_test(cpu, (g, mg), result, t)


@semantic("rdffr")
def rdffr(cpu: Cpu, pd: int) -> None:
    put_p(cpu, pd, *cpu.ffr())


def _rdffr(cpu: Cpu, pd: int, pg: int) -> tuple[Pred, Pred]:
    g, (f, mf) = cpu.p(pg), cpu.ffr()
    mask = mf & (g[0] | g[1]) | g[1] & f
    result = (f & g[0] & ~mask, mask)
    put_p(cpu, pd, *result)
    return g, result


@semantic("rdffr_p")
def rdffr_p(cpu: Cpu, pd: int, pg: int) -> None:
    _rdffr(cpu, pd, pg)


@semantic("rdffrs_p")
def rdffrs_p(cpu: Cpu, pd: int, pg: int) -> None:
    predicate_test(cpu, *_rdffr(cpu, pd, pg), 0)


@semantic("wrffr")
def wrffr(cpu: Cpu, pn: int) -> None:
    cpu.set_ffr(*load_ffr((cpu.p(pn),), cpu.vl)[0])


@semantic("setffr")
def setffr(cpu: Cpu) -> None:
    cpu.set_ffr(ones(cpu.vl))


def _break(g: int, n: int, after: bool, vl: int) -> int:
    """Active elements up to the first active true one of n, including it if `after`."""
    first = g & n & -(g & n)
    upto = first - 1 if first else ones(vl)
    return g & (upto | first if after else upto)


def _brk(after: bool, merging: bool, sets_flags: bool) -> Semantic:
    def run(cpu: Cpu, pd: int, pg: int, pn: int) -> None:
        (g, mg), (n, mn) = cpu.p(pg), cpu.p(pn)
        if mg | mn & g:
            result: Pred = (0, ones(cpu.vl))
        else:
            value, mask = _break(g, n, after, cpu.vl), 0
            if merging:
                old, mask = cpu.p(pd)
                value, mask = value | old & ~g, mask & ~g
            result = (value, mask)
        put_p(cpu, pd, *result)
        if sets_flags:
            predicate_test(cpu, (g, mg), result, 0)

    return run


for _after, _name in ((True, "brka"), (False, "brkb")):
    SEMANTICS[f"{_name}_z"] = _brk(_after, False, False)
    SEMANTICS[f"{_name}s_z"] = _brk(_after, False, True)
    SEMANTICS[f"{_name}_m"] = _brk(_after, True, False)


def _last_active(g: int, n: int) -> bool:
    """Whether the last active element of n is true; false if none is active."""
    return bool(g and n >> g.bit_length() - 1 & 1)


def _brkn(sets_flags: bool) -> Semantic:
    def run(cpu: Cpu, pdm: int, pg: int, pn: int) -> None:
        (g, mg), (n, mn), m = cpu.p(pg), cpu.p(pn), cpu.p(pdm)
        kept = m if _last_active(g, n) else (0, 0)
        result = (0, m[0] | m[1]) if mg | mn & g else kept
        put_p(cpu, pdm, *result)
        if sets_flags:
            predicate_test(cpu, (ones(cpu.vl), 0), result, 0)

    return run


def _brkp(after: bool, sets_flags: bool) -> Semantic:
    def run(cpu: Cpu, pd: int, pg: int, pn: int, pm: int) -> None:
        (g, mg), (n, mn), (m, mm) = cpu.p(pg), cpu.p(pn), cpu.p(pm)
        if mg | (mn | mm) & g:
            result = (0, g | mg)
        else:
            result = (_break(g, m, after, cpu.vl) if _last_active(g, n) else 0, 0)
        put_p(cpu, pd, *result)
        if sets_flags:
            predicate_test(cpu, (g, mg), result, 0)

    return run


SEMANTICS["brkn"], SEMANTICS["brkns"] = _brkn(False), _brkn(True)
for _after, _name in ((True, "brkpa"), (False, "brkpb")):
    SEMANTICS[_name] = _brkp(_after, False)
    SEMANTICS[f"{_name}s"] = _brkp(_after, True)


def _rows(bits: int, vl: int, t: int) -> Array:
    """A predicate's bits, one row of 2**t bits per element."""
    raw = np.frombuffer(bits.to_bytes(vl + 7 >> 3, "little"), np.uint8)
    return np.unpackbits(raw, bitorder="little")[:vl].reshape(-1, 1 << t)


def _from_rows(rows: Array) -> int:
    packed = np.packbits(rows.reshape(-1), bitorder="little")
    return int.from_bytes(packed.tobytes(), "little")


def _permute(name: str) -> Semantic:
    f = REARRANGE[name]

    def run(cpu: Cpu, pd: int, t: int, pn: int, pm: int) -> None:
        vl = cpu.vl
        (n, mn), (m, mm) = cpu.p(pn), cpu.p(pm)
        mask = _from_rows(f(_rows(mn, vl, t), _rows(mm, vl, t))) if mn | mm else 0
        cpu.set_p(pd, _from_rows(f(_rows(n, vl, t), _rows(m, vl, t))), mask)

    return run


for _name in REARRANGE:
    SEMANTICS[f"{_name}_p"] = _permute(_name)


@semantic("rev_p")
def rev(cpu: Cpu, pd: int, t: int, pn: int) -> None:
    value, mask = (_from_rows(_rows(bits, cpu.vl, t)[::-1]) if bits else 0 for bits in cpu.p(pn))
    cpu.set_p(pd, value, mask)


def _unpack(high: bool) -> Semantic:
    def run(cpu: Cpu, pd: int, pn: int) -> None:
        vl = cpu.vl
        out = []
        for bits in cpu.p(pn):
            half = _rows(bits, vl, 0)[vl // 2 :] if high else _rows(bits, vl, 0)[: vl // 2]
            out.append(_from_rows(np.hstack((half, np.zeros_like(half)))))
        cpu.set_p(pd, *out)

    return run


SEMANTICS["punpklo"], SEMANTICS["punpkhi"] = _unpack(False), _unpack(True)


def _while_count(kind: str, a: int, b: int, bits: int, elements: int) -> int:
    """How many elements of the loop predicate are true (Arm ARM, WHILExx)."""
    is_signed = kind in ("lt", "le", "gt", "ge")
    if is_signed:
        half = 1 << bits - 1
        a, b = (a ^ half) - half, (b ^ half) - half
    lowest = -(1 << bits - 1) if is_signed else 0
    highest = lowest + (1 << bits) - 1
    if kind in ("lt", "lo"):
        count = b - a
    elif kind in ("gt", "hi"):
        count = a - b
    elif kind in ("le", "ls"):
        count = elements if b == highest else b - a + 1
    else:
        count = elements if b == lowest else a - b + 1
    return min(max(count, 0), elements)


def _while(kind: str, bits: int) -> Semantic:
    downwards = kind in ("gt", "ge", "hi", "hs")

    def run(cpu: Cpu, pd: int, t: int, rn: int, rm: int) -> None:
        (a, ma), (b, mb), vl = cpu.x(rn), cpu.x(rm), cpu.vl
        keep = ones(bits)
        if (ma | mb) & keep:
            _put_tested(cpu, pd, (0, every(vl, t)), t)
            return
        count = _while_count(kind, a & keep, b & keep, bits, vl >> t)
        chosen = ones(count << t)
        if downwards:
            chosen <<= vl - (count << t)
        _put_tested(cpu, pd, (chosen & every(vl, t), 0), t)

    return run


def _put_tested(cpu: Cpu, pd: int, result: Pred, t: int) -> None:
    put_p(cpu, pd, *result)
    predicate_test(cpu, (ones(cpu.vl), 0), result, t)


for _kind in ("lt", "le", "lo", "ls", "gt", "ge", "hi", "hs"):
    SEMANTICS[f"while{_kind}_x"] = _while(_kind, 64)
    SEMANTICS[f"while{_kind}_w"] = _while(_kind, 32)


def _while_conflict(read_first: bool) -> Semantic:
    """WHILERW, WHILEWR: elements between two addresses without a dependence."""

    def run(cpu: Cpu, pd: int, t: int, rn: int, rm: int) -> None:
        (a, ma), (b, mb), vl = cpu.x(rn), cpu.x(rm), cpu.vl
        if ma | mb:
            _put_tested(cpu, pd, (0, every(vl, t)), t)
            return
        distance = (abs(b - a) if read_first else max(b - a, 0)) >> t
        count = distance or vl >> t
        _put_tested(cpu, pd, (every(vl, t) & ones(min(count, vl) << t), 0), t)

    return run


SEMANTICS["whilerw_x"], SEMANTICS["whilewr_x"] = _while_conflict(True), _while_conflict(False)


def _cterm(equal: bool, bits: int) -> Semantic:
    """N: the loop ends; otherwise V is the inverse of C."""

    def run(cpu: Cpu, rn: int, rm: int) -> None:
        (a, ma), (b, mb), keep = cpu.x(rn), cpu.x(rm), ones(bits)
        nzcv, unknown = cpu.nzcv()
        if (ma | mb) & keep:
            cpu.set_nzcv(nzcv & 0b0110, unknown & 0b0110 | 0b1001)
        elif ((a ^ b) & keep == 0) == equal:
            cpu.set_nzcv(nzcv & 0b0110 | 0b1000, unknown & 0b0110)
        else:
            carry_unknown = unknown >> 1 & 1
            v = 0 if carry_unknown else ~nzcv >> 1 & 1
            cpu.set_nzcv(nzcv & 0b0110 | v, unknown & 0b0110 | carry_unknown)

    return run


for _bits, _suffix in ((64, "_x"), (32, "_w")):
    SEMANTICS["ctermeq" + _suffix] = _cterm(True, _bits)
    SEMANTICS["ctermne" + _suffix] = _cterm(False, _bits)


def _count(cpu: Cpu, bits: Pred, t: int) -> int | None:
    """True elements, None if not known."""
    lanes = every(cpu.vl, t)
    return None if bits[1] & lanes else (bits[0] & lanes).bit_count()


@semantic("cntp")
def cntp(cpu: Cpu, xd: int, pg: int, pn: int, t: int) -> None:
    (g, mg), (n, mn) = cpu.p(pg), cpu.p(pn)
    count = _count(cpu, (g & n, mg & (n | mn) | mn & g), t)
    if count is None:
        cpu.set_x(xd, 0, ones(9))
    else:
        cpu.set_x(xd, count)


def step_x(cpu: Cpu, rd: int, delta: int, kind: str, bits: int) -> None:
    """Add `delta` to a general register; kind: '' wraps, 'sq' and 'uq' saturate.

    32-bit results are sign-extended (sq) or zero-extended (uq).
    """
    value, mask = cpu.x(rd)
    if mask:
        cpu.set_x(rd, value + delta if not kind else 0, U64 if kind else carry_mask(mask))
        return
    if kind == "sq":
        half = 1 << bits - 1
        number = ((value & ones(bits)) ^ half) - half
        cpu.set_x(rd, min(max(number + delta, -half), half - 1) & U64)
    elif kind == "uq":
        cpu.set_x(rd, min(max((value & ones(bits)) + delta, 0), ones(bits)))
    else:
        cpu.set_x(rd, value + delta & U64)


def step_z(cpu: Cpu, zd: int, t: int, delta: int, kind: str) -> None:
    """Add `delta` to every lane of a vector."""
    (a, ma), vl = cpu.z(zd), cpu.vl
    lanes = split(a, vl, t)
    total = small(lanes, t, negative=kind == "sq") + delta
    if kind:
        result = saturate(total, t, negative=kind == "sq")[0]
    else:
        result = lanes + UINT[t].type(delta & ones(8 << t))
    put_z(cpu, zd, join_lanes(result), spread(ma, vl, t))


def _incp(kind: str, sign: int, bits: int) -> Semantic:
    def run(cpu: Cpu, rd: int, pm: int, t: int) -> None:
        count = _count(cpu, cpu.p(pm), t)
        if count is None:
            cpu.set_x(rd, 0, U64)
        else:
            step_x(cpu, rd, sign * count, kind, bits)

    return run


def _incp_z(kind: str, sign: int) -> Semantic:
    def run(cpu: Cpu, zd: int, pm: int, t: int) -> None:
        count = _count(cpu, cpu.p(pm), t)
        if count is None:
            cpu.set_z(zd, 0, ones(8 * cpu.vl))
        else:
            step_z(cpu, zd, t, sign * count, kind)

    return run


for _sign, _stem in ((1, "incp"), (-1, "decp")):
    for _kind in ("", "sq", "uq"):
        SEMANTICS[f"{_kind}{_stem}_x"] = _incp(_kind, _sign, 64)
        SEMANTICS[f"{_kind}{_stem}_z"] = _incp_z(_kind, _sign)
        if _kind:
            SEMANTICS[f"{_kind}{_stem}_w"] = _incp(_kind, _sign, 32)
