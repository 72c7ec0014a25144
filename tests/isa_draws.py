"""Operand draws that the instruction table's tests share."""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpus.isa.form import Form, Insn
from corpus.isa.table import FORMS
from corpus.stream import Source

DRAWS = 24
"""Draws per form: enough to meet every value of the smaller operands."""


def draws(form: Form, count: int = DRAWS) -> Iterator[Insn]:
    """`count` instructions of one form, the same ones in every run."""
    rng = random.Random(form.name)
    for _ in range(count if form.operands else 1):
        yield Insn(form, form.draw(Source(rng.randbytes(32))))


def every_draw() -> list[Insn]:
    """Draws of every form, without repetitions."""
    return list(dict.fromkeys(insn for form in FORMS.values() for insn in draws(form)))
