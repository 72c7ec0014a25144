"""A vcpu saved on one leg and restored on another, as a VMM does it.

What is saved: every register that KVM_GET_REG_LIST names, MP_STATE, events, and the guest's RAM.
Timers are registers. Before and after, each leg is judged by its own copy of the model; that of the
destination begins with what was restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpus import registers as regs
from corpus.case import Case
from corpus.journey import Journey
from corpus.ops import (
    EXACT,
    GENERIC_V8,
    CreateVcpu,
    Finalize,
    GetEvents,
    GetMp,
    GetReg,
    Init,
    Op,
    RegList,
    SetEvents,
    SetMp,
    SetReg,
    SetVls,
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
    unpack_response,
    unpack_values,
)
from fuzz.oracle.conformance import judge
from fuzz.oracle.facts import time_ran_out
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.base import LOST_TRIES, WireTarget
from targets.spec import onereg
from targets.spec.carried import Carried, Difference, difference, spelling
from targets.spec.model import Model

_VQS_SIZE = 64


@dataclass(frozen=True, slots=True)
class Saved:
    """What left a leg. `registers`: (id, errno of GET, bytes) in the order of the list; `verdict`
    is about what was done before. `why` there is nothing, if so: in one sentence."""

    leg: str
    machine: tuple[str, ...]
    verdict: Verdict
    beyond: bool
    registers: tuple[tuple[int, int, bytes], ...] = ()
    mp_state: int = 0
    events: bytes = bytes(EVENTS.size)
    ram: bytes = b""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of it on another leg. `arriving` and `after` are verdicts about restoring and
    about what was done then, None where it did not come to that; `more`: registers that only the
    destination lists; `refused`: the op that it refused, if it came to an end there."""

    source: str
    leg: str
    before: Verdict
    arriving: Verdict | None = None
    after: Verdict | None = None
    differences: tuple[Difference, ...] = ()
    more: tuple[int, ...] = ()
    refused: str = ""

    @property
    def wrong(self) -> tuple[str, ...]:
        """What no rule permits, each in one sentence."""
        verdicts = (self.before, self.arriving, self.after)
        told = [verdict.explanation for verdict in verdicts if isinstance(verdict, Diverge)]
        return (*told, *(explained(one) for one in self.differences if not one.permitted))


def explained(one: Difference) -> str:
    """A difference in one sentence."""
    register, which = one.register, spelling(one.register.id)
    if register.set_err or register.get_err:
        what, err = ("SET", register.set_err) if register.set_err else ("GET", register.get_err)
        return f"rule {one.rule}: {what} of {which} gives errno {err}"
    saved, found = register.saved[::-1].hex(), register.found[::-1].hex()
    return f"rule {one.rule}: {which} was saved as {saved} and reads as {found}"


def machine(leg: WireTarget) -> tuple[str, ...]:
    """What decides which registers a leg has, and what they can hold."""
    keys = ("lab.kernel_sha256", "release", "mode", "lab.machine", "lab.qemu")
    return tuple(leg.fingerprint.get(key, "") for key in keys)


def save(leg: WireTarget, journey: Journey) -> Saved:
    """Do what comes before the departure, and save. Twice, since what is to be read is listed
    first. Raises TransportError."""
    case, vcpu = journey.before, journey.vcpu
    count = len(case.ops)
    done = [op.lower() for op in case.ops]
    listed = _ran(leg, [*done, RegList(vcpu, EXACT).lower()])
    model = Model(leg.profile)
    before = Trace(listed.observations[:count], listed.ending, listed.log, fault=listed.fault)
    verdict = judge(case, before, leg.profile, lambda _: model)
    bare = Saved(leg.name, machine(leg), verdict, model.beyond)
    if len(listed.observations) <= count or listed.observations[count].err:
        return _nothing(bare, "its registers cannot be listed")
    ids = _ids(listed.observations[count])
    reading = (
        WireOp(Kind.READ_ALL, vcpu, 0, 0, pack_groups((one,) for one in ids)),
        *(GetMp(vcpu).lower(), GetEvents(vcpu).lower()),
        WireOp(Kind.READ_MEM, 0, 0, RAM_SIZE),
    )
    read = _ran(leg, [*done, *reading]).observations[count:]
    if len(read) < len(reading) or any(seen.err for seen in read):
        return _nothing(bare, "its state cannot be read")
    values = zip(ids, unpack_values(read[0].data), strict=True)
    return Saved(
        leg.name,
        bare.machine,
        verdict,
        bare.beyond,
        tuple((reg, err, value) for reg, (err, value) in values),
        int.from_bytes(read[1].data, "little"),
        read[2].data,
        read[3].data,
    )


def _nothing(bare: Saved, why: str) -> Saved:
    return Saved(bare.leg, bare.machine, bare.verdict, bare.beyond, why=why)


def restore(leg: WireTarget, journey: Journey, saved: Saved) -> Arrival:
    """Restore what was saved, and do what comes after the departure. Raises TransportError."""
    vcpu = journey.vcpu
    if saved.why:
        return Arrival(saved.leg, leg.name, saved.verdict, refused=saved.why)
    values = {reg: value for reg, err, value in saved.registers if not err}
    ready = _ready(vcpu, journey.features, values)
    carried = [reg for reg in values if reg != regs.VLS_ID]
    setting: list[Op] = [SetReg(vcpu, reg, _exactly(values[reg])) for reg in carried]
    power: list[Op] = [*_events(vcpu, saved.events), SetMp(vcpu, saved.mp_state)]
    looking: list[Op] = [GetReg(vcpu, reg) for reg in carried]
    looking += [GetMp(vcpu), GetEvents(vcpu)]
    after = list(journey.after.ops)
    ram = WireOp(Kind.WRITE_MEM, 0, 0, 0, saved.ram)
    arriving: list[Op] = [*ready, *setting, *power, *looking]
    lowered = [op.lower() for op in arriving]
    listing = RegList(vcpu, EXACT).lower()
    trace = _ran(leg, [*lowered, listing, ram, *(op.lower() for op in after)])
    model = Model(leg.profile)
    verdict = _judged(model, ready, trace.observations[: len(ready)], trace)
    failed = next((i for i, s in enumerate(trace.observations[: len(ready)]) if s.err), None)
    if isinstance(verdict, Diverge) or failed is not None:
        refused = "" if failed is None else ready[failed].word
        return Arrival(saved.leg, leg.name, saved.verdict, verdict, refused=refused)
    seen = trace.observations[len(ready) : len(arriving)]
    known = [_is_known(model, vcpu, op) for op in arriving[len(ready) :]]
    judged = [op for op, keep in zip(arriving[len(ready) :], known, strict=True) if keep]
    observed = [one for one, keep in zip(seen, known, strict=True) if keep]
    verdict = _judged(model, judged, observed, trace)
    there = _ids(trace.observations[len(arriving)])
    sets, gets = seen[: len(carried)], seen[len(setting) + len(power) :]
    others = [
        Carried(
            *(reg, values[reg], written.err, read.err, read.data),
            listed=reg in there,
            same=machine(leg) == saved.machine,
        )
        for reg, written, read in zip(carried, sets, gets, strict=False)
        if not _is_known(model, vcpu, GetReg(vcpu, reg))
    ]
    model.mem.store(RAM_BASE, len(saved.ram), int.from_bytes(saved.ram, "little"))
    model.beyond = saved.beyond
    stopped = isinstance(verdict, Agree) and bool(verdict.reason)
    last = None
    if isinstance(verdict, Agree) and not stopped:
        last = _judged(model, after, trace.observations[len(arriving) + 2 :], trace, whole=True)
    return Arrival(
        *(saved.leg, leg.name, saved.verdict, verdict, last),
        tuple(found for found in map(difference, others) if found),
        tuple(reg for reg in there if reg not in values),
    )


def _ready(vcpu: int, features: int, values: dict[int, bytes]) -> list[Op]:
    """A vcpu to which registers can be restored."""
    ready: list[Op] = [CreateVcpu(vcpu), Init(vcpu, features, GENERIC_V8)]
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


def _judged(
    model: Model,
    ops: Sequence[Op],
    observations: Sequence[Observation],
    trace: Trace,
    *,
    whole: bool = False,
) -> Verdict:
    """A part of what a leg did, by a model that knows what came before; `whole`: the last part,
    at which how the leg ended is judged, too."""
    over = whole or not trace.observations
    part = Trace(
        tuple(observations),
        trace.ending if over else Ending.OK,
        trace.log,
        fault=trace.fault if over else None,
    )
    return judge(Case(tuple(ops)), part, model.profile, lambda _: model)


def _ran(leg: WireTarget, ops: Sequence[WireOp]) -> Trace:
    """What a leg observes of ops in a fresh VM. One that is lost through no fault of its own, or
    too slow since its machine was busy, is asked again. Raises TransportError."""
    request = pack_request(ops)
    for _ in range(LOST_TRIES):
        reply = leg.transport.collect(leg.transport.submit(request))
        seen = () if reply.response is None else unpack_response(reply.response)
        if reply.ending is not Ending.LOST and not any(map(time_ran_out, seen)):
            break
    return Trace(seen, reply.ending, reply.log, reply.at, reply.fault)


def _ids(seen: Observation) -> tuple[int, ...]:
    """The ids that REG_LIST told, behind their number."""
    words = [seen.data[at : at + 8] for at in range(8, len(seen.data), 8)]
    return tuple(int.from_bytes(word, "little") for word in words)
