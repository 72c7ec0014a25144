"""MOVPRFX and the instruction it prefixes, as one."""

from __future__ import annotations

import numpy as np

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.intops import ANY_BINARY
from targets.spec.semantics.lanes import (
    BITS,
    UINT,
    governing,
    join_lanes,
    merge,
    ones,
    put_z,
    split,
    spread,
)
from targets.spec.semantics.registry import SEMANTICS


def _immediate(form: Form) -> None:
    f = ANY_BINARY[form.mnemonic.partition("+")[2]]

    def run(cpu: Cpu, zd: int, t: int, zn: int, imm: int) -> None:
        (a, ma), vl = cpu.z(zn), cpu.vl
        b = np.full(vl >> t, imm & ones(BITS[t]), UINT[t])
        put_z(cpu, zd, join_lanes(f(split(a, vl, t), b, t)), spread(ma, vl, t))

    SEMANTICS[form.name] = run


def _predicated(form: Form) -> None:
    """The prefix gives inactive lanes zero (zpz), their old value (zpm) or that of zn (zp)."""
    f = ANY_BINARY[form.mnemonic.partition("+")[2]]
    kind = form.name.rpartition("_")[2]

    def run(cpu: Cpu, zd: int, t: int, pg: int, zn: int, zm: int) -> None:
        source, (b, mb), vl = cpu.z(zn), cpu.z(zm), cpu.vl
        new = join_lanes(f(split(source[0], vl, t), split(b, vl, t), t))
        inactive = {"zpz": (0, 0), "zpm": cpu.z(zd), "zp": source}[kind]
        taint = spread(source[1] | mb, vl, t)
        put_z(cpu, zd, *merge((new, taint), inactive, *governing(cpu, pg, t)))

    SEMANTICS[form.name] = run


for _form in FORMS.values():
    if _form.group == "sve-prefixed":
        (_immediate if _form.name.endswith("_zi") else _predicated)(_form)
