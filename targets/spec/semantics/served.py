"""Guests that read a device which KVM serves: the distributor of its interrupt controller."""

from __future__ import annotations

from corpus.isa.system import MMIO_LOOP
from corpus.wire import GIC_DIST
from targets.spec.cpu import Cpu
from targets.spec.errors import Decides, MmioExit, Unpredictable
from targets.spec.semantics.registry import semantic

_TO_THE_LOAD = 8
_GICD_TYPER = GIC_DIST + 4


@semantic(MMIO_LOOP)
def mmio_loop(cpu: Cpu, count: int) -> None:
    """movz x28, #count; 1: movz x0, #GIC_DIST; ldr w0, [x0, #4]; sub x28, x28, #1; cbnz x28, 1b;
    movz x0, #0. Where nobody serves it the first load goes to user space, and behind stage 1,
    which does not map it, it faults."""
    cpu.set_x(28, count)
    cpu.set_x(0, GIC_DIST)
    cpu.pc += _TO_THE_LOAD
    if cpu.vm.made_gic and not cpu.translates:
        cpu.rules.add("gic.serves")
        cpu.leave()
        cpu.synchronise()
    elif cpu.has_gic and not cpu.vm.made_gic:
        raise Unpredictable("an interrupt controller that no create-gic made", Decides.KERNEL)
    else:
        _reach_nothing(cpu)
    cpu.set_x(28, 0)
    cpu.set_x(0, 0)
    cpu.pc -= _TO_THE_LOAD


def _reach_nothing(cpu: Cpu) -> None:
    """Raises MmioExit, GuestException, Unpredictable."""
    try:
        cpu.load(_GICD_TYPER, 4, vector=False)
    except MmioExit:
        cpu.set_x(0, 0)  # what the harness's devices read as
        cpu.rules.add("run.mmio-load")
        raise
