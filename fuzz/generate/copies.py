"""Copies of memory, with addresses in RAM and sizes that fit."""

from __future__ import annotations

import random

from corpus.isa.form import Insn
from corpus.isa.mops import SET
from corpus.isa.table import insn
from corpus.wire import RAM_SIZE

_SIZES = (0, 1, 3, 8, 15, 16, 17, 64, 100, 255, 256, 513)
_PAGES = (1024, 4095, 4096, 4097, 8192)


def copied(rng: random.Random, access: Insn, middle: int) -> list[Insn]:
    """`access`, a copy or a set, with its registers filled; `middle`: offset in RAM around which
    it is to be."""
    to_register, source_register, size_register = access.args
    size = rng.choice(_SIZES if rng.random() < 0.93 else _PAGES)
    to = middle + rng.randrange(40, 512)
    source = (to if rng.random() < 0.5 else middle + 512) + rng.randrange(-40, 40)
    if rng.random() < 0.04:
        to = RAM_SIZE - rng.randrange(600)
    setup = [insn("lda", to_register, to), insn("movz", size_register, size)]
    if access.form.name.startswith(SET):
        setup += [insn("movz", source_register, rng.randrange(1 << 16))] * (source_register != 31)
    else:
        setup.append(insn("lda", source_register, source))
    return [*setup, access]
