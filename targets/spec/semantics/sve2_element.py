"""SVE2 multiplications by one element of each 128 bits.

Each does what the form with a whole vector does, had zm that element in all its lanes.
"""

from __future__ import annotations

from typing import Any

from corpus.isa.form import Form
from corpus.isa.table import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics import sve2, sve2_width, sve_dot, sve_int
from targets.spec.semantics.lanes import in_segments
from targets.spec.semantics.registry import SEMANTICS

_VECTORS = (sve2, sve2_width, sve_dot, sve_int)
"""The modules whose semantics of whole vectors are used here."""

_ELEMENT = 32
"""The number of the register that a `_WithElement` adds."""


class _WithElement:
    """A CPU with one Z register more."""

    def __init__(self, cpu: Cpu, value: tuple[int, int]) -> None:
        self._cpu, self._value = cpu, value

    def z(self, n: int) -> tuple[int, int]:
        return self._value if n == _ELEMENT else self._cpu.z(n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cpu, name)


def _element_bits(form: Form) -> int:
    """What an index counts: elements of zm, but groups of them in complex and dot products."""
    letter = form.syntax.partition("{zm}.")[2][0]
    each = {"cdot": 4, "cmla": 2, "sqrdcmlah": 2}.get(form.mnemonic, 1)
    return (8 << "bhsd".index(letter)) * each


def _by_element(form: Form) -> None:
    name = form.mnemonic
    vector = SEMANTICS.get(f"{name}_zz") or SEMANTICS[name]
    bits, t = _element_bits(form), "bhsd".index(form.name[-2])

    def run(cpu: Cpu, zda: int, zn: int, zm: int, index: int, *rot: int) -> None:
        element = in_segments(cpu.z(zm), cpu.vl, bits, index)
        vector(_WithElement(cpu, element), zda, t, zn, _ELEMENT, *rot)

    SEMANTICS[form.name] = run


for _form in FORMS.values():
    if _form.group == "sve-element":
        _by_element(_form)
