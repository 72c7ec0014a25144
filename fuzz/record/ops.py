"""A recorded call as an op, or in words where no op says it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable

from corpus import ops as o
from corpus import registers as regs
from corpus.ops import Op
from corpus.values import Pattern
from corpus.wire import EVENTS
from fuzz.record import devices
from fuzz.record.log import Ioctl, Nr
from fuzz.record.unsaid import OTHER_IOCTLS, Unsaid, name, unreadable
from fuzz.report.remarks import SET_OTHERWISE
from targets.spec import onereg
from targets.spec.errno import EFAULT

V = 0
"""The slot of the vcpu whose case it is."""
_ONE_REG = struct.Struct("<QQ")
_MOST_ROOM = o.ONE_LESS - 1
"""More room than KVM has ids; the numbers behind it mean something else in an op."""


def op_of(call: Ioctl, on_vm: bool = False) -> Op | Unsaid:
    """What a call on a vcpu, or one that makes it, is in a case; or one on its VM."""
    make = (_VM_CALLS if on_vm else _CALLS).get(call.number)
    if make and call.number in _ANSWERS and call.err == EFAULT:
        return unreadable(call)
    return make(call) if make else Unsaid(name(call.request, on_vm), "", OTHER_IOCTLS)


def _create(_call: Ioctl) -> Op:
    return o.CreateVcpu(V)


def _preferred(_call: Ioctl) -> Op:
    return o.PreferredTarget()


def _init(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) < 32:
        return unreadable(call)
    return o.Init(V, int.from_bytes(given[4:32], "little"), int.from_bytes(given[:4], "little"))


def _finalize(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    return o.Finalize(V, int.from_bytes(given, "little")) if len(given) == 4 else unreadable(call)


def _set(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) < _ONE_REG.size:
        return unreadable(call)
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
        return unreadable(call)
    reg = _register(given)
    if not onereg.is_modelled(reg):
        return Unsaid(GET, regs.name_of(reg), BEYOND)
    return o.GetVls(V) if reg == regs.VLS_ID else o.GetReg(V, reg)


def _list(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) != 8:
        return unreadable(call)
    return o.RegList(V, min(int.from_bytes(given, "little"), _MOST_ROOM))


def _set_mp(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    return o.SetMp(V, int.from_bytes(given, "little")) if len(given) == 4 else unreadable(call)


def _get_mp(_call: Ioctl) -> Op:
    return o.GetMp(V)


def _set_events(call: Ioctl) -> Op | Unsaid:
    given = bytes.fromhex(call.given)
    if len(given) != EVENTS.size:
        return unreadable(call)
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
    Nr.SET_GUEST_DEBUG: devices.debugging,
    Nr.HAS_ATTR: devices.attribute,
    Nr.GET_ATTR: devices.attribute,
    Nr.SET_ATTR: devices.attribute,
}
_VM_CALLS: dict[int, Callable[[Ioctl], Op | Unsaid]] = {
    Nr.PREFERRED_TARGET: _preferred,
    Nr.ENABLE_CAP: devices.capability,
    Nr.CREATE_DEVICE: devices.device,
    Nr.HAS_ATTR: devices.vm_attribute,
    Nr.GET_ATTR: devices.vm_attribute,
    Nr.SET_ATTR: devices.vm_attribute,
}
_ANSWERS = frozenset(
    (Nr.GET_ONE_REG, Nr.REG_LIST, Nr.GET_MP, Nr.GET_EVENTS, Nr.PREFERRED_TARGET),
)
"""Calls that fail with EFAULT where their answer has no place, of which an op always has enough."""

SET, GET = "set of other registers", "get of other registers"
BEYOND = "registers outside the specification"
NO_PATTERN = "values that no pattern gives"


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
