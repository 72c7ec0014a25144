"""Recorded calls about devices, capabilities and debugging: as ops, where there is one. Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

from corpus import ops as o
from corpus.ops import Op
from corpus.wire import VM_PROTECTED, Ask
from fuzz.record.log import Ioctl, Nr
from fuzz.record.unsaid import OTHER_IOCTLS, Unsaid, name, unreadable
from targets.spec.errno import EFAULT, EINVAL
from targets.spec.steps.devices import OTHER_CAPS

_ATTR = struct.Struct("<IIQQ")
"""struct kvm_device_attr: flags, group, attribute, where its value is. In the log that follows."""
_FILTER = struct.Struct("<IIB15s")
"""struct kvm_smccc_filter."""
_CAP = struct.Struct("<II4Q")
"""The beginning of struct kvm_enable_cap."""
_DEVICE = struct.Struct("<III")
"""struct kvm_create_device."""
_DEBUG = struct.Struct("<I")
"""The beginning of struct kvm_guest_debug."""
_ASKS = {Nr.HAS_ATTR: Ask.HAS, Nr.GET_ATTR: Ask.GET, Nr.SET_ATTR: Ask.SET}
_FILTERS = 0, 0
"""Group and attribute of a VM's filter of hypercalls (vm.rst 5)."""

VM_ATTRIBUTES = "attributes of VMs that no op has"
VCPU_ATTRIBUTES = "attributes of vcpus that no op has"
CAPABILITIES = "capabilities that no op enables"
NOT_LOGGED = "calls that an older recorder only counted"


class _Asked(NamedTuple):
    """What a call names of an attribute, and what was logged of its value."""

    flags: int
    group: int
    number: int
    value: bytes


def _asked(call: Ioctl) -> _Asked | Unsaid:
    given = bytes.fromhex(call.given)
    if call.times > 1:
        return Unsaid(name(call.request), "", NOT_LOGGED)
    if len(given) < _ATTR.size or call.err == EFAULT:
        return unreadable(call)
    flags, group, number, _ = _ATTR.unpack_from(given)
    return _Asked(flags, group, number, given[_ATTR.size :])


def attribute(call: Ioctl) -> Op | Unsaid:
    """KVM_{HAS,GET,SET}_DEVICE_ATTR on a vcpu."""
    asked = _asked(call)
    if isinstance(asked, Unsaid):
        return asked
    flags, group, number, logged = asked
    if flags or number >> 32:
        more = f" flags={flags:#x}" if flags else ""
        return Unsaid(name(call.request), f"{group}.{number:#x}{more}", VCPU_ATTRIBUTES)
    ask, value = _ASKS[Nr(call.number)], b""
    if ask == Ask.SET:
        size = _size(group, number)
        value = logged[:size]
        if len(value) < size:
            return unreadable(call)
    return o.DeviceAttr(0, ask, group, number, int.from_bytes(value, "little"))


def _size(group: int, number: int) -> int:
    """Bytes of an attribute's value that KVM reads (vcpu.rst); 0 where it reads none."""
    if group == o.PMU:
        return _OF_PMU.get(number, 0)
    return {o.TIMER: 4, o.PVTIME: 8}.get(group, 0)


_OF_PMU = {0: 4, 2: 8, 3: 4, 4: 4}
"""Its interrupt, a range of events, the host's PMU that it is, how many counters it has."""


def vm_attribute(call: Ioctl) -> Op | Unsaid:
    """The same on a VM."""
    asked = _asked(call)
    if isinstance(asked, Unsaid):
        return asked
    flags, group, number, value = asked
    if call.number == Nr.SET_ATTR and (group, number) == _FILTERS and len(value) == _FILTER.size:
        base, count, action, rest = _FILTER.unpack(value)
        if not flags and not any(rest):
            return o.SmcccFilter(base, count, action)
    return Unsaid(name(call.request), f"{group}.{number:#x}", VM_ATTRIBUTES)


def capability(call: Ioctl) -> Op | Unsaid:
    """KVM_ENABLE_CAP on a VM: one without arguments, or one that is refused whatever they are."""
    given = bytes.fromhex(call.given)
    if len(given) < _CAP.size:
        return unreadable(call)
    cap, flags, *args = _CAP.unpack_from(given)
    without = cap in (o.NISV_TO_USER, o.MTE, o.SYSTEM_SUSPEND)
    refused = cap not in OTHER_CAPS and call.err == EINVAL
    if flags or without or refused:
        return o.EnableCap(cap, flags)
    named = OTHER_CAPS.get(cap, "eager_split" if cap == o.EAGER_SPLIT else f"{cap}")
    return Unsaid(name(call.request), f"{named}={args[0]:#x}", CAPABILITIES)


def vm_type(call: Ioctl) -> Op | None:
    """What KVM_CREATE_VM asked for beside a size of addresses."""
    return o.CreateVm(VM_PROTECTED) if call.arg & VM_PROTECTED else None


_DEVICES = {4: "vfio", 5: "vgic-v2", 7: "vgic-v3", 8: "vgic-its", 16: "vgic-v5"}
"""Types of devices that there are on arm64 (uapi linux/kvm.h)."""
_TEST = 1


def device(call: Ioctl) -> Unsaid:
    """KVM_CREATE_DEVICE."""
    given = bytes.fromhex(call.given)
    if len(given) < _DEVICE.size:
        return unreadable(call)
    kind, _, flags = _DEVICE.unpack_from(given)
    words = name(call.request) + (", whether it can be made" if flags & _TEST else "")
    return Unsaid(words, _DEVICES.get(kind, f"type {kind}"), OTHER_IOCTLS)


_DEBUGGING = {1: "enable", 2: "singlestep", 1 << 16: "use_sw_bp", 1 << 17: "use_hw"}


def debugging(call: Ioctl) -> Unsaid:
    """KVM_SET_GUEST_DEBUG."""
    given = bytes.fromhex(call.given)
    if len(given) < _DEBUG.size:
        return unreadable(call)
    (control,) = _DEBUG.unpack_from(given)
    names = [word for bit, word in _DEBUGGING.items() if control & bit]
    other = control & ~sum(_DEBUGGING)
    said = "+".join([*names, *([f"{other:#x}"] if other else [])])
    return Unsaid(name(call.request), said or "none", OTHER_IOCTLS)
