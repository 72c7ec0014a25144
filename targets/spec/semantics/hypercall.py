"""HVC: calls that KVM answers, among them PSCI (6.12 hypercalls.c, psci.c)."""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.system import HVC_LOOP
from corpus.ops import SYSTEM_SUSPEND
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import (
    UNDEFINED,
    Decides,
    GuestException,
    SystemEvent,
    Unpredictable,
    Waits,
    syndrome,
)
from targets.spec.rules import by_kernel
from targets.spec.semantics.registry import semantic
from targets.spec.sets import unknown
from targets.spec.vcpu import MP_RUNNABLE, MP_STOPPED, Vcpu

SUCCESS, NOT_SUPPORTED, INVALID, ALREADY_ON, FAILURE = 0, -1, -2, -4, -6
"""PSCI return values (DEN 0022, 5.2.2)."""
AFFINITY_ON, AFFINITY_OFF = 0, 1
HANDLE, DENY = 0, 1
"""What a filter says of a call: KVM_SMCCC_FILTER_*."""
SHUTDOWN, RESET = 1, 2
"""KVM_SYSTEM_EVENT_*."""
RESET_IS_RESET2 = 1

PSCI_0_2 = 1 << 2
HWID = 0xFF_00FF_FFFF
"""The affinity fields of MPIDR_EL1."""
WIDE = 1 << 30
"""Set in the function ids of 64-bit calls."""

_Call = Callable[[Cpu, bool], int | None]
"""What a call gives X0; None: that is not known."""


def _argument(cpu: Cpu, n: int, wide: bool = True) -> int:
    value, mask = cpu.x(n)
    if mask:
        raise Unpredictable("an argument of a hypervisor call is not known")
    return value if wide else value & 0xFFFF_FFFF


def _by(cpu: Cpu, rule: str) -> None:
    """`rule` governs this call: what it leaves in registers is put down to it."""
    cpu.rules.update((cpu.rule, rule))
    cpu.rule = rule


def _version(cpu: Cpu, wide: bool) -> int:
    _by(cpu, "psci.version")
    return by_kernel("psci.version", cpu.kernel)


def _cpu_on(cpu: Cpu, wide: bool) -> int:
    mpidr = _argument(cpu, 1, wide)
    target = None if mpidr & ~HWID else cpu.vm.by_mpidr(mpidr)
    if target is None:
        _by(cpu, "psci.cpu-on-unknown")
        return INVALID
    if target.stopped != MP_STOPPED:
        _by(cpu, "psci.cpu-on-running")
        return ALREADY_ON if _has_psci(cpu) else INVALID
    entry = _argument(cpu, 2, wide)
    x0, mask = cpu.x(3)
    keep = U64 if wide else 0xFFFF_FFFF
    target.entry = entry, unknown(x0 & keep, mask & keep)
    target.reset_requested = True
    target.stopped = MP_RUNNABLE
    _by(cpu, "psci.cpu-on")
    return SUCCESS


def _cpu_off(cpu: Cpu, wide: bool) -> int:
    _by(cpu, "psci.cpu-off")
    cpu.vcpu.stopped = MP_STOPPED
    _answer(cpu, SUCCESS)
    raise Waits


def _suspend(cpu: Cpu, wide: bool) -> int:
    _by(cpu, "psci.suspend")
    _answer(cpu, SUCCESS)
    raise Waits


def _affinity_info(cpu: Cpu, wide: bool) -> int:
    affinity, level = _argument(cpu, 1, wide), _argument(cpu, 2, wide)
    if affinity & ~HWID or level > 3:
        _by(cpu, "psci.affinity-unknown")
        return INVALID
    mask = HWID & ~((1 << 8 * level) - 1)
    cpu.vm.check_mpidrs()
    found: list[Vcpu] = [v for v in cpu.vm.vcpus.values() if not (v.mpidr ^ affinity) & mask]
    if not found:
        _by(cpu, "psci.affinity-unknown")
        return INVALID
    running = any(v.stopped != MP_STOPPED for v in found)
    _by(cpu, "psci.affinity-on" if running else "psci.affinity-off")
    return AFFINITY_ON if running else AFFINITY_OFF


def _migrate_info(cpu: Cpu, wide: bool) -> int:
    _by(cpu, "psci.migrate-info")
    return 2


def _stop_all(cpu: Cpu) -> None:
    for vcpu in cpu.vm.vcpus.values():
        vcpu.stopped = MP_STOPPED


def _system_off(cpu: Cpu, wide: bool) -> int:
    return _event(cpu, "psci.system-off", SHUTDOWN)


def _system_reset(cpu: Cpu, wide: bool) -> int:
    return _event(cpu, "psci.system-reset", RESET)


def _event(cpu: Cpu, rule: str, kind: int) -> int:
    _by(cpu, rule)
    _stop_all(cpu)
    _answer(cpu, FAILURE)
    raise SystemEvent(kind, 0)


WARM_RESET, VENDOR_RESETS = 0, 1 << 31


def _system_reset2(cpu: Cpu, wide: bool) -> int:
    kind = _argument(cpu, 1, wide=False)
    if kind > WARM_RESET and kind < VENDOR_RESETS:
        _by(cpu, "psci.reset2-unknown")
        return INVALID
    _by(cpu, "psci.reset2")
    _stop_all(cpu)
    if not wide:
        _cut_arguments(cpu)
    cpu.set_x(0, FAILURE)
    raise SystemEvent(RESET, RESET_IS_RESET2)


def _cut_arguments(cpu: Cpu) -> None:
    """32-bit calls have their arguments cut in place, which shows where they survive."""
    for n in (1, 2, 3):
        value, mask = cpu.x(n)
        cpu.set_x(n, value & 0xFFFF_FFFF, mask & 0xFFFF_FFFF)


def _features(cpu: Cpu, wide: bool) -> int | None:
    asked = _argument(cpu, 1, wide=False)
    known = asked in _CALLS or asked == SMCCC_VERSION
    if not known and not _is_unallocated(asked):
        _by(cpu, "psci.features-perhaps")
        return None
    _by(cpu, "psci.features" if known else "psci.features-unknown")
    return SUCCESS if known else NOT_SUPPORTED


def _smccc_version(cpu: Cpu, wide: bool) -> int:
    _by(cpu, "smccc.version")
    return 0x1_0001


SMCCC_VERSION = 0x8000_0000
_BASE = 0x8400_0000

_CALLS: dict[int, _Call] = {
    _BASE + 0x0: _version,
    _BASE + 0x1: _suspend,
    _BASE + 0x1 + WIDE: _suspend,
    _BASE + 0x2: _cpu_off,
    _BASE + 0x3: _cpu_on,
    _BASE + 0x3 + WIDE: _cpu_on,
    _BASE + 0x4: _affinity_info,
    _BASE + 0x4 + WIDE: _affinity_info,
    _BASE + 0x6: _migrate_info,
    _BASE + 0x8: _system_off,
    _BASE + 0x9: _system_reset,
    _BASE + 0xA: _features,
    _BASE + 0x12: _system_reset2,
    _BASE + 0x12 + WIDE: _system_reset2,
}
"""PSCI 1.1 as KVM has it, by function id."""

_ANSWERED = frozenset(
    {
        *(0x8000_0001, 0x8000_8000, 0x8000_7FFF, 0x8000_3FFF),  # ARCH_FEATURES, workarounds
        *(0x8400_0050, 0x8400_0051, 0x8400_0052, 0x8400_0053, 0xC400_0053),  # TRNG
        *(0xC500_0020, 0xC500_0021),  # stolen time
        *(0x8600_FF01, 0x8600_0000, 0x8600_0001),  # the vendor: who it is, what it has, the time
        *(_BASE + n for n in (*range(0x5, 0x15), 0x5 + WIDE, 0xC + WIDE, 0xD + WIDE, 0xE + WIDE)),
        *(_BASE + WIDE + n for n in (0xF, 0x10, 0x11, 0x13, 0x14)),
    }
) - set(_CALLS)
"""Calls that some kernel answers, and others with NOT_SUPPORTED; PSCI's up to 1.2, of which
SYSTEM_SUSPEND leaves the guest only where user space asked for that. No exit follows."""

_TELL_OF_SUSPEND = frozenset({_BASE + 0xA, _BASE + 0xE, _BASE + 0xE + WIDE})

_OLD_BASE = 0x95C1_BA5E
_OLD_CALLS: dict[int, _Call] = {_OLD_BASE + 1: _cpu_off, _OLD_BASE + 2: _cpu_on}
"""PSCI 0.1 as KVM has it, for vcpus without the feature PSCI_0_2 (uapi asm/kvm.h)."""


_KVM_OWNERS = frozenset({0, 4, 5, 6})
"""SMCCC owners of whose services KVM has some: architecture, standard secure, standard
hypervisor, vendor hypervisor."""


def _is_unallocated(function: int) -> bool:
    """Ids that KVM gives no meaning: yielding calls of old, services of other owners, and
    PSCI numbers far above the newest."""
    if function >> 31 == 0 or function >> 24 & 0x3F not in _KVM_OWNERS:
        return True
    return function & ~WIDE in range(_BASE + 0x80, _BASE + 0x10000)


def _has_psci(cpu: Cpu) -> bool:
    return bool(cpu.vcpu.features & PSCI_0_2)


def _answer(cpu: Cpu, value: int) -> None:
    """Every call but SYSTEM_RESET2 gives X0 and zeroes X1 to X3."""
    cpu.set_x(0, value & U64)
    for n in (1, 2, 3):
        cpu.set_x(n, 0)


@semantic(HVC_LOOP)
def hvc_loop(cpu: Cpu, count: int) -> None:
    """movz x28, #count; 1: movz x0, #0x8400, lsl #16; hvc #0; sub x28, x28, #1; cbnz x28, 1b.
    What the first call does, none of the others changes."""
    cpu.set_x(28, count)
    cpu.set_x(0, _BASE)
    cpu.pc += _TO_THE_CALL
    hvc(cpu, 0)
    cpu.set_x(28, 0)
    cpu.pc -= _TO_THE_CALL


_TO_THE_CALL = 8


@semantic("hvc")
def hvc(cpu: Cpu, imm: int) -> None:
    if cpu.el == 0:
        raise GuestException(UNDEFINED)
    if cpu.vcpu.el2:
        raise GuestException(syndrome(0x16, imm), ret=4, to_el2=True)
    cpu.leave()
    cpu.synchronise()
    function = _argument(cpu, 0, wide=False)
    action = next((what for calls, what in cpu.vm.filtered if function in calls), HANDLE)
    if action == DENY:
        _by(cpu, "smccc.denied")
        _answer(cpu, NOT_SUPPORTED)
        return
    if action != HANDLE:
        raise Unpredictable("a hypercall that user space wants is not modelled", Decides.KERNEL)
    if SYSTEM_SUSPEND in cpu.vm.caps and function in _TELL_OF_SUSPEND:
        raise Unpredictable("SYSTEM_SUSPEND for user space is not modelled", Decides.KERNEL)
    calls = _CALLS if _has_psci(cpu) else _OLD_CALLS
    call = _smccc_version if function == SMCCC_VERSION else calls.get(function)
    if call is not None:
        given = call(cpu, not _has_psci(cpu) or bool(function & WIDE))
        _answer(cpu, given or 0)
        if given is None:
            cpu.set_x(0, 0, U64)
        return
    if function in _ANSWERED:
        _by(cpu, "smccc.answers")
        for n in range(4):
            cpu.set_x(n, 0, U64)
        return
    if not (_is_unallocated(function) or function in _CALLS):
        raise Unpredictable(f"hypervisor call {function:#x} is not modelled", Decides.KERNEL)
    _by(cpu, "smccc.not-supported")
    _answer(cpu, NOT_SUPPORTED)
