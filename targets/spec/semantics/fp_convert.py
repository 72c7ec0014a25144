"""Conversions of scalar and AdvSIMD floating point."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics import softconvert
from targets.spec.semantics.asimd_long import half_lanes, lengthened_mask, narrowed_mask, put_half
from targets.spec.semantics.fp import from_list
from targets.spec.semantics.fpops import (
    FLAGS,
    arithmetic,
    control,
    from_integer,
    over_lanes,
    put_scalar,
    to_integer,
)
from targets.spec.semantics.lanes import ones, put_v, split, spread
from targets.spec.semantics.registry import SEMANTICS, semantic
from targets.spec.semantics.softfloat import ODD, Result


def put_converted(
    cpu: Cpu, vd: int, source: tuple[int, int], sizes: tuple[int, int], mode: int | None = None
) -> None:
    """Convert one number between the formats (from, to)."""
    from_t, to_t = sizes
    ctl = control(cpu)
    _put_one(cpu, vd, source, 1 << to_t, lambda a: softconvert.convert(a, from_t, to_t, ctl, mode))


def _put_one(
    cpu: Cpu, vd: int, source: tuple[int, int], size: int, f: Callable[[int], Result]
) -> None:
    """f of one number, of which `size` bytes come."""
    if source[1]:
        cpu.raise_fpsr(0, FLAGS)
        put_scalar(cpu, vd, vd, size, 0, ones(8 * size))
        return
    value, raised = f(source[0])
    cpu.raise_fpsr(raised)
    put_scalar(cpu, vd, vd, size, value)


def _convert(form: Form) -> None:
    to_t, from_t = ("bhsd".index(letter) for letter in form.name[-2:])
    SEMANTICS[form.name] = lambda cpu, vd, vn: put_converted(
        cpu, vd, cpu.v(vn, 1 << from_t), (from_t, to_t)
    )


@semantic("bfcvt_sc")
def bfcvt(cpu: Cpu, vd: int, vn: int) -> None:
    ctl = arithmetic(cpu)
    _put_one(cpu, vd, cpu.v(vn, 4), 2, lambda a: softconvert.to_bf16(a, ctl))


@semantic("fcvtxn_sc")
def fcvtxn(cpu: Cpu, vd: int, vn: int) -> None:
    put_converted(cpu, vd, cpu.v(vn, 8), (3, 2), ODD)


def _convert_lanes(
    cpu: Cpu, lanes: Sequence[int], skip: Sequence[bool], sizes: tuple[int, int], mode: int | None
) -> list[int]:
    from_t, to_t = sizes
    ctl = control(cpu)
    if any(skip):
        cpu.raise_fpsr(0, FLAGS)

    def f(lane: int) -> Result:
        return softconvert.convert(lane, from_t, to_t, ctl, mode)

    return over_lanes(cpu, f, (lanes,), (), skip)


def _narrow(form: Form) -> None:
    """fcvtn, fcvtxn: vd, arrangement of the result, vn."""
    mode = ODD if form.mnemonic.startswith("fcvtx") else None

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        t = a >> 1
        value, mask = cpu.v(vn)
        mask = spread(mask, 16, t + 1)
        skip = (split(mask, 16, t + 1) != 0).tolist()
        lanes = _convert_lanes(cpu, split(value, 16, t + 1).tolist(), skip, (t + 1, t), mode)
        put_half(cpu, vd, from_list(lanes, t), narrowed_mask(mask, t + 1), bool(a & 1))

    SEMANTICS[form.name] = run


def _lengthen(form: Form) -> None:
    """fcvtl: vd, arrangement of the source, vn."""

    def run(cpu: Cpu, vd: int, a: int, vn: int) -> None:
        t = a >> 1
        lanes, mask = half_lanes(cpu, vn, t, bool(a & 1))
        skip = (split(spread(mask, 8, t), 8, t) != 0).tolist()
        results = _convert_lanes(cpu, lanes.tolist(), skip, (t, t + 1), None)
        put_v(cpu, vd, from_list(results, t + 1), lengthened_mask(mask, t))

    SEMANTICS[form.name] = run


def _to_general(form: Form) -> None:
    bits = 64 if form.name.endswith("_x") else 32

    def run(cpu: Cpu, rd: int, t: int, vn: int, scale: int = 0) -> None:
        f = to_integer(form.mnemonic, bits, scale)
        value, mask = cpu.v(vn, 1 << t)
        ctl = arithmetic(cpu)
        if mask:
            cpu.raise_fpsr(0, FLAGS)
            cpu.set_x(rd, 0, ones(bits))
            return
        result, raised = f(value, t, ctl)
        cpu.raise_fpsr(raised)
        cpu.set_x(rd, result)

    SEMANTICS[form.name] = run


@semantic("fjcvtzs")
def fjcvtzs(cpu: Cpu, wd: int, dn: int) -> None:
    """To 32 bits without saturation; Z tells whether that was exact."""
    value, mask = cpu.v(dn, 8)
    ctl = arithmetic(cpu)
    if mask:
        cpu.raise_fpsr(0, FLAGS)
        cpu.set_x(wd, 0, ones(32))
        cpu.set_nzcv(0, 4)
        return
    result, exact, raised = softconvert.to_integer_modulo(value, ctl)
    cpu.raise_fpsr(raised)
    cpu.set_x(wd, result)
    cpu.set_nzcv(4 if exact else 0)


def _from_general(form: Form) -> None:
    bits = 64 if form.name.endswith("_x") else 32

    def run(cpu: Cpu, t: int, vd: int, rn: int, scale: int = 0) -> None:
        f = from_integer(form.mnemonic, bits, scale)
        value, mask = cpu.x(rn)
        ctl = arithmetic(cpu)
        source = value & ones(bits), mask & ones(bits)
        _put_one(cpu, vd, source, 1 << t, lambda a: f(a, t, ctl))

    SEMANTICS[form.name] = run


_BUILDERS: dict[str, Callable[[Form], None]] = {
    "fp-convert": _convert,
    "asimd-narrow": _narrow,
    "asimd-fp-long": _lengthen,
    "fp-to-general": _to_general,
    "fp-from-general": _from_general,
}

for _form in FORMS.values():
    if _form.name in SEMANTICS:
        continue
    if (_form.group in _BUILDERS and _form.mnemonic[0] == "f") or _form.group == "fp-from-general":
        _BUILDERS[_form.group](_form)
