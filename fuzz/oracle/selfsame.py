"""A case held against itself, told in another way that must come to the same.

While a vcpu is not run its registers are a table: the order in which ZCR_EL1, FPCR and vector
registers are set changes nothing, reading changes nothing, and neither does setting what was
read. And a run may be split in two where nothing looks. No model is needed to say so, so this
also judges what the specification leaves open: whatever a leg chose the first time it must
choose again.

Each retelling is made from the case alone, always the same one, so that a minimiser can make it
from every smaller case anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from corpus import registers as regs
from corpus.case import Case
from corpus.isa import pauth
from corpus.isa.form import Insn
from corpus.isa.operands import GeneralRegister
from corpus.isa.system import RETURN_VECTORS
from corpus.ops import (
    Disturb,
    GetEvents,
    GetMp,
    GetReg,
    GetVls,
    HostRun,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetReg,
)
from corpus.trace import Ending, Observation, Trace
from corpus.values import Pattern
from corpus.wire import MMIO_BASE
from fuzz.oracle.facts import Facts, answer, contents, end, leaves_to_chance, time_ran_out
from fuzz.oracle.verdict import Diverge
from targets.spec.rules import is_strict

ORACLE = "self"
SET_ORDER, READING, WRITING_BACK, SPLIT_RUN = (
    *("self.set-order", "self.reading", "self.writing-back", "self.split-run"),
)


@dataclass(frozen=True, slots=True)
class Retold:
    """The same story told otherwise, and the rule that says so. `places`: where each op of
    the first telling is in this one, None if it is not; `how` completes "told ..."."""

    rule: str
    case: Case
    places: tuple[int | None, ...]
    how: str
    facts: Callable[[Op, Observation], Facts]


def retellings(case: Case, trace: Trace) -> Iterator[Retold]:
    """Every way in which the case, which ran well and left `trace`, can be told otherwise; none
    where what comes of it is chance."""
    if leaves_to_chance(case):
        return
    if trace.ending is Ending.OK and len(trace.observations) == len(case.ops):
        for retell in _RETELL:
            found = retell(case, trace)
            if found is not None:
                yield found


def compare(case: Case, trace: Trace, retold: Retold, other: Trace) -> Diverge | None:
    """The first op that did not come to the same."""
    if other.ending is not Ending.OK:
        return None
    for index, (op, seen) in enumerate(zip(case.ops, trace.observations, strict=True)):
        place = retold.places[index]
        if place is None:
            continue
        again = other.observations[place]
        if time_ran_out(seen) or time_ran_out(again):
            return None  # somewhere in an endless loop
        if seen == again:
            continue  # facts are of nothing else, and take long to write
        first, second = retold.facts(op, seen), retold.facts(op, again)
        for label in dict.fromkeys((*first, *second)):
            one, two = first.get(label, "nothing"), second.get(label, "nothing")
            if one != two:
                return _differs(op, index, label, one, two, retold)
    return None


def _differs(op: Op, index: int, label: str, one: str, two: str, retold: Retold) -> Diverge:
    return Diverge(
        oracle=ORACLE,
        op_index=index,
        op_word=op.word,
        rule=retold.rule,
        label=label,
        expected=one,
        observed=two,
        detail="",
        strict=is_strict(retold.rule),
        rules=frozenset({retold.rule}),
        told=f"op {index} ({op.word}): {label} is {one}, but {two} when the case is told"
        f" {retold.how}; rule {retold.rule} says that this changes nothing",
    )


# -- what has to be the same -----------------------------------------------------------


def _everything(op: Op, seen: Observation) -> Facts:
    """All that an op returned, but for registers that go on by themselves."""
    found = answer(op, seen) | {"aux": hex(seen.aux)}
    if isinstance(op, Disturb):
        return found  # when it struck is chance
    if isinstance(op, Migrate) or (isinstance(op, GetReg) and op.reg not in regs.BY_ID):
        return found  # timers are among them
    if isinstance(op, ReadAll | Run | HostRun):
        found |= end(op, seen) | contents(op, seen)
    if isinstance(op, HostRun):
        return found  # of the host's own registers some may be kept or cleared
    return found | {"data": seen.data.hex()}


def _what_no_exit_changes(op: Op, seen: Observation) -> Facts:
    """What is the same although the guest was left once more and its code lies elsewhere."""
    found = answer(op, seen)
    if isinstance(op, ReadAll | GetReg):
        found |= {label: value for label, value in contents(op, seen).items() if label != "pc"}
    return found


# -- the order of SETs -----------------------------------------------------------------

_KINDS = frozenset({"z", "p", "ffr", "v"})
_CONTROLS = frozenset({"zcr_el1", "fpcr", "fpsr"})


def _table_of(op: Op) -> int | None:
    """The vcpu whose registers an op sets one of, where no order matters; else None."""
    row = regs.BY_ID.get(op.reg) if isinstance(op, SetReg) else None
    if row is None or not (row.kind in _KINDS or row.name in _CONTROLS):
        return None
    assert isinstance(op, SetReg)
    return op.vcpu


def _other_order(case: Case, _trace: Trace) -> Retold | None:
    """Every block of SETs backwards, but for those of one register."""
    order: list[int] = []
    for slot, group in groupby(range(len(case.ops)), lambda index: _table_of(case.ops[index])):
        block = list(group)
        order += block if slot is None else _backwards(case.ops, block)
    if order == sorted(order):
        return None
    places = tuple(order.index(index) for index in range(len(order)))
    told = replace(case, ops=tuple(case.ops[index] for index in order))
    return Retold(SET_ORDER, told, places, "with its SETs in another order", _everything)


def _backwards(ops: Sequence[Op], block: Sequence[int]) -> list[int]:
    by_register: dict[int, list[int]] = {}
    for index in block:
        op = ops[index]
        assert isinstance(op, SetReg)
        by_register.setdefault(op.reg, []).append(index)
    return [index for found in reversed(by_register.values()) for index in found]


# -- reading ---------------------------------------------------------------------------

_READS = (GetReg, GetVls, GetMp, GetEvents, RegList, ReadAll, ReadMem)


def _unread(case: Case, _trace: Trace) -> Retold | None:
    """Without what is read before the last op. A vcpu that another one switched on is reset by the
    first look at it, so cases with calls are left alone."""
    last = len(case.ops) - 1
    kept = [i for i, op in enumerate(case.ops) if i == last or not isinstance(op, _READS)]
    if len(kept) == len(case.ops) or _calls(case):
        return None
    places = {index: place for place, index in enumerate(kept)}
    told = replace(case, ops=tuple(case.ops[index] for index in kept))
    return Retold(
        READING,
        told,
        tuple(places.get(index) for index in range(len(case.ops))),
        "without reading before its end",
        _everything,
    )


def _calls(case: Case) -> bool:
    programs = (op.program for op in case.ops if isinstance(op, Run | HostRun))
    return any(insn.form.name in ("hvc", "inst") for program in programs for insn in program)


# -- setting what was read -------------------------------------------------------------

_WRITTEN_BACK = _CONTROLS | {"sp"}


def _written_back(case: Case, trace: Trace) -> Retold | None:
    """With a SET behind each GET, of what it read."""
    ops: list[Op] = []
    places: list[int | None] = []
    for op, seen in zip(case.ops, trace.observations, strict=True):
        places.append(len(ops))
        ops.append(op)
        value = _value(op, seen)
        if value is not None:
            assert isinstance(op, GetReg)
            ops.append(SetReg(op.vcpu, op.reg, value))
    if len(ops) == len(case.ops):
        return None
    told = replace(case, ops=tuple(ops))
    return Retold(WRITING_BACK, told, tuple(places), "with what it reads set again", _everything)


def _value(op: Op, seen: Observation) -> Pattern | None:
    """What a GET read, where a SET can be written down that sets just this."""
    if not isinstance(op, GetReg) or op.edge is not None or seen.err or not seen.data:
        return None
    row = regs.BY_ID.get(op.reg)
    if row is None or not (row.kind in _KINDS or row.name in _WRITTEN_BACK or row.id in regs.X_IDS):
        return None
    distinct = set(seen.data)
    if len(distinct) == 1:
        return Pattern("fill", distinct.pop())
    number = int.from_bytes(seen.data, "little")
    return Pattern("int", number) if number < 1 << 64 else None


# -- one run or two --------------------------------------------------------------------

_LINK = 30
"""The register that the exit behind a program changes."""


def _split(case: Case, trace: Trace) -> Retold | None:
    """With the first run that can be split as two. The second half sees neither the exit's
    register nor the code, and changes neither the vector length nor the exception level."""
    for index, (op, seen) in enumerate(zip(case.ops, trace.observations, strict=True)):
        if isinstance(op, Run) and not op.immediate and _ended_plainly(seen):
            at = _seam(op.program)
            if at:
                halves = (
                    replace(op, program=op.program[:at]),
                    replace(op, program=op.program[at:]),
                )
                told = replace(case, ops=(*case.ops[:index], *halves, *case.ops[index + 1 :]))
                count = range(len(case.ops))
                return Retold(
                    SPLIT_RUN,
                    told,
                    tuple(place + (place >= index) for place in count),
                    f"with the run of op {index} in two, behind {at} instructions",
                    _what_no_exit_changes,
                )
    return None


def _ended_plainly(seen: Observation) -> bool:
    return not seen.err and int.from_bytes(seen.data[8:16], "little") == MMIO_BASE


def _seam(program: Sequence[Insn]) -> int:
    """In the middle of what may stand behind a seam; 0 if that is nothing."""
    first = next((at for at in range(len(program), 0, -1) if not _may_follow(program[at - 1])), 0)
    if any(insn.form.name == RETURN_VECTORS for insn in program):
        return 0  # the second half would have the vectors that exit
    if any(insn.form.group == "mem" or _accesses(insn) for insn in program):
        return 0
    return (max(first, 1) + len(program)) // 2 if len(program) - first > 1 else 0


_LOADS = frozenset(form.name for form in pauth.LOADS)


def _accesses(insn: Insn) -> bool:
    return insn.form.name in _LOADS or any(
        word in insn.form.group for word in ("load", "store", "gather", "scatter")
    )


def _may_follow(insn: Insn) -> bool:
    if insn.form.group == "sys" or insn.form.name in pauth.FLOW:
        return False  # a branch to what is next leaves behind where that is
    return not any(
        isinstance(operand.domain, GeneralRegister) and value == _LINK
        for operand, value in zip(insn.form.operands, insn.args, strict=True)
    )


_RETELL: tuple[Callable[[Case, Trace], Retold | None], ...] = (
    _other_order,
    _unread,
    _written_back,
    _split,
)
