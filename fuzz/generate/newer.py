"""Instructions of SVE2.1: drawn apart from all others, for machines that have them.

So the sequence of cases elsewhere is as if there were none.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.case import Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Form, Insn
from corpus.isa.table import COMMON, FORMS, insn
from corpus.isa.unallocated import NEWER
from corpus.ops import HostRun, Op, Run
from fuzz.generate.programs import is_memory, memory_access, random_insn
from targets.profile import Profile

_FORMS = [form for form in FORMS.values() if form.cap == NEWER]
_VECTORS = ("sve", "sve2")
SHARE = len(_FORMS) / (len(_FORMS) + sum(form.cap in _VECTORS for form in COMMON.values()))
"""Of the SVE instructions of a case, as many as there are of the forms of SVE."""
_COUNTERS = 0.75
"""How often the counter that an instruction reads is made right before it."""


BESIDE = 0.03
"""How many cases have them where some machine lacks them: there a run is not judged behind one."""


def share(machines: Sequence[Profile]) -> float:
    """How many of the cases may have such instructions: all, few, or none, as all machines have
    them, some or none."""
    having = [NEWER not in machine.lacks for machine in machines]
    if not any(having):
        return 0.0
    return 1.0 if all(having) else BESIDE


def code(rng: random.Random, form: Form) -> list[Insn]:
    """An instruction of `form`, behind what points its addresses into RAM and makes the counter
    that it reads."""
    made = memory_access(rng, form) if is_memory(form) else [random_insn(rng, form)]
    names = [operand.name for operand in form.operands]
    if "pn" not in names[1:] or rng.random() >= _COUNTERS:
        return made
    counter = made[-1].args[names.index("pn")]
    return [*_counter(rng, counter), *made] if counter >= _FIRST else made


_FIRST = 8
"""The first predicate register that is a counter of most instructions."""
_WHILE = [form for form in _FORMS if form.name.startswith("while") and form.name.endswith("_pn")]


def _counter(rng: random.Random, pn: int) -> list[Insn]:
    if rng.random() < 0.3:
        return [insn("ptrue_pn", pn, rng.randrange(4))]
    loop = rng.choice(_WHILE)
    vectors, (low, high) = rng.choice((2, 4)), sorted(rng.choice(_BOUNDS) for _ in range(2))
    first, last = (low, high) if loop.name[5:7] in ("lt", "le", "lo", "ls") else (high, low)
    bounds = [insn("movz", 7, first), insn("movz", 8, last)]
    return [*bounds, insn(loop.name, pn, rng.randrange(4), 7, 8, vectors)]


_BOUNDS = (0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 33, 64, 100, 255, 256, 513, 1023)


def with_newer(case: Case, of_all: float) -> Case:
    """`case`, or for `of_all` of all cases some of its SVE instructions replaced; the same one
    always gives the same. One that has them is left alone, so that what descends from it does not
    have ever more."""
    rng = random.Random(case.encoded)
    if rng.random() >= of_all:
        return case
    if any(each.form.cap == NEWER for op in case.ops for each in _program(op)):
        return case
    ops = tuple(
        replace(op, program=_changed(rng, op.program)) if isinstance(op, Run | HostRun) else op
        for op in case.ops
    )
    return replace(case, ops=ops) if ops != case.ops else case


def _program(op: Op) -> tuple[Insn, ...]:
    return op.program if isinstance(op, Run | HostRun) else ()


def _changed(rng: random.Random, before: tuple[Insn, ...]) -> tuple[Insn, ...]:
    program: list[Insn] = []
    for at, each in enumerate(before):
        new = [each]
        if each.form.cap in _VECTORS and rng.random() < SHARE:
            new = code(rng, rng.choice(_FORMS))
        fits = len(program) + len(new) + len(before) - at - 1 <= MAX_PROGRAM
        program += new if fits else [each]
    return tuple(program)
