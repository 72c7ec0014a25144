"""Dot products, integer matrix multiplications, and multiplications by an element."""

from __future__ import annotations

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.asimd_shift import DOT_SIGNS, MATRIX_SIGNS, dot, matrix_multiply
from targets.spec.semantics.lanes import SINT, UINT, Array, join_lanes, put_z, signed, split, spread
from targets.spec.semantics.registry import SEMANTICS, semantic


def _long_dot(acc: Array, a: Array, b: Array, negative: bool) -> Array:
    """As `dot` for 16-bit lanes into 64-bit sums."""
    kind = SINT if negative else UINT
    x, y = (v.view(kind[1]).astype(kind[3]).reshape(-1, 4) for v in (a, b))
    return acc + (x * y).sum(axis=1, dtype=kind[3]).view(UINT[3])


def _any_dot(acc: Array, a: Array, b: Array, t: int, name: str) -> Array:
    if t == 2:
        return dot(acc, a, b, 2, DOT_SIGNS[name])
    return _long_dot(acc, a, b, name == "sdot")


def _dot(form: Form) -> None:
    name = form.mnemonic
    if any(operand.name == "imm" for operand in form.operands):
        _dot_by_element(form)
        return

    def run(cpu: Cpu, zda: int, t: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        x, y = split(a, vl, t - 2), split(b, vl, t - 2)
        result = _any_dot(split(d, vl, t), x, y, t, name)
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, t))

    fixed = form.operands[1].name != "t"
    SEMANTICS[form.name] = (lambda cpu, zda, zn, zm: run(cpu, zda, 2, zn, zm)) if fixed else run


def by_segment(lanes: Array, t: int, index: int) -> Array:
    """Element `index` of each 128 bits, in all lanes of those 128 bits."""
    per = 16 >> t
    return np.repeat(lanes.reshape(-1, per)[:, index], per)


def _dot_by_element(form: Form) -> None:
    name, t = form.mnemonic, 2 if form.name.endswith("sx") else 3

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        group = by_segment(split(b, vl, t), t, index).view(UINT[t - 2])
        result = _any_dot(split(d, vl, t), split(a, vl, t - 2), group, t, name)
        put_z(cpu, zda, join_lanes(result), spread(md | ma, vl, t) | spread(mb, vl, 4))

    SEMANTICS[form.name] = run


@semantic("cdot_zz")
def cdot(cpu: Cpu, zda: int, t: int, zn: int, zm: int, rot: int) -> None:
    """Complex dot product: pairs of complex quarter-size numbers."""
    (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
    x, y = (signed(split(v, vl, t - 2), t - 2).astype(np.int64).reshape(-1, 4) for v in (a, b))
    if rot in (0, 2):
        sums = x[:, 0::2] * y[:, 0::2] + (1 if rot else -1) * x[:, 1::2] * y[:, 1::2]
    else:
        sums = x[:, 0::2] * y[:, 1::2] + (1 if rot == 1 else -1) * x[:, 1::2] * y[:, 0::2]
    result = split(d, vl, t) + sums.sum(axis=1).astype(UINT[t])
    put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, t))


def _matrix(form: Form) -> None:
    signs = MATRIX_SIGNS[form.mnemonic]

    def run(cpu: Cpu, zda: int, zn: int, zm: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        result = matrix_multiply(split(d, vl, 2), split(a, vl, 0), split(b, vl, 0), signs)
        put_z(cpu, zda, join_lanes(result), spread(md | ma | mb, vl, 4))

    SEMANTICS[form.name] = run


def _multiply_by_element(form: Form) -> None:
    name = form.mnemonic
    t = "bhsd".index(form.name[-2])

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int) -> None:
        (d, md), (a, ma), (b, mb), vl = cpu.z(zda), cpu.z(zn), cpu.z(zm), cpu.vl
        product = split(a, vl, t) * by_segment(split(b, vl, t), t, index)
        acc = split(d, vl, t)
        result = {"mul": product, "mla": acc + product, "mls": acc - product}[name]
        taint = spread(ma | (0 if name == "mul" else md), vl, t) | spread(mb, vl, 4)
        put_z(cpu, zda, join_lanes(result), taint)

    SEMANTICS[form.name] = run


def _register() -> None:
    for form in FORMS.values():
        if form.group == "sve-dot" and form.mnemonic in MATRIX_SIGNS:
            _matrix(form)
        elif form.group == "sve-dot" and form.mnemonic in DOT_SIGNS:
            _dot(form)
        elif form.group == "sve-mla" and form.name.endswith("x"):
            _multiply_by_element(form)


_register()
