"""Protected VMs: whose memory is the guest's, and of which the hypervisor decides what they have.

What is said here was read in 7.2: arch/arm64/kvm/hyp/nvhe/pkvm.c and sys_regs.c, mmio.c, pkvm.c,
and Documentation/virt/kvm/arm/pkvm.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from corpus import wire
from corpus.isa.form import Insn
from corpus.ops import machine_code
from targets.profile import Profile
from targets.spec.cpu import Cpu
from targets.spec.errno import ENOSYS
from targets.spec.errors import Decides, GuestException, RunFailed, Unpredictable, syndrome
from targets.spec.memory import Memory
from targets.spec.vcpu import Vcpu, Vm

MODE = "protected"
FIRST_KERNEL = (7, 2)
"""The first that is known to have such VMs."""
LAST_WITHOUT = (6, 12)
"""The last that is known to have none."""


def can_be(profile: Profile) -> tuple[bool, ...]:
    """Whether the machine has protected VMs: yes, no, or perhaps."""
    if profile.mode != MODE or profile.kernel <= LAST_WITHOUT:
        return (False,)
    return (True,) if profile.kernel >= FIRST_KERNEL else (True, False)


def begin(vm: Vm, mem: Memory) -> None:
    """A protected VM is new: the programs of all runs to come are in RAM, and which those are
    is not known here."""
    vm.protected = True
    start = wire.CODE_BASE - wire.RAM_BASE
    mem.unknown.update(dict.fromkeys(range(start, start + wire.CODE_SIZE), 0xFF))
    mem.data[start : start + wire.CODE_SIZE] = bytes(wire.CODE_SIZE)


def place(vm: Vm, program: tuple[Insn, ...]) -> int:
    """Where the next program is. Raises Unpredictable where there is no room for it."""
    size = -(-len(machine_code(program)) // wire.CODE_ALIGNMENT) * wire.CODE_ALIGNMENT
    vm.given = True
    if vm.code_used + size > wire.CODE_SIZE:
        raise Unpredictable("more programs than a protected VM has room for", Decides.NOTHING)
    base = wire.CODE_BASE + vm.code_used
    vm.code_used += size
    return base


@contextmanager
def as_its_guest_has_it(vm: Vm, vcpu: Vcpu, rules: set[str]) -> Iterator[None]:
    """The vcpu as the guest of a protected VM has it: without SVE, whatever INIT took, and then
    with V registers that user space has no name for."""
    if not vm.protected or not vcpu.sve:
        yield
        return
    rules.add("protected.no-sve")
    vcpu.z, vcpu.own_v, vcpu.sve = vcpu.own_v, vcpu.z, False
    try:
        yield
    finally:
        vcpu.z, vcpu.own_v, vcpu.sve = vcpu.own_v, vcpu.z, True


_EXTERNAL_ABORT = 0x10


def abort(cpu: Cpu, stop: GuestException | RunFailed) -> GuestException | RunFailed:
    """What stops a program of a protected VM: that user space cannot be told what an access is,
    the guest hears of itself (io_mem_abort)."""
    if isinstance(stop, GuestException) or stop.err != ENOSYS:
        return stop
    cpu.rules.add("protected.external-abort")
    return GuestException(syndrome(0x25 if cpu.el else 0x24, _EXTERNAL_ABORT))
