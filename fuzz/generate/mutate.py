"""Changes to a case for libFuzzer: one small class of change per row, chosen by weight."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.inputs import case_of
from corpus.isa.form import Insn
from corpus.opfields import fields_of
from corpus.ops import Init, Op, ReadAll, Run
from fuzz.generate import (
    el2,
    fill_registers,
    random_case,
    random_insn,
    random_op,
    random_program,
    random_run,
    source,
    strangers,
)
from fuzz.generate.combine import combined_case
from fuzz.generate.looks import insert_look
from fuzz.generate.pairs import Chooser, Pairs

Ops = list[Op]


def _insert(rng: random.Random, ops: Ops) -> None:
    ops.insert(rng.randrange(len(ops) + 1), random_op(rng))


def _insert_run(rng: random.Random, ops: Ops) -> None:
    at = rng.randrange(len(ops) + 1)
    nested = _has_el2(ops)
    controls = el2.controls(rng, 0) if nested else []
    ops[at:at] = [*fill_registers(rng, 0), *controls, random_run(rng, 0, el2=nested)]


def _has_el2(ops: Ops) -> bool:
    return any(isinstance(op, Init) and op.features & el2.HAS_EL2 for op in ops)


def _delete(rng: random.Random, ops: Ops) -> None:
    if len(ops) > 1:
        at = rng.randrange(len(ops))
        del ops[at : at + rng.choice((1, 1, 1, 2, 4))]


def _duplicate(rng: random.Random, ops: Ops) -> None:
    if ops:
        op = rng.choice(ops)
        ops.insert(rng.randrange(len(ops) + 1), op)


def _swap(rng: random.Random, ops: Ops) -> None:
    if len(ops) > 1:
        a, b = rng.randrange(len(ops)), rng.randrange(len(ops))
        ops[a], ops[b] = ops[b], ops[a]


def _field(rng: random.Random, ops: Ops) -> None:
    """One field of one op drawn anew."""
    candidates = [i for i, op in enumerate(ops) if fields_of(type(op))]
    if candidates:
        at = rng.choice(candidates)
        field = rng.choice(fields_of(type(ops[at])))
        ops[at] = replace(ops[at], **{field.name: field.domain.draw(source(rng, 256))})


def _program(rng: random.Random, ops: Ops) -> None:
    """One change inside one guest program."""
    runs = [(i, op) for i, op in enumerate(ops) if isinstance(op, Run)]
    if not runs:
        _insert_run(rng, ops)
        return
    at, run = rng.choice(runs)
    program = list(run.program)
    change = rng.choice(_PROGRAM_CHANGES)
    if change is _insn_insert and _has_el2(ops) and rng.random() < 0.5:
        change = _insn_of_el2
    change(rng, program)
    ops[at] = replace(run, program=tuple(program[:MAX_PROGRAM]))


def _insn_insert(rng: random.Random, program: list[Insn]) -> None:
    at = rng.randrange(len(program) + 1)
    program[at:at] = random_program(rng, 1)[-3:]


def _insn_of_el2(rng: random.Random, program: list[Insn]) -> None:
    at = rng.randrange(len(program) + 1)
    program[at:at] = rng.choice((el2.cross, el2.prelude, el2.host_prelude))(rng)


def _insn_delete(rng: random.Random, program: list[Insn]) -> None:
    if program:
        del program[rng.randrange(len(program))]


def _insn_operand(rng: random.Random, program: list[Insn]) -> None:
    if program:
        at = rng.randrange(len(program))
        program[at] = random_insn(rng, program[at].form)


def _insn_replace(rng: random.Random, program: list[Insn]) -> None:
    if program:
        program[rng.randrange(len(program))] = random_insn(rng)


_PROGRAM_CHANGES: tuple[Callable[[random.Random, list[Insn]], None], ...] = (
    _insn_insert,
    _insn_insert,
    _insn_delete,
    _insn_operand,
    _insn_operand,
    _insn_replace,
)

_CHANGES: tuple[tuple[int, Callable[[random.Random, Ops], None]], ...] = (
    (2, _insert),
    (3, _insert_run),
    (2, insert_look),
    (2, _delete),
    (1, _duplicate),
    (2, _swap),
    (4, _field),
    (6, _program),
)
_WEIGHTS = [weight for weight, _ in _CHANGES]
_FUNCTIONS = [change for _, change in _CHANGES]

_LOOK_AGAIN = 0.3
"""How often a mutation that left no look at the end gets one."""

_COMBINED = 0.9
"""Of the new cases, how many have much at once."""

FRESH = 0.5
"""How often a mutation starts from a new case instead of the given one."""


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """`mutated` as canonical bytes of at most `max_size` (cut if need be)."""
    return mutated(data, seed).encoded[:max_size]


def fresh(rng: random.Random, pairs: Pairs | None = None, el2_share: float = el2.SHARE) -> Case:
    """A new case, often one of many things at once: those least seen together by `pairs`."""
    if rng.random() < _COMBINED:
        return combined_case(rng, Chooser(rng, pairs), el2_share)
    return random_case(rng, el2_share)


def mutated(
    data: bytes,
    seed: int,
    el2_share: float = el2.SHARE,
    pairs: Pairs | None = None,
    beside: strangers.Beside = strangers.NOTHING,
) -> Case:
    """A changed case, or a new one: `el2_share` of those have EL2, and a share of all
    something `beside` them."""
    rng = random.Random(seed)
    new = len(data) < 2 or rng.random() < FRESH
    case = fresh(rng, pairs, el2_share) if new else mutated_case(case_of(data), rng)
    return strangers.sometimes(rng, case, beside)


def mutated_case(case: Case, rng: random.Random) -> Case:
    """A changed case."""
    ops = list(case.ops)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choices(_FUNCTIONS, _WEIGHTS)[0](rng, ops)
    if not any(isinstance(op, ReadAll) for op in ops[-1:]) and rng.random() < _LOOK_AGAIN:
        ops = [*ops[: MAX_OPS - 1], ReadAll(0)]
    return Case(tuple(ops[:MAX_OPS]), case.min_vq)


def crossed(first: bytes, second: bytes, seed: int) -> Case:
    """The head of one case and the tail of another, or their programs exchanged."""
    return crossed_cases(case_of(first), case_of(second), random.Random(seed))


def crossed_cases(a: Case, b: Case, rng: random.Random) -> Case:
    """The same of cases."""
    if rng.random() < 0.4:
        donors = [op.program for op in b.ops if isinstance(op, Run)]
        if donors:
            ops: Ops = [
                replace(op, program=rng.choice(donors)) if isinstance(op, Run) else op
                for op in a.ops
            ]
            return Case(tuple(ops), a.min_vq)
    cut_a, cut_b = rng.randrange(len(a.ops) + 1), rng.randrange(len(b.ops) + 1)
    joined = (a.ops[:cut_a] + b.ops[cut_b:])[:MAX_OPS]
    return Case(joined, a.min_vq)
