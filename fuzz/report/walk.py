"""A case walked through with the specification: what each call does, by which rule, and where one
fails, what order would have worked. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from corpus.case import MAX_OPS, Case
from corpus.ops import (
    EXACT,
    PMU,
    PMU_INIT,
    CreateVcpu,
    CreateVm,
    DeviceAttr,
    Finalize,
    GetReg,
    Init,
    Migrate,
    Op,
    RegList,
    Run,
    SetReg,
    SetVls,
)
from corpus.registers import V_IDS, Z_IDS
from corpus.text import format_op
from corpus.wire import VM_PROTECTED, Ask
from fuzz.report.remarks import NONE, Remarks, short
from fuzz.reproduce.kselftest import reference
from targets.profile import Profile
from targets.spec import protected
from targets.spec.errno import EINTR, error_name
from targets.spec.errors import Unpredictable
from targets.spec.hexdump import show
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.rules import RULES

MOST_VALUES = 12
"""Values of one op that are told."""
WIDTH = 76
_LIVES = CreateVcpu, Init, SetVls, Finalize, Migrate
"""Ops that make up the life of a vcpu."""
_BY_OTHERS = frozenset(
    {
        *("attr.pvtime-outside", "attr.pvtime-set"),
        *("enable.late-split", "run.pmu-not-created"),
    }
)
"""Rules about what a VMM does that no op says, with memory and devices: it may be otherwise than
in the case."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one op may do. `outcomes`: errnos; `values`: label and what it may be, those that are
    not zero; `order`: what would have made it succeed; `silent`: the specification says no
    more, and why. Of a recording, `recorded`: the errno, `ran`: how the guest exited, `beside`:
    calls behind it that no op says."""

    op: Op
    rule: str
    outcomes: tuple[int, ...]
    values: tuple[tuple[str, str], ...] = ()
    order: str = ""
    silent: str = ""
    recorded: int | None = None
    ran: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def is_odd(self) -> bool:
        """Whether it was recorded to end as the specification does not permit."""
        return self.is_otherwise and self.rule not in _BY_OTHERS

    @property
    def is_otherwise(self) -> bool:
        """Whether it was recorded to end otherwise than it does in the case."""
        if self.ran:
            wrong = not {0, EINTR}.intersection(self.outcomes)
        else:
            wrong = self.recorded is not None and self.recorded not in self.outcomes
        return wrong and bool(self.outcomes)

    @property
    def fails(self) -> bool:
        """Whether it surely fails."""
        return bool(self.outcomes) and 0 not in self.outcomes


def any_machine(case: Case) -> Profile:
    """The machine that a case is explained for where none is named: the newest kernel that is
    known, with everything. What some machines have and others not, such as FPMR, is left open."""
    machine = replace(reference((1 << 16) - 1), fpmr=None, rpres=None)
    wants_protected = CreateVm(VM_PROTECTED) in case.ops
    return replace(machine, mode=protected.MODE) if wants_protected else machine


def walk(case: Case, profile: Profile, remarks: Remarks = NONE) -> Iterator[Step]:
    """Every op in order, up to where the specification says no more. Where an op may do several
    things it is taken to have done what `remarks` say, else the first. Behind a run that was only
    recorded, or a change that no op says, no values are told."""
    model = Model(profile)
    unknown = False
    for number, op in enumerate(case.ops):
        recorded = remarks.recorded(number)
        model.vm.gic = model.vm.gic or remarks.makes_gic(number)
        try:
            permitted = model.step(op)
        except Unpredictable as stop:
            yield Step(op, "", (), silent=str(stop))
            return
        outcomes = tuple(dict.fromkeys(outcome.err for outcome in permitted.outcomes))
        values = () if unknown else tuple(_values(permitted, recorded))
        step = Step(op, _rule(permitted), outcomes, values, recorded=recorded)
        step = replace(step, ran=remarks.ran(number), beside=remarks.beside(number))
        may_do_well = not outcomes or _doing_well(op) in outcomes
        if not may_do_well and (step.is_odd or not step.ran):
            step = replace(step, order=better(case, number, profile))
        unknown = unknown or bool(step.ran) or step.is_otherwise or remarks.changed(number)
        yield step
        chosen = _done(permitted, recorded)
        effect = chosen.effect if chosen else permitted.if_done
        if effect:
            effect()


def _done(permitted: Permitted, recorded: int | None) -> Outcome | None:
    """What an op is taken to have done."""
    outcomes = permitted.outcomes
    return next((one for one in outcomes if one.err == recorded), outcomes[0] if outcomes else None)


def _rule(permitted: Permitted) -> str:
    """The rule of what is seen: of the instruction that ended a run, where one did."""
    origins = permitted.origins or {}
    return origins.get("mmio address", permitted.rule)


def _values(permitted: Permitted, recorded: int | None) -> Iterator[tuple[str, str]]:
    outcome = _done(permitted, recorded) or Outcome()
    told = 0
    for part in outcome.parts:
        if not part.label or not _telling(part):
            continue
        if told == MOST_VALUES:
            yield "...", "and more"
            return
        told += 1
        yield part.label, " or ".join(show(c, part.size) for c in part.candidates)


def _telling(part: Part) -> bool:
    """Whether it is neither surely zero nor anything at all."""
    if len(part.candidates) > 1:
        return True
    value, mask = part.candidates[0]
    return bool(value) or 0 < mask < (1 << 8 * part.size) - 1


def better(case: Case, number: int, profile: Profile) -> str:
    """The least change of order that makes op `number` succeed where it stands, or earlier; empty
    if there is none of the kinds that are tried."""
    ops = case.ops
    places = _places(ops, number)
    for other in _otherwise(ops, number):
        if _succeeds((*ops[:number], other), profile):
            return f"as `{_line(other)}` it succeeds"
    for at in places:
        if _succeeds((*ops[:at], ops[number]), profile):
            return f"before step {at + 1} (`{_line(ops[at])}`) it succeeds"
    for missing in _missing(ops, number):
        said = ", ".join(f"`{_line(op)}`" for op in missing)
        for at in (number, *places):
            if _succeeds((*ops[:at], *missing, *ops[at : number + 1]), profile):
                where = "right before it" if at == number else f"before step {at + 1}"
                return f"with {said} {where} it succeeds"
    for at in places:
        if _succeeds((*ops[:at], *ops[at + 1 : number + 1]), profile):
            return f"without step {at + 1} (`{_line(ops[at])}`) it succeeds"
    return ""


def _places(ops: Sequence[Op], number: int) -> list[int]:
    """Ops before one that may be the reason why it fails, the last first. Of a long case, which
    has hundreds of registers, runs and lists, only what makes up the lives of its vcpus: each takes
    a run of all of the case."""
    places = range(number - 1, -1, -1)
    if len(ops) <= MAX_OPS:
        return list(places)
    return [at for at in places if isinstance(ops[at], _LIVES)]


def _otherwise(ops: Sequence[Op], number: int) -> Iterator[Op]:
    """The same op with the features that an earlier INIT had, as those of a VM are alike; a list
    with as much room as it takes; a V register as a part of a Z register."""
    op = ops[number]
    if isinstance(op, RegList):
        yield replace(op, room=EXACT)
    if isinstance(op, SetReg | GetReg) and op.reg in V_IDS:
        yield replace(op, reg=Z_IDS[V_IDS.index(op.reg)])
    if isinstance(op, Init | Migrate):
        for earlier in ops[:number]:
            if isinstance(earlier, Init | Migrate) and earlier.features != op.features:
                yield replace(op, features=earlier.features)


def _missing(ops: Sequence[Op], number: int) -> Iterator[tuple[Op, ...]]:
    """Ops that may be missing before one, the fewest first: the life of its vcpu."""
    vcpu = getattr(ops[number], "vcpu", None)
    if vcpu is None:
        return
    features = [op.features for op in ops if isinstance(op, Init | Migrate)]
    create, init, finalize = CreateVcpu(vcpu), Init(vcpu, *features[:1]), Finalize(vcpu)
    pmu = DeviceAttr(vcpu, Ask.SET, PMU, PMU_INIT)
    yield from ((finalize,), (init,), (create,), (pmu,))
    yield from ((init, finalize), (create, init), (create, init, finalize))


def _succeeds(ops: Sequence[Op], profile: Profile) -> bool:
    """Whether the last op surely does."""
    model = Model(profile)
    try:
        for op in ops:
            permitted = model.step(op)
            effect = permitted.outcomes[0].effect if permitted.outcomes else permitted.if_done
            if effect:
                effect()
    except Unpredictable:
        return False
    return {outcome.err for outcome in permitted.outcomes} == {_doing_well(ops[-1])}


def _doing_well(op: Op) -> int:
    """The errno of an op that ends as it is meant to."""
    return EINTR if isinstance(op, Run) and op.immediate else 0


def _line(op: Op) -> str:
    return format_op(op).partition("\n")[0].removesuffix("{").strip()


def lines(number: int, step: Step, count: int = 1) -> Iterator[str]:
    """A step for people, or so many that are alike."""
    more = f" and {count - 1} more like it" if count > 1 else ""
    yield f"{number}. {_line(step.op)}{more}"
    if step.silent:
        yield from _indented(f"Here the specification says no more: {step.silent}.")
        return
    if not step.outcomes:
        yield from _indented("The specification is silent: anything is permitted.")
        return
    if step.ran and step.outcomes == (EINTR,):
        yield from _recorded(step)
        return
    names = " or ".join(_named(err) for err in step.outcomes)
    rule = RULES.get(step.rule)
    why = f"{rule.text} ({rule.source})" if rule else ""
    yield from _indented(f"{names}, by {step.rule}" + (f": {why}" if why else ""))
    for label, value in step.values:
        yield from _indented(f"{label} = {value}")
    if step.order:
        yield from _indented(f"What would have worked: {step.order}.")
    yield from _recorded(step)


def _named(err: int) -> str:
    return error_name(err) if err else "succeeds"


def _ended(err: int) -> str:
    return error_name(err) if err else f"it {_named(err)}"


def _recorded(step: Step) -> Iterator[str]:
    """What a recording says of a step."""
    if step.is_odd:
        how = "the guest ran" if step.ran else _ended(step.recorded or 0)
        yield from _indented(f"Recorded: {how}, which the specification does not permit here.")
    elif step.is_otherwise:
        how = "the guest ran" if step.ran else _ended(step.recorded or 0)
        why = "that goes by memory and devices, of which the case has not those of the VMM"
        yield from _indented(f"Recorded: {how}; {why}.")
    elif len(step.outcomes) > 1 and step.recorded is not None and not step.ran:
        yield from _indented(f"Recorded: {_named(step.recorded)}.")
    for exit_ in step.ran:
        yield from _indented(f"Recorded: the guest ran; exit {exit_}.")
    for other in step.beside:
        yield from _indented(f"Then, in no op: {short(other)}.")


def folded(steps: Iterable[Step]) -> Iterator[tuple[int, int, Step]]:
    """Steps with their number, and how many there are of each: those in a row that differ only in
    the register, and of which there is nothing to tell, are one."""
    first, count, kept = 1, 0, None
    for step in steps:
        if kept is not None and _alike(kept, step):
            count += 1
            kept = replace(kept, beside=step.beside)
            continue
        if kept is not None:
            yield first, count, kept
            first += count
        kept, count = step, 1
    if kept is not None:
        yield first, count, kept


def _alike(one: Step, other: Step) -> bool:
    if type(one.op) is not type(other.op) or not isinstance(one.op, SetReg | GetReg):
        return False
    plain = all(not (s.values or s.order or s.silent or s.is_odd or s.fails) for s in (one, other))
    same = (one.rule, one.outcomes, one.recorded) == (other.rule, other.outcomes, other.recorded)
    return plain and same and not one.beside and len(one.outcomes) == 1


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )
