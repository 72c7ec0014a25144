"""A recorded call as an op, or in words where no op says it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from corpus import ops as o
from corpus import registers as regs
from corpus.ops import Op
from corpus.values import Pattern
from corpus.wire import EVENTS
from fuzz.record.log import Ioctl, Nr
from fuzz.report.remarks import SET_OTHERWISE
from targets.spec import onereg
from targets.spec.errno import EFAULT

V = 0
"""The slot of the vcpu whose case it is."""
_ONE_REG = struct.Struct("<QQ")
_MOST_ROOM = o.ONE_LESS - 1
"""More room than KVM has ids; the numbers behind it mean something else in an op."""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What no op says. `words`: which call it is; `detail`: what is its own about it; `why` no op
    says it, in words that go on "calls that are remarks here: "."""

    words: str
    detail: str
    why: str


def op_of(call: Ioctl, on_vm: bool = False) -> Op | Unsaid:
    """What a call on a vcpu, or one that makes it, is in a case; or one on its VM."""
    make = (_VM_CALLS if on_vm else _CALLS).get(call.number)
    if make and call.number in _ANSWERS and call.err == EFAULT:
        return _unreadable(call)
    return make(call) if make else Unsaid(name(call.request, on_vm), "", "other KVM ioctls")


def _create(_call: Ioctl) -> Op:
    return o.CreateVcpu(V)


def _preferred(_call: Ioctl) -> Op:
    return o.PreferredTarget()


def _init(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) < 32:
        return _unreadable(call)
    return o.Init(V, int.from_bytes(given[4:32], "little"), int.from_bytes(given[:4], "little"))


def _finalize(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    return o.Finalize(V, int.from_bytes(given, "little")) if len(given) == 4 else _unreadable(call)


def _set(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) < _ONE_REG.size:
        return _unreadable(call)
    reg, data = _register(given), given[_ONE_REG.size :]
    if not onereg.is_modelled(reg):
        return Unsaid(SET, f"{regs.name_of(reg)}={_number(data)}", BEYOND)
    size = min(regs.size_of(reg), 256)
    if reg == regs.VLS_ID and len(data) == size:
        return o.SetVls(V, int.from_bytes(data, "little"))
    pattern = pattern_of(data[:size])
    if pattern is None or reg == regs.VLS_ID:
        return Unsaid(SET_OTHERWISE, f"{regs.name_of(reg)}={_number(data[:size])}", NO_PATTERN)
    return o.SetReg(V, reg, pattern, len(data) if len(data) < size else None)


def _get(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) < _ONE_REG.size:
        return _unreadable(call)
    reg = _register(given)
    if not onereg.is_modelled(reg):
        return Unsaid(GET, regs.name_of(reg), BEYOND)
    return o.GetVls(V) if reg == regs.VLS_ID else o.GetReg(V, reg)


def _list(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) != 8:
        return _unreadable(call)
    return o.RegList(V, min(int.from_bytes(given, "little"), _MOST_ROOM))


def _set_mp(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    return o.SetMp(V, int.from_bytes(given, "little")) if len(given) == 4 else _unreadable(call)


def _get_mp(_call: Ioctl) -> Op:
    return o.GetMp(V)


def _set_events(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) != EVENTS.size:
        return _unreadable(call)
    serror, has_esr, abort, _, _, esr, *reserved = EVENTS.unpack(given)
    op = o.SetEvents(V, serror & 1, has_esr & 1, esr, abort & 1, reserved[-1] & 0xFF)
    if op.lower().payload != given:
        return Unsaid(name(call.request), _number(given), "events that no op sets")
    return op


def _get_events(_call: Ioctl) -> Op:
    return o.GetEvents(V)


def _run(_call: Ioctl) -> Op:
    """What KVM_RUN does before the guest: its code is not known, so it is not entered."""
    return o.Run(V, 1)


_CALLS: dict[int, Callable[[Ioctl], Op | Unsaid]] = {
    Nr.CREATE_VCPU: _create,
    Nr.INIT: _init,
    Nr.FINALIZE: _finalize,
    Nr.SET_ONE_REG: _set,
    Nr.GET_ONE_REG: _get,
    Nr.REG_LIST: _list,
    Nr.SET_MP: _set_mp,
    Nr.GET_MP: _get_mp,
    Nr.SET_EVENTS: _set_events,
    Nr.GET_EVENTS: _get_events,
    Nr.RUN: _run,
}
_VM_CALLS: dict[int, Callable[[Ioctl], Op | Unsaid]] = {Nr.PREFERRED_TARGET: _preferred}
_ANSWERS = frozenset(
    (Nr.GET_ONE_REG, Nr.REG_LIST, Nr.GET_MP, Nr.GET_EVENTS, Nr.PREFERRED_TARGET),
)
"""Calls that fail with EFAULT where their answer has no place, of which an op always has enough."""

SET, GET = "set of other registers", "get of other registers"
BEYOND = "registers outside the specification"
NO_PATTERN = "values that no pattern gives"


def _unreadable(call: Ioctl) -> Unsaid:
    return Unsaid(name(call.request), "", "arguments that are not mapped")


def _register(given: bytes) -> int:
    return int(_ONE_REG.unpack_from(given)[0])


def _number(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}"


def pattern_of(data: bytes) -> Pattern | None:
    """The simplest pattern whose expansion these bytes are; None if there is none."""
    number = int.from_bytes(data, "little")
    tried = (
        Pattern("int", number & (1 << 64) - 1),
        Pattern("fill", data[0] if data else 0),
        Pattern("ones", number.bit_length()),
        Pattern("count", data[0] if data else 0),
    )
    return next((one for one in tried if one.expand(len(data)) == data), None)


_NAMES = {
    0x00: "KVM_GET_API_VERSION",
    0x03: "KVM_CHECK_EXTENSION",
    0x04: "KVM_GET_VCPU_MMAP_SIZE",
    0x46: "KVM_SET_USER_MEMORY_REGION",
    0x49: "KVM_SET_USER_MEMORY_REGION2",
    0x61: "KVM_IRQ_LINE",
    0x6A: "KVM_SET_GSI_ROUTING",
    0x76: "KVM_IRQFD",
    0x79: "KVM_IOEVENTFD",
    0x8B: "KVM_SET_SIGNAL_MASK",
    0x9B: "KVM_SET_GUEST_DEBUG",
    0xA3: "KVM_ENABLE_CAP",
    0xCE: "KVM_GET_STATS_FD",
    0xE0: "KVM_CREATE_DEVICE",
    0xE1: "KVM_SET_DEVICE_ATTR",
    0xE2: "KVM_GET_DEVICE_ATTR",
    0xE3: "KVM_HAS_DEVICE_ATTR",
    Nr.CREATE_VM: "KVM_CREATE_VM",
    Nr.CREATE_VCPU: "KVM_CREATE_VCPU",
    Nr.RUN: "KVM_RUN",
    Nr.GET_MP: "KVM_GET_MP_STATE",
    Nr.SET_MP: "KVM_SET_MP_STATE",
    Nr.GET_EVENTS: "KVM_GET_VCPU_EVENTS",
    Nr.SET_EVENTS: "KVM_SET_VCPU_EVENTS",
    Nr.GET_ONE_REG: "KVM_GET_ONE_REG",
    Nr.SET_ONE_REG: "KVM_SET_ONE_REG",
    Nr.INIT: "KVM_ARM_VCPU_INIT",
    Nr.PREFERRED_TARGET: "KVM_ARM_PREFERRED_TARGET",
    Nr.REG_LIST: "KVM_GET_REG_LIST",
    Nr.FINALIZE: "KVM_ARM_VCPU_FINALIZE",
}
"""Some of them, by number (uapi linux/kvm.h)."""
_VM_NAMES = {0xAB: "KVM_ARM_SET_DEVICE_ADDR"}
"""Of those on a VM whose number is another's on a vcpu."""


def name(request: int, on_vm: bool = False) -> str:
    """An ioctl's name, or its number."""
    number = request & 0xFF
    other = _VM_NAMES.get(number) if on_vm else None
    return other or _NAMES.get(number, f"ioctl {request:#x}")
