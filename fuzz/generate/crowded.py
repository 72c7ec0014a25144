"""Programs that try much: many instruction forms, as far as the vcpu can execute them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Form, Insn
from corpus.isa.system import ANY, RETURN_VECTORS
from corpus.isa.table import FORMS, insn
from corpus.ops import FEATURE_PTRAUTH, Op, Run, WriteMem
from corpus.values import Pattern
from fuzz.generate import edges
from fuzz.generate import el2 as of_el2
from fuzz.generate.draft import Draft
from fuzz.generate.pairs import one
from fuzz.generate.programs import (
    GROUPS,
    IDIOMS,
    MIDDLE,
    RETURNING,
    enable_vectors,
    idiom,
    is_memory,
    memory_access,
    random_insn,
    synchronised_soon,
    system_access,
)
from fuzz.generate.reached import reached
from fuzz.generate.results import Results
from fuzz.generate.signing import enabled_keys
from targets.spec.cpu import BASE_CAPS, FP_CAPS

_ENDING = frozenset({"svc", "brk", "udf", "hvc", "eret_to", "eret_el2_to", ANY})
_LENGTHS_OF_CODE = (0, 8, 20, 36, MAX_PROGRAM, MAX_PROGRAM)


def crowded(draft: Draft, features: int) -> tuple[Insn, ...]:
    """A program of many forms, those least seen at these vector lengths."""
    rng = draft.rng
    longest, effective = draft.tracker.lengths(0)
    code: list[Insn] = enable_vectors(rng) if rng.random() < _enabling(draft) else []
    if rng.random() < RETURNING and not features & of_el2.HAS_EL2 and not draft.is_at_el0:
        code.append(insn(RETURN_VECTORS))
    if features & FEATURE_PTRAUTH == FEATURE_PTRAUTH and rng.random() < 0.4 and not draft.is_at_el0:
        code += enabled_keys(rng)
    want, results = rng.choice(_LENGTHS_OF_CODE), Results()
    drawn = partial(_form, rng, _WITH_SVE if longest or rng.random() < 0.1 else _WITHOUT_SVE)
    while len(code) < want:
        if rng.random() < IDIOMS / 2:
            code += idiom(rng)
            continue
        form = draft.chooser.form(drawn, longest, effective)
        if is_memory(form):
            code += memory_access(rng, form)
        elif form.name in ("mrs", "msr"):
            code.append(system_access(rng, form))
        else:
            code.append(results.spared(rng, random_insn(rng, form)))
    code = reached(
        rng,
        code,
        sve=longest > 0,
        pauth=features & FEATURE_PTRAUTH == FEATURE_PTRAUTH,
        at_el0=draft.is_at_el0,
    )
    if features & of_el2.HAS_EL2:
        return of_el2.program(rng, tuple(code), MAX_PROGRAM)
    whole = tuple(synchronised_soon(rng, code)[:MAX_PROGRAM])
    if rng.random() < edges.SHARE and not draft.is_at_el0:
        return edges.to_edges(rng, whole)
    return whole


def _enabling(draft: Draft) -> float:
    """How often a program begins by enabling the vectors. What would trap at its first
    instruction runs none of the others: EL0 cannot enable them, others need it at most once."""
    if draft.is_at_el0:
        return 0.1
    return 0.3 if draft.tracker.control(0, "cpacr_el1") & _ON == _ON else 0.95


_ON = 0x33 << 16


@dataclass(frozen=True, slots=True)
class _Forms:
    """Forms to draw from: by group, and all."""

    groups: tuple[tuple[Form, ...], ...]
    every: tuple[Form, ...]

    @classmethod
    def of(cls, wanted: Callable[[Form], bool]) -> _Forms:
        groups = [
            tuple(f for f in forms if f.name not in _ENDING and wanted(f))
            for forms in GROUPS.values()
        ]
        kept = tuple(group for group in groups if group)
        return cls(kept, tuple(form for group in kept for form in group))


_WITH_SVE = _Forms.of(lambda form: True)
_WITHOUT_SVE = _Forms.of(lambda form: form.cap in BASE_CAPS | FP_CAPS)


def _form(rng: random.Random, forms: _Forms) -> Form:
    """A form: some evenly, some from groups, which differ in size."""
    return one(rng, one(rng, forms.groups) if rng.random() < 0.6 else forms.every)


def filling(draft: Draft) -> list[Op]:
    """All vector registers loaded from noise in RAM, predicates and general registers set."""
    rng, base = draft.rng, 17
    code = enable_vectors(rng)[:3] if rng.random() < _enabling(draft) else []
    code.append(insn("lda", base, MIDDLE - 256))
    if draft.tracker.lengths(0)[0]:
        code += [insn("ldr_z", n, base, n % 8) for n in range(32) if rng.random() < 0.8]
        code += [random_insn(rng, FORMS["ptrue"]) for _ in range(8)]
    else:
        code += [insn("ldr_q", n, base, 16 * (n % 8)) for n in range(32) if rng.random() < 0.8]
    code += [insn("movz", n, rng.randrange(1, 1 << 16)) for n in rng.sample(range(1, 17), 6)]
    noise = WriteMem(MIDDLE - 256, Pattern("noise", rng.randrange(1 << 16)), 512)
    return [noise, Run(0, 0, tuple(code[:MAX_PROGRAM]))]
