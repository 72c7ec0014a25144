"""What no op says, and the names of the ioctls that there are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fuzz.record.log import Ioctl, Nr

UNMAPPED = "arguments that are not mapped"
OTHER_IOCTLS = "other KVM ioctls"


@dataclass(frozen=True, slots=True)
class Unsaid:
    """What no op says. `words`: which call it is; `detail`: what is its own about it; `why` no op
    says it, in words that go on "calls that are remarks here: "."""

    words: str
    detail: str
    why: str


def unreadable(call: Ioctl, on_vm: bool = False) -> Unsaid:
    """A call whose argument could not be read, or whose answer had no place."""
    return Unsaid(name(call.request, on_vm), "", UNMAPPED)


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
    0xCE: "KVM_GET_STATS_FD",
    Nr.CREATE_VM: "KVM_CREATE_VM",
    Nr.CREATE_VCPU: "KVM_CREATE_VCPU",
    Nr.CREATE_IRQCHIP: "KVM_CREATE_IRQCHIP",
    Nr.RUN: "KVM_RUN",
    Nr.GET_MP: "KVM_GET_MP_STATE",
    Nr.SET_MP: "KVM_SET_MP_STATE",
    Nr.SET_GUEST_DEBUG: "KVM_SET_GUEST_DEBUG",
    Nr.GET_EVENTS: "KVM_GET_VCPU_EVENTS",
    Nr.SET_EVENTS: "KVM_SET_VCPU_EVENTS",
    Nr.ENABLE_CAP: "KVM_ENABLE_CAP",
    Nr.GET_ONE_REG: "KVM_GET_ONE_REG",
    Nr.SET_ONE_REG: "KVM_SET_ONE_REG",
    Nr.INIT: "KVM_ARM_VCPU_INIT",
    Nr.PREFERRED_TARGET: "KVM_ARM_PREFERRED_TARGET",
    Nr.REG_LIST: "KVM_GET_REG_LIST",
    Nr.FINALIZE: "KVM_ARM_VCPU_FINALIZE",
    Nr.CREATE_DEVICE: "KVM_CREATE_DEVICE",
    Nr.SET_ATTR: "KVM_SET_DEVICE_ATTR",
    Nr.GET_ATTR: "KVM_GET_DEVICE_ATTR",
    Nr.HAS_ATTR: "KVM_HAS_DEVICE_ATTR",
}
"""Some of them, by number (uapi linux/kvm.h)."""
_VM_NAMES = {0xAB: "KVM_ARM_SET_DEVICE_ADDR"}
"""Of those on a VM whose number is another's on a vcpu."""


def name(request: int, on_vm: bool = False) -> str:
    """An ioctl's name, or its number."""
    number = request & 0xFF
    other = _VM_NAMES.get(number) if on_vm else None
    return other or _NAMES.get(number, f"ioctl {request:#x}")
