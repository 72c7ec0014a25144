"""A vcpu saved on one leg and restored on another, as a VMM does it.

What is saved: every register that KVM_GET_REG_LIST names, MP_STATE, events, and the guest's RAM.
Timers are registers. A VM with an interrupt controller goes on in one that has one, too, which is
a new one: no guest here changes its state. Before and after, each leg is judged by its own copy of
the model; that of the destination begins with what was restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from corpus import registers as regs
from corpus.case import Case
from corpus.journey import Journey
from corpus.ops import (
    EXACT,
    FEATURE_SVE,
    GENERIC_V8,
    CreateGic,
    CreateVcpu,
    Finalize,
    GetEvents,
    GetMp,
    GetReg,
    Init,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    SetEvents,
    SetMp,
    SetReg,
    SetVls,
    WriteMem,
)
from corpus.trace import Ending, Observation, Trace
from corpus.values import Pattern
from corpus.wire import (
    EVENTS,
    RAM_BASE,
    RAM_SIZE,
    Kind,
    WireOp,
    pack_groups,
    pack_request,
    unpack_values,
)
from fuzz.oracle.conformance import bad_ending, judge
from fuzz.oracle.everywhere import LATE_TRIES
from fuzz.oracle.facts import time_ran_out
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.base import WireTarget
from targets.spec import onereg
from targets.spec.carried import Carried, Difference, difference, spelling
from targets.spec.errno import error_name
from targets.spec.model import Model
from targets.transport import TransportError

_VQS_SIZE = 64
NONE: Mapping[int, WireOp] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Saved:
    """What left a leg. `registers`: (id, errno of GET, bytes) in the order of the list; `verdict`
    is about what was done before, and how that and saving ended; `beyond`: registers outside the
    model may have been written; `features`: those of the vcpu; `gic`: its VM has an interrupt
    controller, whose state is not saved. `why` there is nothing, if so: in
    one sentence."""

    leg: str
    machine: Machine
    verdict: Verdict
    beyond: bool
    features: int
    gic: bool = False
    registers: tuple[tuple[int, int, bytes], ...] = ()
    mp_state: int = 0
    events: bytes = bytes(EVENTS.size)
    ram: bytes = b""
    why: str = ""

    @property
    def wrong(self) -> tuple[str, ...]:
        """What no rule permits, each in one sentence."""
        told = [self.verdict.explanation] if isinstance(self.verdict, Diverge) else []
        unread = [(reg, err) for reg, err, _ in self.registers if err]
        return (*told, *(_said("migrate.saves", "GET", reg, err) for reg, err in unread))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of it on another leg. `arriving` and `after` are verdicts about restoring and
    about what was done then, None where it did not come to that, and `ended` is about how that
    ended, if badly; `more`: registers that only the destination lists; `refused`: the first op
    that it refused."""

    saved: Saved
    leg: str
    arriving: Verdict | None = None
    after: Verdict | None = None
    ended: Diverge | None = None
    differences: tuple[Difference, ...] = ()
    more: tuple[int, ...] = ()
    refused: str = ""

    @property
    def source(self) -> str:
        """The leg that it left."""
        return self.saved.leg

    @property
    def wrong(self) -> tuple[str, ...]:
        """What no rule permits, each in one sentence."""
        verdicts = (self.arriving, self.after, self.ended)
        told = [verdict.explanation for verdict in verdicts if isinstance(verdict, Diverge)]
        lost = [explained(one) for one in self.differences if not one.permitted]
        return (*self.saved.wrong, *told, *lost)


def explained(one: Difference) -> str:
    """A difference in one sentence."""
    register = one.register
    for what, err in (("SET", register.set_err), ("GET", register.get_err)):
        if err:
            return _said(one.rule, what, register.id, err)
    saved, found = register.saved[::-1].hex(), register.found[::-1].hex()
    return f"rule {one.rule}: {spelling(register.id)} was saved as {saved} and reads as {found}"


def _said(rule: str, what: str, reg: int, err: int) -> str:
    return f"rule {rule}: {what} of {spelling(reg)} gives {error_name(err)}"


Machine: TypeAlias = tuple[tuple[str, str], ...]


def machine(leg: WireTarget) -> Machine:
    """What decides which registers a leg has, and what they can hold."""
    keys = ("release", "version", "mode", "midr", "lab.kernel_sha256", "lab.machine", "lab.qemu")
    found = leg.fingerprint.items()
    return tuple(sorted(pair for pair in found if pair[0] in keys or pair[0].startswith("id_")))


def save(leg: WireTarget, journey: Journey) -> Saved:
    """Do what comes before the departure, and save. Twice, since what is to be read is listed
    first. Raises TransportError."""
    case, vcpu = journey.before, journey.vcpu
    count = len(case.ops)
    listing = [*case.ops, RegList(vcpu, EXACT)]
    listed = _ran(leg, listing)
    model = Model(leg.profile)
    verdict = _judged(model, case.ops, listed.observations[:count])
    beyond = model.beyond or not isinstance(verdict, Agree) or bool(verdict.reason)
    features = FEATURE_SVE if model.vm.features is None else model.vm.features
    verdict = _worse(verdict, _ended(listing, listed))
    bare = Saved(leg.name, machine(leg), verdict, beyond, features, model.vm.made_gic)
    if len(listed.observations) <= count or listed.observations[count].err:
        return replace(bare, why="its registers cannot be listed")
    ids = _ids(listed.observations[count])
    reading = [*case.ops, ReadAll(vcpu), GetMp(vcpu), GetEvents(vcpu), ReadMem(0, RAM_SIZE)]
    read_all = WireOp(Kind.READ_ALL, vcpu, 0, 0, pack_groups((one,) for one in ids))
    done = _ran(leg, reading, {count: read_all, count + 3: WireOp(Kind.READ_MEM, 0, 0, RAM_SIZE)})
    bare = replace(bare, verdict=_worse(bare.verdict, _ended(reading, done)))
    read = done.observations[count:]
    if len(read) < len(reading) - count or any(seen.err for seen in read):
        return replace(bare, why="its state cannot be read")
    values = zip(ids, unpack_values(read[0].data), strict=True)
    return replace(
        bare,
        registers=tuple((reg, err, value) for reg, (err, value) in values),
        mp_state=int.from_bytes(read[1].data, "little"),
        events=read[2].data,
        ram=read[3].data,
    )


def _worse(verdict: Verdict, ended: Diverge | None) -> Verdict:
    return verdict if isinstance(verdict, Diverge) else ended or verdict


def restore(leg: WireTarget, journey: Journey, saved: Saved) -> Arrival:
    """Restore what was saved, and do what comes after the departure. Raises TransportError."""
    vcpu = journey.vcpu
    if saved.why:
        return Arrival(saved, leg.name, refused=saved.why)
    values = {reg: value for reg, err, value in saved.registers if not err}
    features = saved.features if journey.features is None else journey.features
    ready = _ready(vcpu, features, values, gic=saved.gic)
    carried = [reg for reg in values if reg != regs.VLS_ID]
    setting: list[Op] = [SetReg(vcpu, reg, _exactly(values[reg])) for reg in carried]
    power: list[Op] = [*_events(vcpu, saved.events), SetMp(vcpu, saved.mp_state)]
    looking: list[Op] = [GetReg(vcpu, reg) for reg in carried]
    looking += [GetMp(vcpu), GetEvents(vcpu)]
    arriving: list[Op] = [*ready, *setting, *power, *looking]
    before = [*arriving, RegList(vcpu, EXACT), WriteMem(0, Pattern("int", 0), 1)]
    # No op writes as much as all of RAM.
    ram = {len(before) - 1: WireOp(Kind.WRITE_MEM, 0, 0, 0, saved.ram)}
    every = [*before, *journey.after.ops]
    trace = _ran(leg, every, ram)
    model = Model(leg.profile)
    verdict = _judged(model, ready, trace.observations[: len(ready)])
    refused = next(
        (op.word for op, seen in zip(ready, trace.observations, strict=False) if seen.err), ""
    )
    arrival = Arrival(saved, leg.name, verdict, ended=_ended(every, trace), refused=refused)
    if isinstance(verdict, Diverge) or refused or len(trace.observations) <= len(arriving):
        return arrival
    seen = trace.observations[len(ready) : len(arriving)]
    known = [_is_known(model, vcpu, op) for op in arriving[len(ready) :]]
    judged = [op for op, keep in zip(arriving[len(ready) :], known, strict=True) if keep]
    observed = [one for one, keep in zip(seen, known, strict=True) if keep]
    verdict = _judged(model, judged, observed)
    there = _ids(trace.observations[len(arriving)])
    sets, rest = seen[: len(carried)], seen[len(carried) :]
    others = [
        Carried(
            *(reg, values[reg], written.err, read.err, read.data),
            listed=reg in there,
            same=machine(leg) == saved.machine,
        )
        for reg, written, read in zip(carried, sets, rest[len(power) :], strict=False)
        if not _is_known(model, vcpu, GetReg(vcpu, reg))
    ]
    model.mem.store(RAM_BASE, len(saved.ram), int.from_bytes(saved.ram, "little"))
    model.beyond = saved.beyond
    last = None
    if isinstance(verdict, Agree) and not verdict.reason:
        last = _judged(model, journey.after.ops, trace.observations[len(before) :])
    listed = {reg for reg, _, _ in saved.registers}
    return replace(
        arrival,
        arriving=verdict,
        after=last,
        differences=tuple(found for found in map(difference, others) if found),
        more=tuple(reg for reg in there if reg not in listed),
        refused=next((op.word for op, one in zip(power, rest, strict=False) if one.err), ""),
    )


def _ready(vcpu: int, features: int, values: dict[int, bytes], *, gic: bool) -> list[Op]:
    """A vcpu to which registers can be restored."""
    ready: list[Op] = [CreateVcpu(vcpu), Init(vcpu, features, GENERIC_V8)]
    if gic:
        ready.append(CreateGic())
    vls = values.get(regs.VLS_ID)
    if vls is not None:
        ready += [SetVls(vcpu, int.from_bytes(vls[:_VQS_SIZE], "little")), Finalize(vcpu)]
    return ready


def _exactly(value: bytes) -> Pattern:
    return Pattern("int", int.from_bytes(value, "little"))


def _events(vcpu: int, events: bytes) -> list[Op]:
    """What a VMM sets of the events that it got: an SError that pends, if one does."""
    pending, has_esr, _, _, _, esr, *_ = EVENTS.unpack(events)
    return [SetEvents(vcpu, 1, has_esr, esr)] if pending else []


def _is_known(model: Model, vcpu: int, op: Op) -> bool:
    """Whether the model follows what an op is about."""
    if not isinstance(op, SetReg | GetReg):
        return True
    found = onereg.find(model.vm, model.vm.vcpus[vcpu], model.profile, op.reg)
    return not isinstance(found, onereg.NotModelled)


def _judged(model: Model, ops: Sequence[Op], observations: Sequence[Observation]) -> Verdict:
    """A part of what a leg did, as far as it came, by a model that knows what came before."""
    done = Case(tuple(ops[: len(observations)]))
    return judge(done, Trace(tuple(observations)), model.profile, lambda _: model)


def _ended(ops: Sequence[Op], trace: Trace) -> Diverge | None:
    """How a leg ended, if badly."""
    if trace.ending is Ending.OK:
        return None
    return bad_ending(Case(tuple(ops)), trace, frozenset())


def _ran(leg: WireTarget, ops: Sequence[Op], others: Mapping[int, WireOp] = NONE) -> Trace:
    """What a leg observes of ops in a fresh VM; `others`: what it is given instead of some, by
    place. One that is too slow since its machine was busy is asked again. Raises
    TransportError."""
    lowered = [others.get(place) or op.lower() for place, op in enumerate(ops)]
    request = pack_request(lowered)
    for _ in range(LATE_TRIES):
        trace = leg.run_as(Case(tuple(ops)), request)
        if not any(map(time_ran_out, trace.observations)):
            break
    if trace.ending is Ending.OK and len(trace.observations) != len(ops):
        raise TransportError(f"{leg.name} did not answer every op that it was given.")
    return trace


def _ids(seen: Observation) -> tuple[int, ...]:
    """The ids that REG_LIST told, behind their number."""
    words = [seen.data[at : at + 8] for at in range(8, len(seen.data), 8)]
    return tuple(int.from_bytes(word, "little") for word in words)
