"""The ops: frozen steps of a case, each a row that drives every tool.

A class here is a row of the op table: its fields carry their domains, `code` is its
number in the codec, `word` its name in the text form, `lower` its executor form.
"""

from __future__ import annotations

import struct
from dataclasses import MISSING, dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from corpus import registers as regs
from corpus.domain import Choice, Domain, IntRange, TagTable, TextError, Word, quoted
from corpus.fields import (
    CodeDomain,
    DelayDomain,
    EdgeDomain,
    FeatureDomain,
    PartDomain,
    SlotDomain,
    SpanDomain,
    SvcrDomain,
    VqDomain,
)
from corpus.isa.form import Insn
from corpus.readgroups import READ_PAYLOAD
from corpus.values import Pattern, PatternDomain
from corpus.wire import (
    BLOCK,
    EVENTS,
    FILTER,
    LISTS,
    OTHER_SLOT,
    RAM_SIZE,
    ROOM_EXACT,
    SVCR_SHIFT,
    VM_PROTECTED,
    Ask,
    Kind,
    Stranger,
    WireOp,
)

MAX_VCPUS = 3
"""Slots a case may name of its VM; the last one is for the op that migrates."""

MAX_SPAN = 39
"""The most ops in a block."""

GENERIC_V8 = 5
FEATURE_PMU = 1 << 3
FEATURE_SVE = 1 << 4
FEATURE_PTRAUTH = 3 << 5
"""PTRAUTH_ADDRESS and PTRAUTH_GENERIC: a vcpu has both or none (api.rst 4.82)."""
FINALIZE_SVE = 4


def _at(domain: Domain[Any], default: Any = MISSING) -> Any:
    metadata = {"domain": domain}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


_SAME_VM: Domain[int] = IntRange(0, MAX_VCPUS - 1, prefix="v")
_VCPU: Domain[int] = SlotDomain(0, OTHER_SLOT, prefix="v")
_TARGET = Word(4, (GENERIC_V8, 0, 1, 2, 3, 4, 6, 0xFFFFFFFF), {"generic": GENERIC_V8})
_WHAT = Word(4, (FINALIZE_SVE, 0, 1, 2, 3, 5, 9, 7, 0xFFFFFFFC, 0xFFFFFFFF), {"sve": FINALIZE_SVE})
_FLAG = Choice({"no": 0, "yes": 1})
_EDGE = EdgeDomain()
_REG = regs.RegisterDomain()
_VALUE = PatternDomain()
EXACT, ONE_LESS = ROOM_EXACT, ROOM_EXACT - 1
"""Room in a REG_LIST for as many ids as a first call says there are, and for one less."""
_ROOM = Word(2, (1024, 0, 1, 43, 75, 500, EXACT, ONE_LESS), {"exact": EXACT, "one_less": ONE_LESS})
_ESR = Word(8, (0, 1, 0x2A, 0x1FF_FFFF, 0x100_0000, 0x200_0000, 1 << 63))
_MP = Word(4, (0, 5, 10, 1, 2, 3, 4, 6, 8, 9), {"runnable": 0, "stopped": 5, "suspended": 10})


@dataclass(frozen=True, slots=True)
class Op:
    """One step of a case. Concrete ops say what they observe in their docstring."""

    code: ClassVar[int]
    word: ClassVar[str]

    def lower(self) -> WireOp:
        """This op as the executors see it."""
        raise TypeError(f"{type(self).__name__} is no concrete op")


@dataclass(frozen=True, slots=True)
class CreateVcpu(Op):
    """KVM_CREATE_VCPU, in OTHER_SLOT on another VM."""

    code, word = 1, "create"
    vcpu: int = _at(_VCPU)

    def lower(self) -> WireOp:
        return WireOp(Kind.CREATE_VCPU, self.vcpu)


@dataclass(frozen=True, slots=True)
class PreferredTarget(Op):
    """KVM_ARM_PREFERRED_TARGET on the VM: observes struct kvm_vcpu_init."""

    code, word = 2, "preferred-target"

    def lower(self) -> WireOp:
        return WireOp(Kind.PREF_TARGET)


@dataclass(frozen=True, slots=True)
class Init(Op):
    """KVM_ARM_VCPU_INIT, also on a vcpu that was initialised before."""

    code, word = 3, "init"
    vcpu: int = _at(_VCPU)
    features: int = _at(FeatureDomain(), FEATURE_SVE)
    target: int = _at(_TARGET, GENERIC_V8)

    def lower(self) -> WireOp:
        return WireOp(Kind.INIT, self.vcpu, self.target, 0, self.features.to_bytes(28, "little"))


@dataclass(frozen=True, slots=True)
class SetVls(Op):
    """SET_ONE_REG of KVM_REG_ARM64_SVE_VLS; `vqs` has bit vq - 1 set per vector length."""

    code, word = 4, "set-vls"
    vcpu: int = _at(_VCPU)
    vqs: int = _at(VqDomain())

    def lower(self) -> WireOp:
        return WireOp(Kind.SET_REG, self.vcpu, regs.VLS_ID, 0, self.vqs.to_bytes(64, "little"))


@dataclass(frozen=True, slots=True)
class GetVls(Op):
    """GET_ONE_REG of KVM_REG_ARM64_SVE_VLS."""

    code, word = 5, "get-vls"
    vcpu: int = _at(_VCPU)

    def lower(self) -> WireOp:
        return WireOp(Kind.GET_REG, self.vcpu, regs.VLS_ID)


@dataclass(frozen=True, slots=True)
class Finalize(Op):
    """KVM_ARM_VCPU_FINALIZE."""

    code, word = 6, "finalize"
    vcpu: int = _at(_VCPU)
    what: int = _at(_WHAT, FINALIZE_SVE)

    def lower(self) -> WireOp:
        return WireOp(Kind.FINALIZE, self.vcpu, self.what)


@dataclass(frozen=True, slots=True)
class SetReg(Op):
    """KVM_SET_ONE_REG; with `edge` n only the first n bytes of the buffer are mapped."""

    code, word = 7, "set"
    vcpu: int = _at(_VCPU)
    reg: int = _at(_REG)
    value: Pattern = _at(_VALUE)
    edge: int | None = _at(_EDGE, None)

    def lower(self) -> WireOp:
        size = min(regs.size_of(self.reg), 256)
        b = 0 if self.edge is None else 1 + min(self.edge, size)
        return WireOp(Kind.SET_REG, self.vcpu, self.reg, b, self.value.expand(size))


@dataclass(frozen=True, slots=True)
class GetReg(Op):
    """KVM_GET_ONE_REG into a buffer of 0x5a bytes; observes the buffer, also after an error."""

    code, word = 8, "get"
    vcpu: int = _at(_VCPU)
    reg: int = _at(_REG)
    edge: int | None = _at(_EDGE, None)

    def lower(self) -> WireOp:
        size = min(regs.size_of(self.reg), 256)
        b = 0 if self.edge is None else 1 + min(self.edge, size)
        return WireOp(Kind.GET_REG, self.vcpu, self.reg, b)


@dataclass(frozen=True, slots=True)
class RegList(Op):
    """KVM_GET_REG_LIST with room for `room` ids: a number, or as user space does it, which asks
    without room how many there are and then for as many."""

    code, word = 9, "reg-list"
    vcpu: int = _at(_VCPU)
    room: int = _at(_ROOM, 1024)

    def lower(self) -> WireOp:
        return WireOp(Kind.REG_LIST, self.vcpu, self.room)


EPILOGUE = (0xD2AA001E, 0xF90003DF)
"""movz x30, #0x5000, lsl #16; str xzr, [x30]: the MMIO exit that ends a run."""


@lru_cache(maxsize=1024)
def machine_code(program: tuple[Insn, ...]) -> bytes:
    """A guest program's bytes, with the exit after it."""
    words = [word for insn in program for word in insn.words()]
    return struct.pack(f"<{len(words) + 2}I", *words, *EPILOGUE)


@dataclass(frozen=True, slots=True)
class Run(Op):
    """KVM_RUN of a straight-line guest program, at CODE_BASE, until it exits by MMIO."""

    code, word = 10, "run"
    vcpu: int = _at(_VCPU)
    immediate: int = _at(_FLAG, 0)
    program: tuple[Insn, ...] = _at(CodeDomain(), ())

    def lower(self) -> WireOp:
        return WireOp(Kind.RUN, self.vcpu, self.immediate, 0, machine_code(self.program))


@dataclass(frozen=True, slots=True)
class ReadAll(Op):
    """GET_ONE_REG of every vector, core and vector-control register."""

    code, word = 11, "read-all"
    vcpu: int = _at(_VCPU)

    def lower(self) -> WireOp:
        return WireOp(Kind.READ_ALL, self.vcpu, 0, 0, READ_PAYLOAD)


@dataclass(frozen=True, slots=True)
class SetMp(Op):
    """KVM_SET_MP_STATE."""

    code, word = 12, "set-mp"
    vcpu: int = _at(_VCPU)
    state: int = _at(_MP)

    def lower(self) -> WireOp:
        return WireOp(Kind.SET_MP, self.vcpu, self.state)


@dataclass(frozen=True, slots=True)
class GetMp(Op):
    """KVM_GET_MP_STATE."""

    code, word = 13, "get-mp"
    vcpu: int = _at(_VCPU)

    def lower(self) -> WireOp:
        return WireOp(Kind.GET_MP, self.vcpu)


@dataclass(frozen=True, slots=True)
class SetEvents(Op):
    """KVM_SET_VCPU_EVENTS: an SError pending, with a syndrome of the user's if `has_esr`, and a
    synchronous external abort at once. `reserved`: what is in a byte that is to be zero."""

    code, word = 20, "set-events"
    vcpu: int = _at(_VCPU)
    serror: int = _at(_FLAG, 0)
    has_esr: int = _at(_FLAG, 0)
    esr: int = _at(_ESR, 0)
    abort: int = _at(_FLAG, 0)
    reserved: int = _at(Word(1, (0, 1, 0x80)), 0)

    def lower(self) -> WireOp:
        flags = (self.serror, self.has_esr, self.abort, 0)
        payload = EVENTS.pack(*flags, 0, self.esr, *[0] * 11, self.reserved)
        return WireOp(Kind.SET_EVENTS, self.vcpu, 0, 0, payload)


@dataclass(frozen=True, slots=True)
class GetEvents(Op):
    """KVM_GET_VCPU_EVENTS."""

    code, word = 21, "get-events"
    vcpu: int = _at(_VCPU)

    def lower(self) -> WireOp:
        return WireOp(Kind.GET_EVENTS, self.vcpu)


PMU, TIMER, PVTIME = range(3)
"""Groups of a vcpu's attributes: KVM_ARM_VCPU_..._CTRL."""
PMU_INIT = 1
"""The attribute of PMU by which it is set up."""
_GROUP = Word(4, (PMU, TIMER, PVTIME, 5, 1 << 31), {"pmu": PMU, "timer": TIMER, "pvtime": PVTIME})
_ATTRIBUTE = Word(4, (0, 1, 2, 3, 9, 1 << 31))
_ASK = Choice({ask.name.lower(): ask.value for ask in Ask})
_OF_ATTRIBUTE = Word(8, (0, 16, 23, 27, 0x4000_F000, 0x4000_F020, 1 << 40))


@dataclass(frozen=True, slots=True)
class DeviceAttr(Op):
    """KVM_{HAS,GET,SET}_DEVICE_ATTR on a vcpu: of its PMU, timers or stolen time."""

    code, word = 22, "attr"
    vcpu: int = _at(_VCPU)
    ask: int = _at(_ASK)
    group: int = _at(_GROUP)
    attribute: int = _at(_ATTRIBUTE, 0)
    value: int = _at(_OF_ATTRIBUTE, 0)

    def lower(self) -> WireOp:
        which = self.group | self.attribute << 32
        return WireOp(
            Kind.DEVICE_ATTR, self.vcpu, self.ask, which, self.value.to_bytes(8, "little")
        )


_FUNCTION = Word(4, (0x8400_0000, 0x8400_0003, 0xC400_0003, 0x8000_0001, 0xC200_0000, 0))
_COUNT = Word(4, (1, 0, 16, 0x1_0000, 0xFFFF_FFFF))
_ACTION = Word(1, (0, 1, 2, 3), {"handle": 0, "deny": 1, "forward": 2})


@dataclass(frozen=True, slots=True)
class SmcccFilter(Op):
    """KVM_SET_DEVICE_ATTR on the VM: what becomes of the `count` hypercalls from `base` on."""

    code, word = 23, "filter"
    base: int = _at(_FUNCTION)
    count: int = _at(_COUNT, 1)
    action: int = _at(_ACTION, 1)

    def lower(self) -> WireOp:
        payload = FILTER.pack(self.base, self.count, self.action)
        return WireOp(Kind.SMCCC_FILTER, payload=payload)


NISV_TO_USER, MTE, SYSTEM_SUSPEND, EAGER_SPLIT = 177, 205, 216, 228
"""Capabilities of a VM: KVM_CAP_ARM_..."""
_CAP = Word(
    4,
    (NISV_TO_USER, SYSTEM_SUSPEND, EAGER_SPLIT, 0, 0xFFFF, MTE),
    {
        "nisv_to_user": NISV_TO_USER,
        "mte": MTE,
        "system_suspend": SYSTEM_SUSPEND,
        "eager_split": EAGER_SPLIT,
    },
)


@dataclass(frozen=True, slots=True)
class EnableCap(Op):
    """KVM_ENABLE_CAP on the VM."""

    code, word = 24, "enable-cap"
    cap: int = _at(_CAP)
    flags: int = _at(Word(4, (0, 1)), 0)

    def lower(self) -> WireOp:
        return WireOp(Kind.ENABLE_CAP, a=self.cap, b=self.flags)


VM_RESERVED = 1 << 30
"""A bit of a VM's type that means nothing."""
_VM_TYPE = Choice({"protected": VM_PROTECTED, "reserved": VM_RESERVED})


@dataclass(frozen=True, slots=True)
class CreateVm(Op):
    """KVM_CREATE_VM with a type of its own, for a VM in place of the one that a case begins in."""

    code, word = 25, "create-vm"
    type: int = _at(_VM_TYPE)

    def lower(self) -> WireOp:
        return WireOp(Kind.CREATE_VM, a=self.type)


@dataclass(frozen=True, slots=True)
class CreateGic(Op):
    """KVM_CREATE_DEVICE of an interrupt controller that KVM serves, a GICv3 at `wire.GIC_DIST`, set
    up and ready. The VM gets no vcpus any more."""

    code, word = 26, "create-gic"

    def lower(self) -> WireOp:
        return WireOp(Kind.CREATE_GIC)


_OFFSET = IntRange(0x8000, RAM_SIZE - 16, 16)
_LENGTH = IntRange(16, 512, 16)


@dataclass(frozen=True, slots=True)
class ReadMem(Op):
    """User space reads guest RAM."""

    code, word = 14, "read-mem"
    offset: int = _at(_OFFSET)
    length: int = _at(_LENGTH, 256)

    def lower(self) -> WireOp:
        return WireOp(Kind.READ_MEM, 0, self.offset, self.length)


@dataclass(frozen=True, slots=True)
class WriteMem(Op):
    """User space writes guest RAM."""

    code, word = 15, "write-mem"
    offset: int = _at(_OFFSET)
    value: Pattern = _at(_VALUE)
    length: int = _at(_LENGTH, 256)

    def lower(self) -> WireOp:
        return WireOp(Kind.WRITE_MEM, 0, self.offset, 0, self.value.expand(self.length))


HOST_VLS = Word(2, (256, 0, 16, 32, 64, 48, 128, 240, 8, 17, 512, 8192))
"""Vector lengths in bytes that a host thread asks for; 0: none."""


@dataclass(frozen=True, slots=True)
class HostRun(Op):
    """A run by a host thread that has vector state of its own, at a vector length of `vl`
    bytes as prctl(2) takes it; observes that state after the run and after a signal. With
    `svcr`, `vl` is the streaming length, too."""

    code, word = 16, "host-run"
    vcpu: int = _at(_VCPU)
    vl: int = _at(HOST_VLS, 256)
    svcr: int = _at(SvcrDomain(), 0)
    program: tuple[Insn, ...] = _at(CodeDomain(), ())

    def lower(self) -> WireOp:
        b = self.vl | self.svcr << SVCR_SHIFT
        return WireOp(Kind.HOST_RUN, self.vcpu, 0, b, machine_code(self.program))


class _Goal(IntRange):
    """Where a migration ends: a slot. On another leg no case of its own can go on."""

    def parse(self, text: str) -> int:
        if ":" in text:
            raise TextError(f"{quoted(text)} is a leg: vcpufuzz migrate runs what goes there")
        return super().parse(text)


@dataclass(frozen=True, slots=True)
class Migrate(Op):
    """Save every listed register of `vcpu` and restore them on the new vcpu `to`, which is
    initialised with `features`; observes the registers that did not arrive unchanged."""

    code, word = 17, "migrate"
    vcpu: int = _at(_SAME_VM)
    to: int = _at(_Goal(0, MAX_VCPUS - 1, prefix="v"), MAX_VCPUS - 1)
    features: int = _at(FeatureDomain(), FEATURE_SVE)

    def lower(self) -> WireOp:
        init = self.features.to_bytes(28, "little") + GENERIC_V8.to_bytes(4, "little")
        return WireOp(Kind.MIGRATE, self.vcpu, self.to, 0, init + READ_PAYLOAD)


_STRANGER = Choice({stranger.name.lower(): stranger.value for stranger in Stranger})


@dataclass(frozen=True, slots=True)
class Disturb(Op):
    """A stranger around the next `span` ops, which strikes `after` ns from when each begins, a
    run when the guest does; a thread asks for a vector length of `vl` bytes. It changes nothing
    for them. Observes how often it struck, and a thread its own vector state."""

    code, word = 18, "disturb"
    by: int = _at(_STRANGER)
    after: int = _at(DelayDomain(), 0)
    vl: int = _at(HOST_VLS, 256)
    span: int = _at(SpanDomain(0, MAX_SPAN), 1)

    def lower(self) -> WireOp:
        return WireOp(Kind.DISTURB, 0, self.by, self.after, BLOCK.pack(self.span, self.vl))


@dataclass(frozen=True, slots=True)
class Threads(Op):
    """The next `span` ops in two lists, the `first` of them and the others, each list by a thread
    of its own and both at once, the second from `after` ns on. Observes when each op began and
    ended. `corpus.blocks.BESIDE` are the ops that may be in a list; at its beginning may stand a
    run, and two of those run at once."""

    code, word = 19, "threads"
    after: int = _at(DelayDomain(), 0)
    span: int = _at(SpanDomain(0, MAX_SPAN), 1)
    first: int = _at(PartDomain(0, MAX_SPAN), 0)

    def lower(self) -> WireOp:
        return WireOp(Kind.THREADS, 0, 0, self.after, LISTS.pack(self.span, self.first))


OPS: dict[str, type[Op]] = {
    op.word: op
    for op in (
        *(CreateVcpu, PreferredTarget, Init, SetVls, GetVls, Finalize, SetReg, GetReg),
        *(RegList, Run, ReadAll, SetMp, GetMp, ReadMem, WriteMem, HostRun, Migrate, Disturb),
        *(Threads, SetEvents, GetEvents, DeviceAttr, SmcccFilter, EnableCap),
        *(CreateVm, CreateGic),
    )
}
BY_CODE: dict[int, type[Op]] = {op.code: op for op in OPS.values()}
OP_TAGS: TagTable[type[Op]] = TagTable(OPS)
