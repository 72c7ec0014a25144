"""Guests that tag their memory, and access it with such tags and with others."""

from __future__ import annotations

import random
from collections.abc import Sequence

from corpus.fields import MAX_PROGRAM
from corpus.isa import mops
from corpus.isa.form import Insn
from corpus.isa.mte import FORMS, GRANULE
from corpus.isa.stage1 import STAGE_1_ON
from corpus.isa.system import RETURN_VECTORS
from corpus.isa.table import insn
from corpus.isa.tagged import REGIMES, TAG_CHECKS
from fuzz.generate.programs import GROUPS, MIDDLE, SPREAD, is_memory, memory_access, random_insn

VMS, SHARE = 0.02, 0.7
"""How many cases ask for a VM with memory tagging, and how many of their programs tag memory."""
_BASE, _HIGHEST = 29, 3
"""The register by which memory is tagged, and MOVK's shift to the bits that have a tag."""
_REACH = 96
"""How far from the first tagged byte addresses begin."""
_SYNC = REGIMES["sync"]
_ACCESSING = [
    group
    for name, forms in GROUPS.items()
    if name != mops.GROUP and (group := tuple(filter(is_memory, forms)))
]
_ADDRESSES = [form for form in FORMS if not is_memory(form)]


def _tagged(register: int, tag: int) -> Insn:
    """MOVK of a tag, beside a byte that is ignored."""
    return insn("movk", register, tag << 8, _HIGHEST)


def to_tags(rng: random.Random, program: Sequence[Insn]) -> tuple[Insn, ...]:
    """The program behind `tag-checks`, with some memory tagged, and addresses there."""
    tag, start = rng.randrange(16), MIDDLE + rng.randrange(0, SPREAD, GRANULE)
    begin = [insn(STAGE_1_ON)]
    if rng.random() < 0.8:
        begin.append(insn(RETURN_VECTORS))
    begin.append(insn(TAG_CHECKS, _SYNC if rng.random() < 0.7 else rng.choice([*REGIMES.values()])))
    begin += [insn("lda", _BASE, start), _tagged(_BASE, tag)]
    for _ in range(rng.choice((1, 2, 3))):
        kind, step = rng.choice((("st2g", 2), ("stg", 1), ("stz2g", 2)))
        begin.append(insn(f"{kind}_post", _BASE, _BASE, step * GRANULE))
    code = list(program)
    ready = next((n + 1 for n, each in enumerate(code) if each.form.name == "isb"), len(code))
    more: list[Insn] = [insn("setffr")] if rng.random() < 0.5 else []
    for _ in range(rng.choice((1, 2, 3, 5))):
        more += memory_access(rng, rng.choice(rng.choice(_ACCESSING)))
        if rng.random() < 0.3:
            more.append(random_insn(rng, rng.choice(_ADDRESSES)))
    code[ready:ready] = more
    moved = [each for one in code for each in _moved(rng, one, start, tag)]
    return tuple([*begin, *moved][:MAX_PROGRAM])


def _moved(rng: random.Random, each: Insn, start: int, tag: int) -> list[Insn]:
    """The same; an address that it loads is at the tagged memory, and mostly has its tag."""
    if each.form.name != "lda" or rng.random() < 0.1:
        return [each]
    register = each.args[0]
    step = GRANULE if rng.random() < 0.5 else 1
    moved = insn("lda", register, start + rng.randrange(-GRANULE, _REACH, step))
    if register == 31 or rng.random() < 0.15:
        return [moved]
    return [moved, _tagged(register, tag if rng.random() < 0.8 else rng.randrange(16))]
