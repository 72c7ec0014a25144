"""Guests with stage 1 on, whose accesses go to the edges of its pages."""

from __future__ import annotations

import random
from collections.abc import Sequence

from corpus.fields import MAX_PROGRAM
from corpus.isa import mops
from corpus.isa.form import Insn
from corpus.isa.stage1 import DEVICE, PAGE_SIZE, PAGES, STAGE_1_ON
from corpus.isa.system import BRANCH_TO, RETURN_VECTORS
from corpus.isa.table import insn
from corpus.wire import RAM_SIZE
from fuzz.generate.programs import DATA, GROUPS, is_memory, memory_access

SHARE = 0.05
"""How many programs run with stage 1 on."""
_OUTLIVING = 0.7
"""How many of those have a handler that returns, so that they see more than one fault."""
_ASTRAY = 0.3
"""How many of the others end in a branch to data."""
_AT_EDGE = 0.8
"""How many of their addresses are at an edge."""
_WIDTHS = (16, 32, 64, 256)
"""From an edge to an address, at most: lengths of vectors, in bytes."""
_STEPS = (1, 1, 2, 4, 8, 16)
_SP = 31

_EDGES = [
    offset
    for offset in range(DATA + PAGE_SIZE, RAM_SIZE + 1, PAGE_SIZE)
    if offset == RAM_SIZE or PAGES[offset // PAGE_SIZE] != PAGES[offset // PAGE_SIZE - 1]
]
"""Offsets in the guest's data at which one page ends and another one, or none, begins."""
_BESIDE_DEVICE = PAGE_SIZE * PAGES.index(DEVICE), PAGE_SIZE * (PAGES.index(DEVICE) + 1)
"""Edges where addresses are aligned: what is not, in Device memory, is not judged."""
_ACCESSING = [
    group for group in (tuple(filter(is_memory, forms)) for forms in GROUPS.values()) if group
]


def to_edges(rng: random.Random, program: Sequence[Insn]) -> tuple[Insn, ...]:
    """The program with stage 1 on, its addresses moved to edges, and some more accesses behind
    what sets its vector units up."""
    code = list(program)
    ready = next((n + 1 for n, each in enumerate(code) if each.form.name == "isb"), len(code))
    more: list[Insn] = [insn("setffr")] if rng.random() < 0.5 else []
    for _ in range(rng.choice((1, 2, 3, 5))):
        more += memory_access(rng, rng.choice(rng.choice(_ACCESSING)))
    code[ready:ready] = more
    code = [_moved(rng, each, code[n + 1 : n + 4]) for n, each in enumerate(code)]
    begin = [insn(STAGE_1_ON)]
    if rng.random() < _OUTLIVING:
        begin.append(insn(RETURN_VECTORS))
    elif rng.random() < _ASTRAY:
        code = [
            *code[: MAX_PROGRAM - 2],
            insn(BRANCH_TO, rng.choice(_EDGES[:-1]) - rng.choice((0, 4))),
        ]
    return tuple([*begin, *code][:MAX_PROGRAM])


def _moved(rng: random.Random, each: Insn, behind: Sequence[Insn]) -> Insn:
    """The same, at an edge if it loads an address, by what is close behind it; the stack pointer
    must be aligned to be one."""
    if each.form.name != "lda" or rng.random() >= _AT_EDGE:
        return each
    aligned = any(i.form.name == "add_imm" and i.args[0] == _SP for i in behind[:1])
    edge, width, step = rng.choice(_EDGES), rng.choice(_WIDTHS), rng.choice(_STEPS)
    if aligned or edge in _BESIDE_DEVICE:
        step = 16
    offset = edge + rng.randrange(-width, width + 1, step)
    if any(i.form.group == mops.GROUP for i in behind):
        return each  # a copy that faults part of the way, or meets Device memory, is not judged
    return insn("lda", each.args[0], min(max(offset, 0), RAM_SIZE - 1))
