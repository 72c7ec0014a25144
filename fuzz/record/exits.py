"""How KVM_RUN returned, in words. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable

from fuzz.record.log import Ioctl
from targets.spec.errno import EINTR, error_name

_REASON = struct.Struct("<8xI")
_MMIO = struct.Struct("<32xQ8sIB")
_EVENT = struct.Struct("<32xII")
_SIZE = 64
"""Bytes of struct kvm_run that are logged."""

_MEMORY_FAULT = 39
"""The one reason that comes with an error; with any other the page says nothing of it."""
_REASONS = {
    0: "unknown",
    4: "debug",
    6: "mmio",
    9: "fail-entry",
    10: "intr",
    17: "internal-error",
    24: "system-event",
    28: "arm-nisv",
    _MEMORY_FAULT: "memory-fault",
}
_EVENTS = {1: "shutdown", 2: "reset", 3: "crash", 4: "wakeup", 5: "suspend"}


def _mmio(page: bytes) -> str:
    address, data, length, is_write = _MMIO.unpack_from(page)
    value = int.from_bytes(data[: min(length, 8)], "little")
    if is_write:
        return f"write of {value:#x}, {length} bytes, to {address:#x}"
    return f"read of {length} bytes at {address:#x}"


def _event(page: bytes) -> str:
    kind, _ = _EVENT.unpack_from(page)
    return _EVENTS.get(kind, str(kind))


_DETAILS: dict[int, Callable[[bytes], str]] = {6: _mmio, 24: _event}


def told(call: Ioctl) -> str:
    """How a run that entered the guest ended, such as `mmio: read of 4 bytes at 0x9000000`."""
    page = bytes.fromhex(call.got)
    if call.err == EINTR:
        return "interrupted"
    if call.err and (len(page) < _SIZE or _REASON.unpack_from(page) != (_MEMORY_FAULT,)):
        return f"by {error_name(call.err)}"
    if len(page) < _SIZE:
        return "of which nothing is known, as its struct kvm_run could not be read"
    (reason,) = _REASON.unpack_from(page)
    name = _REASONS.get(reason, f"reason {reason}")
    detail = _DETAILS[reason](page) if reason in _DETAILS else ""
    return f"{name}: {detail}" if detail else name
