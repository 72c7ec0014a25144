"""SVE floating point. Inactive lanes compute nothing and raise no flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics import fpsteps, softfloat
from targets.spec.semantics.fp import from_list, run_lanes
from targets.spec.semantics.fpcomplex import factors, turned
from targets.spec.semantics.fpimm import fp_bits
from targets.spec.semantics.fpops import (
    FLAGS,
    FMA,
    ONE,
    TWO,
    arithmetic,
    comparing,
    control_for,
    fused,
    over_lanes,
    silent,
)
from targets.spec.semantics.lanes import (
    BITS,
    governing,
    merge,
    ones,
    predicate,
    put_p,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.registry import SEMANTICS, Semantic, semantic
from targets.spec.semantics.softfloat import AH, Result, negate, one
from targets.spec.semantics.sve_dot import by_segment
from targets.spec.semantics.sve_perm import repeat

Bits = tuple[int, int]


def merging(
    cpu: Cpu,
    f: Callable[..., Result],
    operands: Sequence[Bits],
    t: int,
    rest: tuple[int, ...],
    pg: int,
    old: Bits,
) -> Bits:
    """f over the active lanes of some registers, `old` in the others."""
    vl = cpu.vl
    chosen, maybe = governing(cpu, pg, t)
    dirty = maybe
    for _, mask in operands:
        dirty |= mask & chosen
    taint = spread(dirty, vl, t)
    if taint:
        cpu.raise_fpsr(0, FLAGS)
    skip = (split(chosen & ~taint, vl, t) == 0).tolist()
    columns = [split(value, vl, t).tolist() for value, _ in operands]
    new = from_list(over_lanes(cpu, f, columns, rest, skip), t)
    value, mask = merge((new, 0), old, chosen, 0)
    return value & ~taint, mask | taint


def _unpredicated(form: Form) -> None:
    name = form.mnemonic
    f = TWO[name]

    def run(cpu: Cpu, zd: int, t: int, zn: int, zm: int) -> None:
        rest = (t, control_for(cpu, name))
        put_z(cpu, zd, *run_lanes(cpu, f, (cpu.z(zn), cpu.z(zm)), cpu.vl, t, rest))

    SEMANTICS[form.name] = run


def _predicated(form: Form) -> None:
    name = form.mnemonic
    f = TWO[name]

    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        old = cpu.z(zdn)
        rest = (t, arithmetic(cpu))
        put_z(cpu, zdn, *merging(cpu, f, (old, cpu.z(zm)), t, rest, pg, old))

    SEMANTICS[form.name] = run


def _pairwise(form: Form) -> None:
    """faddp and kin: even results from pairs of zdn, odd ones from pairs of zm."""
    f = TWO[form.mnemonic.removesuffix("p")]

    def run(cpu: Cpu, zdn: int, t: int, pg: int, zm: int) -> None:
        old, other, vl = cpu.z(zdn), cpu.z(zm), cpu.vl
        rest = (t, arithmetic(cpu))
        if old[1] | other[1]:
            cpu.raise_fpsr(0, FLAGS)
            cpu.set_z(zdn, 0, ones(8 * vl))
            return
        x, y = (split(value, vl, t).tolist() for value, _ in (old, other))
        first = [lane for pair in zip(x[0::2], y[0::2], strict=True) for lane in pair]
        second = [lane for pair in zip(x[1::2], y[1::2], strict=True) for lane in pair]
        operands = [(from_list(lanes, t), 0) for lanes in (first, second)]
        put_z(cpu, zdn, *merging(cpu, f, operands, t, rest, pg, old))

    SEMANTICS[form.name] = run


_HALF_TO_ONE = {"fadd", "fsub", "fsubr"}


def _constant(name: str, choice: int, t: int) -> int:
    """0.5 or 1 (sums), 0.5 or 2 (products), 0 or 1 (extremes)."""
    unit = 1 << softfloat.FRACTION[t]
    if name in _HALF_TO_ONE:
        return one(t) if choice else one(t) - unit
    if name == "fmul":
        return one(t) + unit if choice else one(t) - unit
    return one(t) if choice else 0


def _by_constant(form: Form) -> None:
    name = form.mnemonic
    f = TWO[name]

    def run(cpu: Cpu, zdn: int, t: int, pg: int, choice: int) -> None:
        old = cpu.z(zdn)
        constant = (repeat(cpu, _constant(name, choice, t), t), 0)
        rest = (t, arithmetic(cpu))
        put_z(cpu, zdn, *merging(cpu, f, (old, constant), t, rest, pg, old))

    SEMANTICS[form.name] = run


@semantic("ftmad")
def ftmad(cpu: Cpu, zdn: int, t: int, zm: int, index: int) -> None:
    ctl = arithmetic(cpu)

    def f(a: int, b: int) -> Result:
        return fpsteps.trig_multiply_add(a, b, index, t, ctl)

    put_z(cpu, zdn, *run_lanes(cpu, f, (cpu.z(zdn), cpu.z(zm)), cpu.vl, t, ()))


def _fused(form: Form) -> None:
    """fmla and kin (zda, t, pg, zn, zm), fmad and kin (zdn, t, pg, zm, za)."""
    f = fused(form.mnemonic)
    addend_last = form.operands[-1].name == "za"

    def run(cpu: Cpu, zd: int, t: int, pg: int, first: int, second: int) -> None:
        old, x, y = cpu.z(zd), cpu.z(first), cpu.z(second)
        operands = (y, old, x) if addend_last else (old, x, y)
        rest = (t, arithmetic(cpu))
        put_z(cpu, zd, *merging(cpu, f, operands, t, rest, pg, old))

    SEMANTICS[form.name] = run


def _fused_long(name: str) -> Semantic:
    """FMLALB and kin: single-precision sums of half-precision products."""
    top, minus = name[-1] == "t", name[3] == "s"

    def run(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
        old, (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        ctl = arithmetic(cpu)

        def f(acc: int, x: int, y: int) -> Result:
            x, y = (x >> 16, y >> 16) if top else (x & 0xFFFF, y & 0xFFFF)
            return fpsteps.multiply_add_long(acc, negate(x, 1, ctl) if minus else x, y, ctl)

        put_z(cpu, zda, *run_lanes(cpu, f, (old, (a, ma), (b, mb)), vl, 2, ()))

    return run


for _name in ("fmlalb", "fmlalt", "fmlslb", "fmlslt"):
    SEMANTICS[_name] = _fused_long(_name)


@semantic("fcadd_zpz")
def fcadd(cpu: Cpu, zdn: int, t: int, pg: int, zm: int, rot: int) -> None:
    """zdn plus zm, turned by a quarter or three."""
    old, (b, mb), vl = cpu.z(zdn), cpu.z(zm), cpu.vl
    rest = (t, arithmetic(cpu))
    swapped = turned(split(b, vl, t).tolist(), bool(rot), *rest)
    other = (from_list(swapped, t), spread(mb, vl, t + 1))
    put_z(cpu, zdn, *merging(cpu, softfloat.add, (old, other), t, rest, pg, old))


@semantic("fcmla_zpz")
def fcmla(cpu: Cpu, zda: int, t: int, pg: int, zn: int, zm: int, rot: int) -> None:
    """Complex multiply-add by some quarter turns."""
    old, (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
    rest = (t, arithmetic(cpu))
    first, second = factors(split(a, vl, t).tolist(), split(b, vl, t).tolist(), rot, *rest)
    taint = spread(ma | mb, vl, t + 1)
    operands = (old, (from_list(first, t), taint), (from_list(second, t), taint))
    put_z(cpu, zda, *merging(cpu, softfloat.multiply_add, operands, t, rest, pg, old))


def _by_element(form: Form) -> None:
    """fmla, fmls, fmul by one element of each 128 bits: zd, zn, zm, index."""
    t = "bhsd".index(form.name[-2])
    name = form.mnemonic
    f = fused(name) if name in FMA else TWO[name]

    def run(cpu: Cpu, zd: int, zn: int, zm: int, index: int) -> None:
        (b, mb), vl = cpu.z(zm), cpu.vl
        value = from_list(by_segment(split(b, vl, t), t, index).tolist(), t)
        operands = [cpu.z(zn), (value, spread(mb, vl, 4))]
        if name in FMA:
            operands.insert(0, cpu.z(zd))
        put_z(cpu, zd, *run_lanes(cpu, f, operands, vl, t, (t, arithmetic(cpu))))

    SEMANTICS[form.name] = run


def _compare(form: Form) -> None:
    """With a vector, or with zero."""
    f = comparing(form.mnemonic)

    def run(cpu: Cpu, pd: int, t: int, pg: int, zn: int, zm: int | None = None) -> None:
        vl = cpu.vl
        other = (0, 0) if zm is None else cpu.z(zm)
        rest = (t, arithmetic(cpu))
        value, mask = merging(cpu, f, (cpu.z(zn), other), t, rest, pg, (0, 0))
        put_p(cpu, pd, _to_predicate(value, vl, t), _to_predicate(mask, vl, t))

    SEMANTICS[form.name] = run


def _to_predicate(lanes: int, vl: int, t: int) -> int:
    """The lowest bit of every lane as predicate bits."""
    return predicate((split(lanes, vl, t) & 1).astype(np.uint8), t)


def _unary(form: Form) -> None:
    """Predicated: zd, t, pg, zn."""
    name = form.mnemonic
    f = ONE[name]

    def run(cpu: Cpu, zd: int, t: int, pg: int, zn: int) -> None:
        rest = (t, control_for(cpu, name))
        source = cpu.z(zn)
        if silent(name) and not rest[1] & AH:
            sign = repeat(cpu, 1 << BITS[t] - 1, t)
            new = (source[0] ^ sign, source[1])
            if name == "fabs":
                new = (source[0] & ~sign, source[1] & ~sign)
            put_z(cpu, zd, *merge(new, cpu.z(zd), *governing(cpu, pg, t)))
            return
        put_z(cpu, zd, *merging(cpu, f, (source,), t, rest, pg, cpu.z(zd)))

    def run_all(cpu: Cpu, zd: int, t: int, zn: int) -> None:
        rest = (t, control_for(cpu, name))
        put_z(cpu, zd, *run_lanes(cpu, f, (cpu.z(zn),), cpu.vl, t, rest))

    SEMANTICS[form.name] = run_all if form.name.endswith("_z") else run


@semantic("fdup")
def fdup(cpu: Cpu, zd: int, t: int, imm: int) -> None:
    cpu.set_z(zd, repeat(cpu, fp_bits(imm, t), t))


@semantic("fcpy")
def fcpy(cpu: Cpu, zd: int, t: int, pg: int, imm: int) -> None:
    new = (repeat(cpu, fp_bits(imm, t), t), 0)
    put_z(cpu, zd, *merge(new, cpu.z(zd), *governing(cpu, pg, t)))


_BUILDERS: dict[tuple[str, str], Callable[[Form], None]] = {
    ("sve-fp", "zz"): _unpredicated,
    ("sve-fp", "zpz"): _predicated,
    ("sve-fp", "zpi"): _by_constant,
    ("sve-fp-fma", "zpz"): _fused,
}
_BY_GROUP: dict[str, Callable[[Form], None]] = {
    "sve-fp-element": _by_element,
    "sve-fp-compare": _compare,
    "sve-fp-unary": _unary,
}

for _form in FORMS.values():
    if _form.name in SEMANTICS:
        continue
    _suffix = _form.name.rpartition("_")[2]
    if _form.group == "sve-fp" and _form.mnemonic.endswith("p"):
        _pairwise(_form)
    elif (_form.group, _suffix) in _BUILDERS:
        _BUILDERS[_form.group, _suffix](_form)
    elif _form.group in _BY_GROUP:
        _BY_GROUP[_form.group](_form)
