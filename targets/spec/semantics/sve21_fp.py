"""SVE2.1 instructions on floating-point numbers."""

from __future__ import annotations

from functools import lru_cache

from targets.spec.cpu import Cpu
from targets.spec.semantics import softconvert, softfloat
from targets.spec.semantics.fp import from_list, run_lanes, tree
from targets.spec.semantics.fpbf16 import two_products
from targets.spec.semantics.fpops import FLAGS, TWO, arithmetic
from targets.spec.semantics.lanes import BITS, governing, in_segments, put_v, put_z, split
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.softfloat import (
    CACHE,
    QNAN,
    SNAN,
    Result,
    unpack,
)
from targets.spec.semantics.sve21 import unknown_columns
from targets.spec.semantics.sve_fpwide import identity

_HALF, _SINGLE = 1, 2


def _across(name: str) -> Semantic:
    """vd, t, pg, zn: as the reduction of a whole vector, of the elements at each place."""
    f, whole = TWO[name.removesuffix("qv")], name.removesuffix("qv") + "v"

    def run(cpu: Cpu, vd: int, t: int, pg: int, zn: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        ctl = arithmetic(cpu)
        chosen, maybe = governing(cpu, pg, t)
        mask = unknown_columns(ma & chosen | maybe, vl, t)
        if mask:
            cpu.raise_fpsr(0, FLAGS)
        lanes, use = split(a, vl, t).tolist(), split(chosen, vl, t).tolist()
        unknown = split(mask, 16, t).tolist()
        fill, per = identity(whole, t, ctl), 16 >> t
        out, raised = [], 0
        for place in range(per):
            if unknown[place]:
                out.append(0)
                continue
            column = [
                lane if on else fill
                for lane, on in zip(lanes[place::per], use[place::per], strict=True)
            ]
            column += [fill] * ((1 << (len(column) - 1).bit_length()) - len(column))
            value, flags = tree(f, column, t, ctl)
            out.append(value)
            raised |= flags
        cpu.raise_fpsr(raised)
        put_v(cpu, vd, from_list(out, t), mask)

    return run


for _name in ("faddqv", "fmaxnmqv", "fminnmqv", "fmaxqv", "fminqv"):
    SEMANTICS[_name] = _across(_name)


def _clamped(old: int, low: int, high: int, t: int, ctl: int) -> Result:
    raised, first = TWO["fmaxnm"](low, old, t, ctl)
    limited, second = TWO["fminnm"](raised, high, t, ctl)
    return limited, first | second


@semantic("fclamp")
def fclamp(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
    """zd, but at least zn, and of that at most zm."""
    rest = (t, arithmetic(cpu))
    operands = (cpu.z(zd), cpu.z(zn), cpu.z(zm))
    put_z(cpu, zd, *run_lanes(cpu, _clamped, operands, cpu.vl, t, rest))


@lru_cache(CACHE)
def _sum_of_products(a: int, b: int, ctl: int) -> Result:
    """Two pairs of half-precision numbers: the sum of both products, rounded once to single
    precision (Arm ARM, FPDot)."""
    bits = (a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16)
    numbers = [unpack(x, _HALF, ctl) for x in bits]
    kinds = [kind for kind, *_ in numbers]
    for wanted in (SNAN, QNAN):
        if wanted in kinds:
            return softconvert.convert(bits[kinds.index(wanted)], _HALF, _SINGLE, ctl, None)
    a0, a1, b0, b1 = numbers
    return two_products((a0, b0), (a1, b1), ctl)


def _dot(acc: int, a: int, b: int, ctl: int) -> Result:
    product, first = _sum_of_products(a, b, ctl)
    total, second = softfloat.add(acc, product, _SINGLE, ctl)
    return total, first | second


@semantic("fdot_zhh")
def fdot(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
    rest = (arithmetic(cpu),)
    operands = (cpu.z(zda), cpu.z(zn), cpu.z(zm))
    put_z(cpu, zda, *run_lanes(cpu, _dot, operands, cpu.vl, _SINGLE, rest))


@semantic("fdot_zhhx")
def fdot_by_element(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
    rest = (arithmetic(cpu),)
    pair = in_segments(cpu.z(zm), cpu.vl, BITS[_SINGLE], index)
    operands = (cpu.z(zda), cpu.z(zn), pair)
    put_z(cpu, zda, *run_lanes(cpu, _dot, operands, cpu.vl, _SINGLE, rest))
