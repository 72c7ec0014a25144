"""Copies of memory, with addresses in RAM and sizes that fit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.case import Case
from corpus.isa.form import Insn
from corpus.isa.mops import GROUP, SET
from corpus.isa.table import insn
from corpus.ops import HostRun, Op, Run
from corpus.wire import RAM_SIZE
from targets.profile import Profile

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
        to = RAM_SIZE - rng.randint(1, 600)
    setup = [insn("lda", to_register, to), insn("movz", size_register, size)]
    if access.form.name.startswith(SET):
        setup += [insn("movz", source_register, rng.randrange(1 << 16))] * (source_register != 31)
    else:
        setup.append(insn("lda", source_register, source))
    return [*setup, access]


DOUBTFUL = 0.1
"""How many of the cases with copies keep them where KVM's switch for them may not be in effect:
behind one, nothing is judged."""


def are_doubtful(machines: Sequence[Profile]) -> bool:
    """Whether it is unknown on some machine if guests have copies at all."""
    return any(machine.keeps_hcrx for machine in machines)


def with_few(case: Case) -> Case:
    """`case`, mostly without its copies; the same one always gives the same."""
    if random.Random(case.encoded).random() < DOUBTFUL:
        return case
    ops = tuple(map(_without, case.ops))
    return replace(case, ops=ops) if ops != case.ops else case


def _without(op: Op) -> Op:
    if not isinstance(op, Run | HostRun):
        return op
    return replace(op, program=tuple(each for each in op.program if each.form.group != GROUP))
