"""Where an exception return goes."""

from __future__ import annotations

from targets.spec.cpu import Cpu
from targets.spec.nested import NestedCpu
from targets.spec.sets import exact


def arrive(cpu: Cpu, spsr: int, target: int) -> None:
    """What an exception return does once its registers are read: PSTATE is `spsr`, and the next
    instruction is at `target`. Raises GuestException, Unpredictable."""
    cpu.vcpu.origins["pstate"] = cpu.rule
    level = spsr >> 2 & 3
    if isinstance(cpu, NestedCpu) and cpu.is_illegal_return(level):
        cpu.return_illegally(spsr, target)
    cpu.vcpu.core["pstate"] = exact(spsr)
    if cpu.el < 2:
        cpu.rules.add("eret.to-el1" if level else "eret.to-el0")
    if cpu.el == 2:  # KVM handles it, and enters the guest anew
        cpu.synchronise()
    if level != cpu.el or cpu.el == 2:
        cpu.go(level)
