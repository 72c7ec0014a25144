"""Where a divergence comes from: the op at which it went wrong, and how.

What is seen last is seldom what broke. A value that one op spoils may show in a GET, in a
migration, as a trap in a later run, or as the result of whichever instruction wrote it. So the
case is looked at after each of its ops: the earliest look that shows something wrong tells the op
at fault. Divergences that come from one op in one way are one bucket, however they showed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.table import FORMS, insn
from corpus.ops import (
    CreateVcpu,
    GetReg,
    GetVls,
    HostRun,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetReg,
    WriteMem,
)
from corpus.trace import Trace
from corpus.values import Pattern
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.spec.model import Model
from targets.spec.sets import Set, narrow
from targets.spec.stepper import Stepper

_RAW_ID = re.compile(r"0x[0-9a-f]+")
_NUMBERED = re.compile(r"([zpvx])\d+")
_VECTOR = frozenset({"z", "v", "p", "ffr"})
_LOW = 128
"""Bits of a Z register that AdvSIMD knows."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What makes two divergences the same, apart from who deviates: the op at which it went
    wrong, the rule broken there, and the class of what is wrong. `relation`: of the vector
    lengths, where the cause is an instruction."""

    op_word: str
    rule: str
    what: str
    relation: str = "-"


@dataclass(frozen=True, slots=True)
class Traced:
    """A divergence traced back: a case that ends where it first shows, and why it is there."""

    case: Case
    verdict: Diverge
    cause: Cause


def at_face_value(case: Case, verdict: Diverge) -> Cause:
    """The cause as far as the verdict alone tells."""
    if verdict.fault and verdict.fault.named:
        return Cause(verdict.fault.place or "-", verdict.fault.rule, "")
    rule = responsible(case, verdict)
    relation = verdict.context.relation if verdict.context else "-"
    if _is_of_asimd(rule) and is_tail(verdict.wrong) and verdict.label.startswith("z"):
        rule = "asimd.clears-tail"  # one statement about all of them
    return Cause(verdict.op_word, rule, _what(case, verdict), relation)


def is_tail(wrong: int) -> bool:
    """Whether the wrong bits of a Z register lie above those that AdvSIMD knows."""
    return wrong != 0 and not wrong & (1 << _LOW) - 1


def _is_of_asimd(rule: str) -> bool:
    form = FORMS.get(rule.removeprefix("isa."))
    return form is not None and form.group.startswith(("asimd", "fp"))


def _what(case: Case, verdict: Diverge) -> str:
    op = case.ops[verdict.op_index] if case.ops else None
    what = class_of(verdict.label)
    if isinstance(op, GetReg | SetReg) and what == "":
        what = class_of(regs.name_of(op.reg))
    if verdict.label == "errno":
        return f"{what or 'op'}:{verdict.expected}->{verdict.observed}"
    return what


def class_of(label: str) -> str:
    """z3 -> z, id 0x60... -> raw id, mmio address -> mmio address."""
    if _RAW_ID.fullmatch(label):
        return "raw-id"
    numbered = _NUMBERED.fullmatch(label)
    if numbered:
        return numbered[1]
    return "" if label == "errno" else label


def trace_back(case: Case, name: str, verdict: Diverge, legs: Everywhere) -> Traced:
    """Where what `verdict` says of the leg `name` comes from; a few runs. Raises TransportError."""
    plain = Traced(case, verdict, at_face_value(case, verdict))
    if not case.ops or verdict.fault:
        return plain
    looked = _with_looks(case, verdict.op_index)
    if looked is None:
        return plain
    trace, first = _run(looked.case, name, legs)
    if first is None:
        return plain
    origin = looked.origins[first.op_index]
    if origin is None:  # an op of the case itself, not a look
        if looked.own(first.op_index) == verdict.op_index:
            return plain
        end = Case(looked.case.ops[: first.op_index + 1], case.min_vq)
        return Traced(end, first, at_face_value(end, first))
    culprit = case.ops[origin]
    end = Case(_ending(looked, first.op_index), case.min_vq)
    found = replace(first, op_index=len(end.ops) - 1)
    if looked.is_first(first.op_index) and looked.left_out and len(end.ops) < len(case.ops):
        # There was no room to look earlier: there is, now that less comes after.
        return trace_back(end, name, found, legs)
    if _gives(culprit, found.rule) and not _was_to_keep(looked, first, trace, name, legs):
        wrong_length = _of_wrong_length(end, found, name, legs)
        if wrong_length is not None:
            cause = Cause(_word(culprit), "vl.as-asked", "length")
            return Traced(*wrong_length, cause)
        simpler = _beside_the_writer(end, found, name, legs)
        if simpler is None:
            face = at_face_value(end, found)
            return Traced(end, found, replace(face, op_word=_word(culprit), relation="-"))
        end, found = simpler
    what = class_of(found.label)
    return Traced(end, found, Cause(_word(culprit), KEEPS, "vector" if what in _VECTOR else what))


KEEPS = "keeps"
"""The rule of an op that spoils what it was to leave alone."""

_GIVERS = {
    "isa": ("run", "host-run"),
    "exception": ("run", "host-run"),
    "reset": ("init", "finalize"),
    "init": ("init",),
    "migrate": ("migrate",),
    "reg": ("set",),
    "core": ("set",),
    "sve": ("set",),
    "sys": ("set",),
}
"""By the first word of a rule about values, the ops that give a register such a value."""


def _gives(op: Op, rule: str) -> bool:
    """Whether an op may have given a value that `rule` is about. Any may, of rules that are
    about more."""
    givers = _GIVERS.get(rule.partition(".")[0])
    return givers is None or op.word in givers


def _word(op: Op) -> str:
    return "run" if isinstance(op, HostRun) else op.word


def _run(case: Case, name: str, legs: Everywhere) -> tuple[Trace, Diverge | None]:
    trace = legs.leg(name).run(case)
    verdict = legs.judge_one(case, name, trace)
    wrong = isinstance(verdict, Diverge) and not verdict.fault
    return trace, verdict if wrong and isinstance(verdict, Diverge) else None


@dataclass(frozen=True, slots=True)
class _Looked:
    """A case with looks put in. `origins`: for each look the op of the case that it follows;
    `left_out`: whether there was no room for all."""

    case: Case
    origins: tuple[int | None, ...]
    left_out: bool

    def own(self, index: int) -> int:
        """The place in the case of an op that is its own."""
        return sum(origin is None for origin in self.origins[:index])

    def is_first(self, index: int) -> bool:
        """Whether nothing was looked at before the op that this look follows."""
        origin = self.origins[index]
        return all(before in (None, origin) for before in self.origins[:index])


_SMALL = (SetReg, GetReg, GetVls, ReadAll, RegList, ReadMem, WriteMem, CreateVcpu)
"""Ops that change little and are many: one look after all of them in a row has to do."""


def _with_looks(case: Case, last: int) -> _Looked | None:
    """The case up to an op, with a look at every vcpu before and after each op that may change
    much, as far from the end as there is room; None if there is none."""
    places = [
        index
        for index in range(last)
        if not isinstance(case.ops[index], _SMALL) or not isinstance(case.ops[index + 1], _SMALL)
    ]
    slots = list(dict.fromkeys(op.vcpu for op in case.ops[:last] if isinstance(op, CreateVcpu)))
    room = (MAX_OPS - last - 1) // len(slots) if slots else 0
    if not places or room <= 0:
        return None
    chosen = set(places[-room:])
    ops: list[Op] = []
    origins: list[int | None] = []
    for index, op in enumerate(case.ops[: last + 1]):
        ops.append(op)
        origins.append(None)
        if index in chosen:
            ops += [ReadAll(slot) for slot in slots]
            origins += [index] * len(slots)
    return _Looked(Case(tuple(ops), case.min_vq), tuple(origins), len(chosen) < len(places))


def _ending(looked: _Looked, index: int) -> tuple[Op, ...]:
    """The case's own ops up to the look that shows it, and that look."""
    ops = zip(looked.case.ops[:index], looked.origins[:index], strict=True)
    return (*(op for op, origin in ops if origin is None), looked.case.ops[index])


def _was_to_keep(
    looked: _Looked, verdict: Diverge, trace: Trace, name: str, legs: Everywhere
) -> bool:
    """Whether the value is one that the op before was to leave alone: the look before that
    showed one that is still permitted."""
    slot = getattr(looked.case.ops[verdict.op_index], "vcpu", None)
    stepper = Stepper(Model(legs.machines[name]), looked.case, trace)
    before: int | None = None
    while permitted := stepper.permitted():
        index = stepper.judged
        parts = _parts(permitted.outcomes[0].parts) if permitted.outcomes else {}
        found = parts.get(verdict.label)
        if index == verdict.op_index:
            return found is not None and before is not None and narrow(found[1], before) is not None
        op = looked.case.ops[index]
        if isinstance(op, ReadAll) and op.vcpu == slot:
            seen = stepper.seen
            before = _value(found, seen.data) if found and seen else None
        stepper.narrow(permitted)
    return False


_Placed = tuple[tuple[int, int], Set]


def _parts(parts: Sequence[object]) -> Mapping[str, _Placed]:
    """By label, where in the data a value is, and what it may be."""
    return dict(_placed(parts))


def _placed(parts: Sequence[object]) -> Iterator[tuple[str, _Placed]]:
    at = 0
    for part in parts:
        size, label = getattr(part, "size", 0), getattr(part, "label", "")
        yield label, ((at, at + size), getattr(part, "candidates", ()))
        at += size


def _value(found: _Placed, data: bytes) -> int | None:
    (start, end), _ = found
    return int.from_bytes(data[start:end], "little") if end <= len(data) else None


def _beside_the_writer(
    case: Case, verdict: Diverge, name: str, legs: Everywhere
) -> tuple[Case, Diverge] | None:
    """The case with registers of the same class that nothing in it writes, if those go wrong,
    too: then the instruction that the verdict names is not to blame."""
    run = case.ops[-2] if len(case.ops) > 1 else None
    bystanders = _BYSTANDERS.get(class_of(verdict.label), ())
    if not isinstance(run, Run | HostRun) or not verdict.rule.startswith("isa."):
        return None
    ids = [regs.REGISTERS[one].id for one in bystanders if one != verdict.label]
    sets = [SetReg(run.vcpu, one, Pattern("noise", 1 + n)) for n, one in enumerate(ids)]
    ops = (*case.ops[:-2], *sets, run, *(GetReg(run.vcpu, one) for one in ids))
    if not ids or len(ops) > MAX_OPS:
        return None
    _, again = _run(Case(ops, case.min_vq), name, legs)
    if again is None or again.op_index < len(ops) - len(ids) or again.rule.startswith("isa."):
        return None
    return Case(ops[: again.op_index + 1], case.min_vq), again


def _of_wrong_length(
    case: Case, verdict: Diverge, name: str, legs: Everywhere
) -> tuple[Case, Diverge] | None:
    """The case with the vector length read where its run ends, if that is wrong: then every
    instruction of SVE is, and none is to blame."""
    run = case.ops[-2] if len(case.ops) > 1 else None
    if not isinstance(run, Run | HostRun) or not verdict.rule.startswith("isa."):
        return None
    if len(run.program) >= MAX_PROGRAM:
        return None
    read = replace(run, program=(*run.program, insn("rdvl", _SPARE, 1)))
    ops = (*case.ops[:-2], read, GetReg(run.vcpu, regs.X_IDS[_SPARE]))
    longer = Case(ops, case.min_vq)
    _, again = _run(longer, name, legs)
    if again is None or again.op_index != len(ops) - 1 or again.rule != "isa.rdvl":
        return None
    return longer, again


_SPARE = 28
"""A general register that programs seldom need."""

_BYSTANDERS = {"z": ("z30", "z23", "z17"), "p": ("p14", "p9"), "x": ("x28", "x23")}
"""By class, registers that programs seldom write."""
