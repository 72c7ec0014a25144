"""SVE loop control: WHILExx, CTERMxx, and counting true predicate elements."""

from __future__ import annotations

from targets.spec.cpu import U64, Cpu
from targets.spec.semantics.intops import saturate, small
from targets.spec.semantics.lanes import (
    UINT,
    every,
    join_lanes,
    ones,
    predicate_test,
    put_p,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.sve_pred import Pred
from targets.spec.semantics.system import carry_mask


def while_count(kind: str, a: int, b: int, bits: int, elements: int) -> int:
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
        count = while_count(kind, a & keep, b & keep, bits, vl >> t)
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
        distance = abs(b - a) if read_first else max(b - a, 0)
        if 0 < distance < 1 << t:
            # The manual's rounded division says all elements, QEMU 7.2 says none.
            _put_tested(cpu, pd, (0, every(vl, t)), t)
            return
        count = distance >> t or vl >> t
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
