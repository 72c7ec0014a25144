"""Floating point of later extensions: complex numbers, FMLAL and kin, BF16."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics import fpbf16, fpsteps, softconvert, softfloat
from targets.spec.semantics.asimd_long import narrowed_mask, put_half
from targets.spec.semantics.asimd_shift import element
from targets.spec.semantics.fp import from_list, run_lanes
from targets.spec.semantics.fpcomplex import factors, turned
from targets.spec.semantics.fpops import FLAGS, arithmetic, bfloat, over_lanes
from targets.spec.semantics.lanes import (
    UINT,
    in_segments,
    join_lanes,
    ones,
    put_v,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.registry import SEMANTICS, semantic
from targets.spec.semantics.softfloat import Result, negate

Bits = tuple[int, int]
"""A register value and its unknown bits."""


def _everywhere(value: Bits, bits: int, size: int) -> Bits:
    """An element of `bits` in every lane of `size` bytes."""
    repeat = ones(8 * size) // ones(bits)
    return value[0] * repeat, value[1] * repeat


# -- complex numbers ---------------------------------------------------------


@semantic("fcadd_v")
def fcadd(cpu: Cpu, vd: int, a: int, vn: int, vm: int, rot: int) -> None:
    size, t = 8 << (a & 1), a >> 1
    y, my = cpu.v(vm, size)
    rest = (t, arithmetic(cpu))
    other = (
        from_list(turned(split(y, size, t).tolist(), bool(rot), *rest), t),
        spread(my, size, t + 1),
    )
    put_v(cpu, vd, *run_lanes(cpu, softfloat.add, (cpu.v(vn, size), other), size, t, rest))


def _multiplied(cpu: Cpu, acc: Bits, x: Bits, y: Bits, size: int, t: int, rot: int) -> Bits:
    """FCMLA of register values."""
    rest = (t, arithmetic(cpu))
    a, b = (split(value, size, t).tolist() for value, _ in (x, y))
    first, second = factors(a, b, rot, *rest)
    taint = spread(x[1] | y[1], size, t + 1)
    operands = (acc, (from_list(first, t), taint), (from_list(second, t), taint))
    return run_lanes(cpu, softfloat.multiply_add, operands, size, t, rest)


@semantic("fcmla_v")
def fcmla(cpu: Cpu, vd: int, a: int, vn: int, vm: int, rot: int) -> None:
    size = 8 << (a & 1)
    acc, x, y = (cpu.v(n, size) for n in (vd, vn, vm))
    put_v(cpu, vd, *_multiplied(cpu, acc, x, y, size, a >> 1, rot))


@semantic("fcmla_eh", "fcmla_es")
def fcmla_element(cpu: Cpu, vd: int, a: int, vn: int, vm: int, index: int, rot: int) -> None:
    size, t = 8 << (a & 1), a >> 1
    pair = _everywhere(element(cpu, vm, t + 1, index), 16 << t, size)
    put_v(cpu, vd, *_multiplied(cpu, cpu.v(vd, size), cpu.v(vn, size), pair, size, t, rot))


def _sve_fcmla(t: int) -> Callable[..., None]:
    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int, rot: int) -> None:
        pair = in_segments(cpu.z(zm), cpu.vl, 16 << t, index)
        put_z(cpu, zda, *_multiplied(cpu, cpu.z(zda), cpu.z(zn), pair, cpu.vl, t, rot))

    return run


SEMANTICS["fcmla_zhx"], SEMANTICS["fcmla_zsx"] = _sve_fcmla(1), _sve_fcmla(2)


# -- single-precision sums of half-precision products ------------------------


def _fmlal(form: Form) -> None:
    """FMLAL, FMLSL and their 2 twins: vd, arrangement, vn, vm[, index]."""
    name = form.mnemonic
    high, minus = name[-1] == "2", name[3] == "s"

    def halves(value: Bits, size: int) -> Bits:
        """The chosen half of a vector's numbers, each in a lane of 32 bits."""
        at = 4 * size if high else 0
        parts = (x >> at & ones(4 * size) for x in value)
        low, mask = (join_lanes(split(x, size // 2, 1).astype(UINT[2])) for x in parts)
        return low, mask

    def run(cpu: Cpu, vd: int, a: int, vn: int, vm: int, index: int | None = None) -> None:
        size = 8 << (a & 1)
        ctl = arithmetic(cpu)
        x = halves(cpu.v(vn, size), size)
        if index is None:
            y = halves(cpu.v(vm, size), size)
        else:
            y = _everywhere(element(cpu, vm, 1, index), 32, size)

        def f(acc: int, n: int, m: int) -> Result:
            return fpsteps.multiply_add_long(acc, negate(n, 1, ctl) if minus else n, m, ctl)

        put_v(cpu, vd, *run_lanes(cpu, f, (cpu.v(vd, size), x, y), size, 2, ()))

    SEMANTICS[form.name] = run


def _sve_fmlal(form: Form) -> None:
    """FMLALB and kin by element."""
    top, minus = form.mnemonic[-1] == "t", form.mnemonic[3] == "s"

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        ctl = arithmetic(cpu)
        y = in_segments(cpu.z(zm), cpu.vl, 16, index)

        def f(acc: int, n: int, m: int) -> Result:
            n = n >> 16 if top else n & 0xFFFF
            n = negate(n, 1, ctl) if minus else n
            return fpsteps.multiply_add_long(acc, n, m & 0xFFFF, ctl)

        put_z(cpu, zda, *run_lanes(cpu, f, (cpu.z(zda), cpu.z(zn), y), cpu.vl, 2, ()))

    SEMANTICS[form.name] = run


# -- BF16 ----------------------------------------------------------------------

Lanewise = Callable[[Cpu, Bits, Bits, Bits, int], Bits]
"""An operation on accumulator and two sources of some bytes."""


def _dot(cpu: Cpu, acc: Bits, x: Bits, y: Bits, size: int) -> Bits:
    ctl = bfloat(cpu)

    def f(a: int, n: int, m: int) -> Result:
        return fpbf16.dot(a, n, m, ctl), 0

    return _quietly(cpu, f, (acc, x, y), size)


def _quietly(
    cpu: Cpu, f: Callable[..., Result], operands: tuple[Bits, Bits, Bits], size: int
) -> Bits:
    """As `run_lanes`, for operations that raise no flags."""
    dirty = operands[0][1] | operands[1][1] | operands[2][1]
    columns = [split(value, size, 2).tolist() for value, _ in operands]
    mask = spread(dirty, size, 2)
    return from_list(over_lanes(cpu, f, columns, ()), 2) & ~mask, mask


def _matrix(cpu: Cpu, acc: Bits, x: Bits, y: Bits, size: int) -> Bits:
    ctl = bfloat(cpu)
    lanes = [split(value, size, 2).tolist() for value, _ in (acc, x, y)]
    out: list[int] = []
    for at in range(0, size // 4, 4):
        a, n, m = (part[at : at + 4] for part in lanes)
        out += fpbf16.matrix(a, n, m, ctl)
    return from_list(out, 2), spread(acc[1] | x[1] | y[1], size, 4)


_plain_multiply_add = softfloat.plain_with_ah(softfloat.multiply_add)


def _long(top: bool, minus: bool = False) -> Lanewise:
    """BFMLALB and kin: ordinary single-precision arithmetic, but with AH."""

    def run(cpu: Cpu, acc: Bits, x: Bits, y: Bits, size: int) -> Bits:
        ctl = arithmetic(cpu)

        def wide(n: int) -> int:
            return n & 0xFFFF_0000 if top else n << 16 & 0xFFFF_0000

        def f(total: int, n: int, m: int) -> Result:
            factor = negate(wide(n), 2, ctl) if minus else wide(n)
            return _plain_multiply_add(total, factor, wide(m), 2, ctl)

        return run_lanes(cpu, f, (acc, x, y), size, 2, ())

    return run


_BFLOAT: dict[str, Lanewise] = {
    "bfdot": _dot,
    "bfmmla": _matrix,
    "bfmlalb": _long(False),
    "bfmlalt": _long(True),
    "bfmlslb": _long(False, minus=True),
    "bfmlslt": _long(True, minus=True),
}


def _bits_of(form: Form) -> int:
    """Bits of the element that an indexed form takes."""
    return 32 if form.mnemonic == "bfdot" else 16


def _bfloat(form: Form) -> None:
    """vd[, arrangement], vn, vm[, index]."""
    f = _BFLOAT[form.mnemonic]
    sized = form.operands[1].name == "t"
    bits = _bits_of(form)

    def run(cpu: Cpu, vd: int, *args: int) -> None:
        size = 8 << (args[0] & 1) if sized else 16
        vn, vm, *index = args[1:] if sized else args
        if index:
            y = _everywhere(element(cpu, vm, 1 if bits == 16 else 2, index[0]), bits, size)
        else:
            y = cpu.v(vm, size)
        put_v(cpu, vd, *f(cpu, cpu.v(vd, size), cpu.v(vn, size), y, size))

    SEMANTICS[form.name] = run


def _sve_bfloat(form: Form) -> None:
    """zda, zn, zm[, index]."""
    f = _BFLOAT[form.mnemonic]
    bits = _bits_of(form)

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int | None = None) -> None:
        y, vl = cpu.z(zm), cpu.vl
        if index is not None:
            y = in_segments(y, vl, bits, index)
        put_z(cpu, zda, *f(cpu, cpu.z(zda), cpu.z(zn), y, vl))

    SEMANTICS[form.name] = run


def _narrow(high: bool) -> Callable[..., None]:
    """BFCVTN, BFCVTN2."""

    def run(cpu: Cpu, vd: int, vn: int) -> None:
        ctl = arithmetic(cpu)
        value, mask = cpu.v(vn)
        mask = spread(mask, 16, 2)
        if mask:
            cpu.raise_fpsr(0, FLAGS)
        skip = (split(mask, 16, 2) != 0).tolist()

        def f(a: int) -> Result:
            return softconvert.to_bf16(a, ctl)

        lanes = over_lanes(cpu, f, (split(value, 16, 2).tolist(),), (), skip)
        put_half(cpu, vd, join_lanes(np.array(lanes, UINT[1])), narrowed_mask(mask, 2), high)

    return run


SEMANTICS["bfcvtn_v"], SEMANTICS["bfcvtn2_v"] = _narrow(False), _narrow(True)

_BUILDERS: dict[str, Callable[[Form], None]] = {
    "asimd-fp-fmlal": _fmlal,
    "sve-fp-fmlal": _sve_fmlal,
    "asimd-bf16": _bfloat,
    "sve-bf16": _sve_bfloat,
    "sve21-bf16": _sve_bfloat,
}

for _form in FORMS.values():
    if _form.group in _BUILDERS and _form.name not in SEMANTICS:
        _BUILDERS[_form.group](_form)
