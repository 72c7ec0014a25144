"""Scalar and AdvSIMD floating point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics import softconvert
from targets.spec.semantics.asimd_shift import element
from targets.spec.semantics.fpops import (
    FLAGS,
    FMA,
    ONE,
    TWO,
    One,
    Two,
    arithmetic,
    comparing,
    control_for,
    converting,
    fused,
    over_lanes,
    put_scalar,
    silent,
)
from targets.spec.semantics.lanes import BITS, UINT, join_lanes, ones, put_v, split, spread
from targets.spec.semantics.registry import SEMANTICS, semantic
from targets.spec.semantics.softfloat import AH, Result


def from_list(values: Sequence[int], t: int) -> int:
    """A register value from its lanes."""
    return join_lanes(np.array(values, UINT[t]))


def run_lanes(
    cpu: Cpu,
    f: Callable[..., Result],
    operands: Sequence[tuple[int, int]],
    size: int,
    t: int,
    rest: tuple[int, ...],
) -> tuple[int, int]:
    """f over the lanes of some register values: the result and its unknown bits."""
    columns = [split(value, size, t).tolist() for value, _ in operands]
    dirty = 0
    for _, mask in operands:
        dirty |= mask
    if not dirty:
        return from_list(over_lanes(cpu, f, columns, rest), t), 0
    mask = spread(dirty, size, t)
    skip = (split(mask, size, t) != 0).tolist()
    cpu.raise_fpsr(0, FLAGS)
    return from_list(over_lanes(cpu, f, columns, rest, skip), t), mask


def _shape(form: Form) -> Callable[[tuple[int, ...]], tuple[int, int, tuple[int, ...]]]:
    """How a form's arguments give (bytes, t, the remaining arguments, destination first)."""
    names = [operand.name for operand in form.operands]
    if names[0] == "t":
        return lambda args: (1 << args[0], args[0], args[1:])
    if len(names) > 1 and names[1] == "t":
        return lambda args: (8 << (args[1] & 1), args[1] >> 1, (args[0], *args[2:]))
    return lambda args: (2, 1, args)


_ABOVE = {
    **{"fp-unary": 0, "fp-fixed": 0, "fp-arith": 1, "fp-element": 1, "fp-compare-mask": 2},
    "fp-fma": 3,
}
"""Which register, of destination and sources, the elements above a scalar's come from with NEP.
Comparisons with zero have them zero nevertheless."""


def _writing(form: Form) -> Callable[[Cpu, tuple[int, ...], int, int, int], None]:
    """How the result of a form is written: (cpu, registers, bytes, value, mask)."""
    place = _ABOVE.get(form.group)
    if place is None or form.name.endswith("0"):
        return lambda cpu, registers, _size, value, mask: put_v(cpu, registers[0], value, mask)
    if form.group == "fp-element" and form.mnemonic in FMA:
        place = 0

    def write(cpu: Cpu, registers: tuple[int, ...], size: int, value: int, mask: int) -> None:
        put_scalar(cpu, registers[0], registers[place], size, value, mask)

    return write


def _three(form: Form) -> None:
    name = form.mnemonic
    shape, write = _shape(form), _writing(form)
    pairwise = name.endswith("p") and form.group == "asimd-fp-3same"
    mask_result = name.startswith(("fcm", "fac"))
    f = comparing(name) if mask_result else TWO[name.removesuffix("p") if pairwise else name]

    def run(cpu: Cpu, *args: int) -> None:
        size, t, registers = shape(args)
        rest = (t, arithmetic(cpu))
        vd, vn, vm = registers
        x, y = cpu.v(vn, size), cpu.v(vm, size)
        if pairwise:
            put_v(cpu, vd, *_pairs(cpu, f, (x, y), size, rest))
            return
        value, mask = run_lanes(cpu, f, (x, y), size, t, rest)
        write(cpu, registers, size, value * ones(BITS[t]) if mask_result else value, mask)

    SEMANTICS[form.name] = run


def _pairs(
    cpu: Cpu,
    f: Two,
    operands: tuple[tuple[int, int], tuple[int, int]],
    size: int,
    rest: tuple[int, int],
) -> tuple[int, int]:
    t = rest[0]
    if operands[0][1] | operands[1][1]:
        cpu.raise_fpsr(0, FLAGS)
        return 0, ones(8 * size)
    lanes = [lane for value, _ in operands for lane in split(value, size, t).tolist()]
    return from_list(over_lanes(cpu, f, (lanes[0::2], lanes[1::2]), rest), t), 0


def _fused(form: Form) -> None:
    """fmla and fmls of vectors, fmadd and kin of scalars."""
    f = fused(form.mnemonic)
    shape, write = _shape(form), _writing(form)

    def run(cpu: Cpu, *args: int) -> None:
        size, t, registers = shape(args)
        vd, vn, vm, *va = registers
        operands = [cpu.v(n, size) for n in (va[0] if va else vd, vn, vm)]
        result = run_lanes(cpu, f, operands, size, t, (t, arithmetic(cpu)))
        write(cpu, registers, size, *result)

    SEMANTICS[form.name] = run


def _one(form: Form) -> None:
    name = form.mnemonic
    shape, write = _shape(form), _writing(form)

    def run(cpu: Cpu, *args: int) -> None:
        size, t, registers = shape(args)
        f: One = converting(name, t) or ONE[name]
        ctl = control_for(cpu, name)
        x = cpu.v(registers[1], size)
        if silent(name) and x[1] and not ctl & AH:
            sign = from_list([1 << BITS[t] - 1] * (size >> t), t)
            if name == "fabs":
                write(cpu, registers, size, x[0] & ~sign, x[1] & ~sign)
            else:
                write(cpu, registers, size, x[0] ^ sign, x[1])
            return
        write(cpu, registers, size, *run_lanes(cpu, f, (x,), size, t, (t, ctl)))

    SEMANTICS[form.name] = run


def _compare_zero(form: Form) -> None:
    f = comparing(form.mnemonic)
    shape, write = _shape(form), _writing(form)

    def run(cpu: Cpu, *args: int) -> None:
        size, t, registers = shape(args)
        rest = (t, arithmetic(cpu))
        value, mask = run_lanes(cpu, f, (cpu.v(registers[1], size), (0, 0)), size, t, rest)
        write(cpu, registers, size, value * ones(BITS[t]), mask)

    SEMANTICS[form.name] = run


def _fixed_point(form: Form) -> None:
    shape, write = _shape(form), _writing(form)

    def run(cpu: Cpu, *args: int) -> None:
        size, t, registers = shape(args)
        _, vn, scale = registers
        f = converting(form.mnemonic, t, scale)
        assert f
        result = run_lanes(cpu, f, (cpu.v(vn, size),), size, t, (t, arithmetic(cpu)))
        write(cpu, registers, size, *result)

    SEMANTICS[form.name] = run


def _by_element(form: Form) -> None:
    t = "bhsd".index(form.name[-1])
    scalar = form.group == "fp-element"
    fma = form.mnemonic in FMA
    f = fused(form.mnemonic) if fma else TWO[form.mnemonic]
    write = _writing(form)

    def run(cpu: Cpu, vd: int, *args: int) -> None:
        size = 1 << t if scalar else 8 << (args[0] & 1)
        vn, vm, index = args if scalar else args[1:]
        one_lane = element(cpu, vm, t, index)
        repeat = sum(1 << BITS[t] * i for i in range(size >> t))
        operands = [cpu.v(vn, size), (one_lane[0] * repeat, one_lane[1] * repeat)]
        if fma:
            operands.insert(0, cpu.v(vd, size))
        result = run_lanes(cpu, f, operands, size, t, (t, arithmetic(cpu)))
        write(cpu, (vd, vn), size, *result)

    SEMANTICS[form.name] = run


def tree(f: Two, lanes: Sequence[int], t: int, ctl: int) -> Result:
    """Pairwise reduction by halves (Arm ARM, Reduce); a power of two of lanes."""
    if len(lanes) == 1:
        return lanes[0], 0
    half = len(lanes) // 2
    low, f1 = tree(f, lanes[:half], t, ctl)
    high, f2 = tree(f, lanes[half:], t, ctl)
    value, f3 = f(low, high, t, ctl)
    return value, f1 | f2 | f3


def _reduce(cpu: Cpu, f: Two, vd: int, vn: int, size: int, t: int) -> None:
    value, mask = cpu.v(vn, size)
    ctl = arithmetic(cpu)
    if mask:
        cpu.raise_fpsr(0, FLAGS)
        put_v(cpu, vd, 0, ones(BITS[t]))
        return
    result, raised = tree(f, split(value, size, t).tolist(), t, ctl)
    cpu.raise_fpsr(raised)
    cpu.set_v(vd, result)


def _across(form: Form) -> None:
    f = TWO[form.mnemonic.removesuffix("v")]

    def run(cpu: Cpu, vd: int, vn: int, a: int = 5) -> None:
        _reduce(cpu, f, vd, vn, 8 << (a & 1), a >> 1)

    SEMANTICS[form.name] = run


def _scalar_pair(form: Form) -> None:
    f = TWO[form.mnemonic.removesuffix("p")]

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        _reduce(cpu, f, vd, vn, 2 << (a >> 1), a >> 1)

    def run_half(cpu: Cpu, vd: int, vn: int) -> None:
        _reduce(cpu, f, vd, vn, 4, 1)

    SEMANTICS[form.name] = run_half if len(form.operands) == 2 else run


def _compare(form: Form) -> None:
    """fcmp and fcmpe, also with zero."""
    signalling = form.mnemonic == "fcmpe"

    def run(cpu: Cpu, t: int, vn: int, vm: int | None = None) -> None:
        (a, ma), (b, mb) = cpu.v(vn, 1 << t), (0, 0) if vm is None else cpu.v(vm, 1 << t)
        ctl = arithmetic(cpu)
        if ma | mb:
            cpu.raise_fpsr(0, FLAGS)
            cpu.set_nzcv(0, 15)
            return
        nzcv, raised = softconvert.compare_nzcv(a, b, t, ctl, signalling)
        cpu.raise_fpsr(raised)
        cpu.set_nzcv(nzcv)

    SEMANTICS[form.name] = run


def condition(nzcv: int, cond: int) -> bool:
    """Whether a condition code holds."""
    n, z, c, v = (bool(nzcv >> bit & 1) for bit in (3, 2, 1, 0))
    holds = (z, c, n, v, c and not z, n == v, n == v and not z, True)[cond >> 1]
    return holds != (bool(cond & 1) and cond != 15)


def _conditional_compare(form: Form) -> None:
    """fccmp and fccmpe: compare, or take the flags from the immediate."""
    compare = SEMANTICS[form.name.replace("ccmp", "cmp")]

    def run(cpu: Cpu, t: int, vn: int, vm: int, flags: int, cond: int) -> None:
        nzcv, mask = cpu.nzcv()
        if mask:
            arithmetic(cpu)
            cpu.raise_fpsr(0, FLAGS)
            cpu.set_nzcv(0, 15)
        elif condition(nzcv, cond):
            compare(cpu, t, vn, vm)
        else:
            cpu.set_nzcv(flags)

    SEMANTICS[form.name] = run


@semantic("fcsel_sc", "fcsel_sch")
def fcsel(cpu: Cpu, t: int, vd: int, vn: int, vm: int, cond: int) -> None:
    nzcv, mask = cpu.nzcv()
    if mask:
        (a, ma), (b, mb) = cpu.v(vn, 1 << t), cpu.v(vm, 1 << t)
        put_v(cpu, vd, a, ma | mb | a ^ b)
        return
    put_v(cpu, vd, *cpu.v(vn if condition(nzcv, cond) else vm, 1 << t))


def _three_or_fused(form: Form) -> None:
    (_fused if form.mnemonic in FMA else _three)(form)


def _two_misc(form: Form) -> None:
    (_compare_zero if form.name.endswith("0") else _one)(form)


_BUILDERS: dict[str, Callable[[Form], None]] = {
    "fp-arith": _three,
    "asimd-fp-3same": _three_or_fused,
    "fp-fma": _fused,
    "asimd-fp-2misc": _two_misc,
    "fp-unary": _one,
    "fp-compare-mask": lambda form: (_compare_zero if form.name.endswith("0") else _three)(form),
    "asimd-fp-fixed": _fixed_point,
    "fp-fixed": _fixed_point,
    "asimd-fp-element": _by_element,
    "fp-element": _by_element,
    "asimd-fp-across": _across,
    "asimd-scalar-pair": _scalar_pair,
    "fp-compare": _compare,
    "fp-conditional-compare": _conditional_compare,
}

for _form in FORMS.values():
    if _form.group in _BUILDERS and _form.mnemonic not in ("fcvtxn", "addp"):
        _BUILDERS[_form.group](_form)
