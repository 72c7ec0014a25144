"""SVE predicates. A predicate is an int with one bit per byte of a vector; an element of
2**t bytes uses the lowest of its 2**t bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from targets.spec.cpu import Cpu, load_ffr
from targets.spec.semantics.lanes import Array, every, ones, predicate_test, put_p
from targets.spec.semantics.permute import REARRANGE
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.vl import pattern_count

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
