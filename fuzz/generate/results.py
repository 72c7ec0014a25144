"""Where instructions put their results: one that is written over before anybody looks was
executed for nothing."""

from __future__ import annotations

import random

from corpus.isa.form import Insn

SHARE = 0.6
"""How often a result that would be written over another goes elsewhere."""

_FILES = {**dict.fromkeys("zvhsd", "vector"), "p": "predicate"}
"""The register file by the first letter of an operand: Z registers have V registers in them.
General registers are left alone, as they hold addresses."""


class Results:
    """Registers that a program has written so far."""

    def __init__(self) -> None:
        self._written: dict[str, set[int]] = {file: set() for file in _FILES.values()}

    def spared(self, rng: random.Random, insn: Insn) -> Insn:
        """`insn`, or the same with its result in a register that holds none."""
        file = _file_of(insn)
        if file is None:
            return insn
        written = self._written[file]
        if insn.args[0] in written and rng.random() < SHARE:
            insn = _elsewhere(rng, insn, written)
        written.add(insn.args[0])
        return insn


def _file_of(insn: Insn) -> str | None:
    """The file that the first operand is of, if it is written."""
    name = insn.form.operands[0].name if insn.form.operands else ""
    return _FILES.get(name[:1]) if name[1:2] == "d" else None


def _elsewhere(rng: random.Random, insn: Insn, written: set[int]) -> Insn:
    form = insn.form
    free = [number for number in form.operands[0].domain.values if number not in written]
    if not free:
        return insn
    args = (rng.choice(free), *insn.args[1:])
    return Insn(form, args) if form.valid is None or form.valid(args) else insn
