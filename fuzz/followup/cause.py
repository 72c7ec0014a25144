"""Where a divergence comes from: the op at which it went wrong, and how.

What is seen last is seldom what broke. A value that one op spoils may show in a GET, in a
migration, as a trap in a later run, or as the result of whichever instruction wrote it. So the
case is looked at after each of its ops: the earliest look that shows something wrong tells the op
at fault. Divergences that come from one op in one way are one bucket, however they showed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus import registers as regs
from corpus.blocks import unbroken
from corpus.case import MAX_OPS, Case
from corpus.isa.table import FORMS
from corpus.ops import (
    CreateVcpu,
    GetReg,
    GetVls,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetReg,
    WriteMem,
)
from corpus.readgroups import READ_GROUPS
from corpus.trace import Trace
from fuzz.followup.blame import (
    Bench,
    beside_the_writer,
    by_an_earlier_one,
    by_other_writers,
    class_of,
    of_wrong_length,
    word_of,
    wrote,
)
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.spec.cpu import FP_CAPS
from targets.spec.model import Model
from targets.spec.permitted import Permitted
from targets.spec.sets import Set, narrow
from targets.spec.stepper import Stepper

VECTOR = frozenset({"z", "v", "p", "ffr"})
"""Classes of registers that are one thing to those who save and restore them."""
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
    what = _what(case, verdict)
    if what in VECTOR and not rule.startswith(("isa.", "asimd.")):
        what, relation = "vector", "-"  # those who save and restore them tell them not apart
    return Cause(_word(case, verdict), rule, what, relation)


def is_tail(wrong: int) -> bool:
    """Whether the wrong bits of a Z register lie above those that AdvSIMD knows."""
    return wrong != 0 and not wrong & (1 << _LOW) - 1


def _is_of_asimd(rule: str) -> bool:
    form = FORMS.get(rule.removeprefix("isa."))
    return form is not None and form.cap in FP_CAPS


def _word(case: Case, verdict: Diverge) -> str:
    return word_of(case.ops[verdict.op_index]) if case.ops else verdict.op_word


def _what(case: Case, verdict: Diverge) -> str:
    op = case.ops[verdict.op_index] if case.ops else None
    what = class_of(verdict.label)
    if isinstance(op, GetReg | SetReg) and what == "" and op.reg != regs.VLS_ID:
        what = class_of(regs.name_of(op.reg))
    if verdict.label == "errno":
        return f"{what or 'op'}:{verdict.expected}->{verdict.observed}"
    return what


def trace_back(case: Case, name: str, verdict: Diverge, legs: Everywhere) -> Traced:
    """Where what `verdict` says of the leg `name` comes from; a few runs. Raises TransportError."""
    if not case.ops or verdict.fault:
        return Traced(case, verdict, at_face_value(case, verdict))
    bench = Bench(name, legs)
    looked = _with_looks(case, verdict)
    if looked is None:
        return _as_seen(case, verdict, bench)
    trace, first = bench.run(looked.case)
    if first is None:
        return _as_seen(case, verdict, bench)
    origin = looked.origins[first.op_index]
    if origin is None:  # an op of the case itself, not a look
        if looked.own(first.op_index) == verdict.op_index:
            return _as_seen(case, verdict, bench)
        end = Case(looked.case.ops[: first.op_index + 1], case.min_vq)
        return _as_seen(end, first, bench)
    culprit = case.ops[origin]
    end = Case(_ending(looked, first.op_index), case.min_vq)
    found = replace(first, op_index=len(end.ops) - 1)
    if looked.is_first(first.op_index) and looked.left_out and len(end.ops) < len(case.ops):
        # There was no room to look earlier: there is, now that less comes after.
        return trace_back(end, name, found, legs)
    if _gives(culprit, found.rule) and not _was_to_keep(looked, first, trace, bench):
        wrong_length = of_wrong_length(end, found, bench)
        if wrong_length is not None:
            return Traced(*wrong_length, LENGTH)
        end, found = by_an_earlier_one(end, found, bench) or (end, found)
        simpler = beside_the_writer(end, found, bench) or by_other_writers(end, found, bench)
        if simpler is None:
            face = at_face_value(end, found)
            return Traced(end, found, replace(face, op_word=word_of(culprit), relation="-"))
        end, found = simpler
    what = class_of(found.label)
    cause = Cause(word_of(culprit), KEEPS, "vector" if what in VECTOR else what)
    return Traced(end, found, cause)


def _as_seen(case: Case, verdict: Diverge, bench: Bench) -> Traced:
    """What shows at an op of the case itself: at face value, unless a run ended otherwise
    because its vector length was wrong, or for what an earlier instruction left."""
    wrong_length = of_wrong_length(case, verdict, bench)
    if wrong_length is not None:
        return Traced(*wrong_length, LENGTH)
    earlier = by_an_earlier_one(case, verdict, bench)
    if earlier is not None:
        face = at_face_value(*earlier)
        return Traced(*earlier, replace(face, op_word=Run.word, relation="-"))
    return Traced(case, verdict, at_face_value(case, verdict))


LENGTH = Cause("run", "vl.as-asked", "length")
"""A run has another vector length than was asked for."""
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
    "sysreg": ("set",),
}
"""By the first word of a rule about values, the ops that give a register such a value."""


def _gives(op: Op, rule: str) -> bool:
    """Whether an op may have given a value that `rule` is about. Any may, of rules that are
    about more."""
    givers = _GIVERS.get(rule.partition(".")[0])
    return givers is None or op.word in givers


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

    def before(self, index: int) -> Op:
        """The op of the case that the look at a place follows."""
        return next(self.case.ops[at] for at in reversed(range(index)) if self.origins[at] is None)

    def is_first(self, index: int) -> bool:
        """Whether nothing was looked at before the op that this look follows."""
        origin = self.origins[index]
        return all(before in (None, origin) for before in self.origins[:index])


_READ = frozenset(reg for group in READ_GROUPS for reg in group)
"""Registers that a look at all reads."""
_SMALL = (SetReg, GetReg, GetVls, ReadAll, RegList, ReadMem, WriteMem, CreateVcpu)
"""Ops that change little and are many: one look after all of them in a row has to do."""


def _with_looks(case: Case, verdict: Diverge) -> _Looked | None:
    """The case up to the op that shows it, with a look at every vcpu before and after each op
    that may change much, as far from the end as there is room; None if there is none."""
    last = verdict.op_index
    whole = unbroken(case.ops)
    places = [
        index
        for index in range(last)
        if index not in whole
        and not (isinstance(case.ops[index], _SMALL) and isinstance(case.ops[index + 1], _SMALL))
    ]
    slots = list(dict.fromkeys(slots_of(case.ops[:last])))
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
            ops += [_look_at(slot, case.ops[last], verdict) for slot in slots]
            origins += [index] * len(slots)
    return _Looked(Case(tuple(ops), case.min_vq), tuple(origins), len(chosen) < len(places))


def slots_of(ops: Sequence[Op]) -> Iterator[int]:
    """Slots of the vcpus that ops create."""
    for op in ops:
        if isinstance(op, CreateVcpu):
            yield op.vcpu
        elif isinstance(op, Migrate):
            yield op.to


def _look_at(slot: int, seen: Op, verdict: Diverge) -> Op:
    """A look at a vcpu: at all that is mostly read, or at a value that only a GET reads."""
    reg = seen.reg if isinstance(seen, GetReg) else None
    if reg is not None and reg not in _READ and regs.name_of(reg) == verdict.label:
        return GetReg(slot, reg)
    return ReadAll(slot)


def _ending(looked: _Looked, index: int) -> tuple[Op, ...]:
    """The case's own ops up to the look that shows it, and that look."""
    ops = zip(looked.case.ops[:index], looked.origins[:index], strict=True)
    return (*(op for op, origin in ops if origin is None), looked.case.ops[index])


def _was_to_keep(looked: _Looked, verdict: Diverge, trace: Trace, bench: Bench) -> bool:
    """Whether the value is one that the op before was to leave alone: the look before that
    showed one that is still permitted, and the op did not write it anew."""
    slot = getattr(looked.case.ops[verdict.op_index], "vcpu", None)
    if wrote(looked.before(verdict.op_index), verdict.rule):
        return False
    stepper = Stepper(Model(bench.legs.machines[bench.name]), looked.case, trace)
    before: int | None = None
    while permitted := stepper.permitted():
        where, candidates = _placed(permitted).get(verdict.label, (slice(None), ()))
        if stepper.judged == verdict.op_index:
            return before is not None and narrow(candidates, before) is not None
        op, seen = stepper.op, stepper.seen
        if candidates and seen and getattr(op, "vcpu", None) == slot:
            before = int.from_bytes(seen.data[where], "little")
        stepper.narrow(permitted)
    return False


def _placed(permitted: Permitted) -> Mapping[str, tuple[slice, Set]]:
    """By label, where in the data a value is, and what it may be."""
    found: dict[str, tuple[slice, Set]] = {}
    at = 0
    for part in permitted.outcomes[0].parts if permitted.outcomes else ():
        found[part.label] = slice(at, at + part.size), part.candidates
        at += part.size
    return found
