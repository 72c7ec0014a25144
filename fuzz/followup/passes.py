"""Policy: which simpler cases to try, in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from corpus.blocks import without
from corpus.case import Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.system import unsynchronised
from corpus.isa.table import FORMS
from corpus.opfields import fields_of, simpler_op
from corpus.ops import GetReg, Init, Migrate, Op, ReadAll, Run
from corpus.registers import REGISTERS


def cost(case: Case) -> tuple[int, int, int, str]:
    """The total order of simplicity: fewer ops, fewer instructions, fewer bytes, then
    the smaller encoding, so that minimising always ends."""
    return *_shape(case), _weight(case)


def is_simpler(case: Case, than: Case) -> bool:
    """Whether a case costs less than another; weighed only where both have the same shape."""
    shape, other = _shape(case), _shape(than)
    return shape < other or (shape == other and _weight(case) < _weight(than))


def _shape(case: Case) -> tuple[int, int, int]:
    instructions = sum(len(op.program) for op in case.ops if isinstance(op, Run))
    looks = sum(isinstance(op, ReadAll) for op in case.ops)
    return len(case.ops), instructions, looks


def _weight(case: Case) -> str:
    """Orders cases of the same shape: how far each field is from its simplest value."""
    distance = sum(map(_distance, case.ops))
    return f"{distance:06d}{len(case.encoded):06d}{case.encoded.hex()}"


@lru_cache(4096)  # of a thousand cases that are tried most differ in one op
def _distance(op: Op) -> int:
    return sum(
        1
        for field in fields_of(type(op))
        for _ in _some(field.domain.simpler(getattr(op, field.name)))
    )


def _some(values: Iterator[object]) -> Iterator[object]:
    for count, value in enumerate(values):
        if count == 64:
            return
        yield value


def drop_ops(case: Case) -> Iterator[Case]:
    """Leave out runs of ops, long ones first, from the end."""
    size = len(case.ops)
    span = size // 2
    while span:
        for start in range(size - span, -1, -1):
            yield replace(case, ops=without(case.ops, start, start + span))
        span //= 2


def drop_instructions(case: Case) -> Iterator[Case]:
    """Leave out runs of instructions of each program, long ones first. An ISB stays where
    without it more instructions would have to do with either value of a control."""
    for index, op in enumerate(case.ops):
        if not isinstance(op, Run):
            continue
        size = len(op.program)
        loose = unsynchronised(op.program)
        span = size
        while span:
            for start in range(0, size - span + 1):
                program = op.program[:start] + op.program[start + span :]
                if unsynchronised(program) > loose:
                    continue
                yield _with(case, index, replace(op, program=program))
            span //= 2


_ISB = Insn(FORMS["isb"], ())


def join_runs(case: Case) -> Iterator[Case]:
    """One run in place of two, with what the exit between them synchronised."""
    for index, (op, after) in enumerate(pairwise(case.ops)):
        if not (isinstance(op, Run) and isinstance(after, Run) and op.vcpu == after.vcpu):
            continue
        for between in ((), (_ISB,)):
            program = (*op.program, *between, *after.program)
            if (
                len(program) <= MAX_PROGRAM
                and not op.immediate
                and (
                    unsynchronised(program)
                    <= unsynchronised(op.program) + unsynchronised(after.program)
                )
            ):
                joined = replace(after, program=program)
                ops = (*case.ops[: index + 1], joined, *case.ops[index + 2 :])
                yield replace(case, ops=without(ops, index, index + 1))


def look_closer(case: Case) -> Iterator[Case]:
    """Read one register instead of all."""
    for index, op in enumerate(case.ops):
        if isinstance(op, ReadAll):
            for register in REGISTERS.values():
                yield _with(case, index, GetReg(op.vcpu, register.id))


def simplify_fields(case: Case) -> Iterator[Case]:
    """Simpler values of single fields."""
    for index, op in enumerate(case.ops):
        if isinstance(op, Run):
            continue
        for simpler in simpler_op(op):
            yield _with(case, index, simpler)


def lower_slots(case: Case) -> Iterator[Case]:
    """One vcpu in the slot of a lower one, and that one in its: all ops at once, since alone
    none can."""
    used = {getattr(op, name, 0) for op in case.ops for name in _SLOTS}
    for high in sorted(used, reverse=True):
        for low in range(high):
            swap = {high: low, low: high}
            yield replace(case, ops=tuple(_moved(op, swap) for op in case.ops))


_SLOTS = ("vcpu", "to")
"""Fields that name a slot."""


def _moved(op: Op, swap: Mapping[int, int]) -> Op:
    slots = {name: getattr(op, name) for name in _SLOTS if hasattr(op, name)}
    return replace(op, **{name: swap.get(slot, slot) for name, slot in slots.items()})


def share_features(case: Case) -> Iterator[Case]:
    """Simpler features of all vcpus that have the same: of one INIT alone they mostly cannot
    change, as the next one with others is refused."""
    asking = {index: op for index, op in enumerate(case.ops) if isinstance(op, Init | Migrate)}
    for features, count in Counter(op.features for op in asking.values()).items():
        for simpler in _FEATURES.simpler(features) if count > 1 else ():
            changed = list(case.ops)
            for index, op in asking.items():
                if op.features == features:
                    changed[index] = replace(op, features=simpler)
            yield replace(case, ops=tuple(changed))


_FEATURES = next(field.domain for field in fields_of(Init) if field.name == "features")


def simplify_operands(case: Case) -> Iterator[Case]:
    """Simpler operands of single instructions."""
    for index, op in enumerate(case.ops):
        if not isinstance(op, Run):
            continue
        for at, insn in enumerate(op.program):
            for args in insn.form.simpler(insn.args):
                program = (*op.program[:at], Insn(insn.form, args), *op.program[at + 1 :])
                yield _with(case, index, replace(op, program=program))


def drop_requirement(case: Case) -> Iterator[Case]:
    """Ask for nothing of the host."""
    if case.min_vq:
        yield replace(case, min_vq=0)


def _with(case: Case, index: int, op: Op) -> Case:
    return replace(case, ops=(*case.ops[:index], op, *case.ops[index + 1 :]))


PASSES: tuple[Callable[[Case], Iterator[Case]], ...] = (
    drop_ops,
    drop_instructions,
    join_runs,
    look_closer,
    lower_slots,
    share_features,
    simplify_fields,
    simplify_operands,
    drop_requirement,
)
