"""Guests that let time go by, in a loop of their own, or in KVM until a timer of theirs is due."""

from __future__ import annotations

from corpus.isa.system import SPIN_LOOP, WFI_LOOP
from targets.spec.cpu import Cpu
from targets.spec.errors import Decides, GuestException, Unpredictable, syndrome
from targets.spec.semantics.registry import semantic
from targets.spec.sets import join

_PSTATE_I = 1 << 7
_CNTFRQ_TRAP = syndrome(0x18, 3 << 20 | 3 << 14 | 14 << 10 | 1)
"""MRS X0, CNTFRQ_EL0."""
_TO_THE_TRAP = 4


@semantic(WFI_LOOP)
def wfi_loop(cpu: Cpu, count: int) -> None:
    """count times: the virtual timer is set, WFI, and the timer is off again. The harness raises
    the vcpu's interrupt line meanwhile, which is not seen while interrupts are masked. With an
    interrupt controller of KVM's nothing wakes it: its interrupt is not enabled there. From EL0
    already the timer's frequency traps, as KVM resets CNTKCTL_EL1 to 0 and nothing here sets it."""
    if cpu.vcpu.el2:
        raise Unpredictable("a timer at or below EL2", Decides.KERNEL)
    if cpu.el == 0 and not cpu.vm.protected:
        cpu.rules.add("run.timer-trap")
        cpu.set_x(28, count)
        cpu.pc += _TO_THE_TRAP
        raise GuestException(_CNTFRQ_TRAP)
    if cpu.vm.may_have_gic:
        raise Unpredictable("a guest that waits beside an interrupt controller", Decides.KERNEL)
    if cpu.vm.protected:  # 7.2 may wake it late or not at all beside a stranger; why is not known
        raise Unpredictable("a guest of a protected VM that waits", Decides.NOTHING)
    if not join(cpu.vcpu.core["pstate"])[0] & _PSTATE_I:
        raise Unpredictable("an interrupt that is not masked", Decides.KERNEL)
    cpu.rules.add("run.waits-for-timer")
    cpu.leave()
    cpu.synchronise()
    cpu.set_x(28, 0)
    cpu.set_x(0, 0)


@semantic(SPIN_LOOP)
def spin_loop(cpu: Cpu, count: int) -> None:
    """movz x28, #count; lsl x28, x28, #8; 1: sub x28, x28, #1; cbnz x28, 1b."""
    del count
    cpu.set_x(28, 0)
