"""SVE2.1 instructions on pairs of predicates, and on predicates as counters."""

from __future__ import annotations

from targets.spec.cpu import Cpu
from targets.spec.semantics.counter import decoded, encoded
from targets.spec.semantics.lanes import every, ones, put_p
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_loop import while_count

_COUNTER = ones(16)
_W = ones(32)


@semantic("psel")
def psel(cpu: Cpu, pd: int, pn: int, pm: int, t: int, wv: int, imm: int) -> None:
    """pn, where the element of pm that a register and a number name is true; else nothing."""
    (n, mn), (m, mm), (index, unknown), vl = cpu.p(pn), cpu.p(pm), cpu.x(wv), cpu.vl
    lanes = every(vl, t)
    if unknown & _W:
        certain, maybe = not (m | mm) & lanes, True
        taken = not certain
    else:
        at = ((index & _W) + imm) % (vl >> t) << t
        taken, maybe = bool((m | mm) >> at & 1), bool(mm >> at & 1)
    if not taken:
        cpu.set_p(pd, 0)
    elif maybe:
        put_p(cpu, pd, 0, n | mn)
    else:
        put_p(cpu, pd, n, mn)


def _part(mask: int, vl: int, t: int, portion: int) -> int:
    """One vector's elements of a counter's predicate."""
    return mask >> portion * vl & every(vl, t)


def _extract(cpu: Cpu, pd: int, t: int, pn: int, portions: tuple[int, ...]) -> None:
    value, unknown = cpu.p(pn)
    mask = decoded(value, cpu.vl)
    for n, portion in enumerate(portions):
        if unknown & _COUNTER:
            cpu.set_p((pd + n) % 16, 0, every(cpu.vl, t))
        else:
            cpu.set_p((pd + n) % 16, _part(mask, cpu.vl, t, portion))


@semantic("pext")
def pext(cpu: Cpu, pd: int, t: int, pn: int, portion: int) -> None:
    _extract(cpu, pd, t, pn, (portion,))


@semantic("pext_pair")
def pext_pair(cpu: Cpu, pd: int, t: int, pn: int, portion: int) -> None:
    _extract(cpu, pd, t, pn, (2 * portion, 2 * portion + 1))


@semantic("ptrue_pn")
def ptrue(cpu: Cpu, pn: int, t: int) -> None:
    elements = cpu.vl >> t
    cpu.set_p(pn, encoded(t, elements, elements))


@semantic("cntp_pn")
def cntp(cpu: Cpu, xd: int, pn: int, t: int, vectors: int) -> None:
    value, unknown = cpu.p(pn)
    if unknown & _COUNTER:
        cpu.set_x(xd, 0, ones(11))
        return
    size = vectors * cpu.vl
    cpu.set_x(xd, (decoded(value, cpu.vl) & every(size, t)).bit_count())


_DOWNWARDS = ("gt", "ge", "hi", "hs")


def _while_counter(kind: str) -> Semantic:
    downwards = kind in _DOWNWARDS

    def run(cpu: Cpu, pn: int, t: int, xn: int, xm: int, vectors: int) -> None:
        (a, ma), (b, mb), elements = cpu.x(xn), cpu.x(xm), vectors * cpu.vl >> t
        if ma | mb:
            cpu.set_p(pn, 0, _COUNTER)
            cpu.set_nzcv(0, 0b1110)
            return
        count = while_count(kind, a, b, 64, elements)
        cpu.set_p(pn, encoded(t, elements, count, last=downwards))
        _test_count(cpu, elements, count, downwards)

    return run


def _test_count(cpu: Cpu, elements: int, count: int, last: bool) -> None:
    """Flags as of a predicate (Arm ARM, PredCountTest)."""
    first_active = count == elements if last else count > 0
    last_active = count > 0 if last else count == elements
    cpu.set_nzcv(8 * first_active | 4 * (not count) | 2 * (not last_active))


def _while_pair(kind: str) -> Semantic:
    downwards = kind in _DOWNWARDS

    def run(cpu: Cpu, pd: int, t: int, xn: int, xm: int) -> None:
        (a, ma), (b, mb), vl = cpu.x(xn), cpu.x(xm), cpu.vl
        size = 2 * vl
        if ma | mb:
            for n in (pd, pd + 1):
                cpu.set_p(n, 0, every(vl, t))
            cpu.set_nzcv(0, 0b1110)
            return
        count = while_count(kind, a, b, 64, size >> t)
        chosen = ones(count << t)
        if downwards:
            chosen <<= size - (count << t)
        chosen &= every(size, t)
        cpu.set_p(pd, chosen & ones(vl))
        cpu.set_p(pd + 1, chosen >> vl)
        _test_count(cpu, size >> t, count, downwards)

    return run


for _kind in ("lt", "le", "lo", "ls", *_DOWNWARDS):
    SEMANTICS[f"while{_kind}_pn"] = _while_counter(_kind)
    SEMANTICS[f"while{_kind}_pair"] = _while_pair(_kind)
