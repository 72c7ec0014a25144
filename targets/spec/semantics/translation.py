"""Guests that switch stage 1 on: what `stage-1-on` leaves behind."""

from __future__ import annotations

from corpus.isa.stage1 import (
    ENTRIES,
    LEVEL1_ENTRY,
    LEVEL2_ENTRIES,
    PAGE_SIZE,
    SCTLR,
    STAGE_1_ON,
    TCR,
    TO_FIRST_MSR,
)
from corpus.isa.system import BRANCH_TO
from corpus.isa.tagged import TAG_CHECKS, tcr_of
from corpus.wire import RAM_BASE, RAM_SIZE
from targets.spec import stage1
from targets.spec.cpu import Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable, syndrome
from targets.spec.semantics.registry import semantic
from targets.spec.sets import exact, join, unknown
from targets.spec.vcpu import PSTATE_TCO, SCTLR_RESET


@semantic(STAGE_1_ON)
def stage_1_on(cpu: Cpu) -> None:
    """The tables are stored, each page is loaded from and stored to, and registers are set, for
    which a CPU without FEAT_S2FWB calls KVM (vm.c, kvm_toggle_cache). Raises Unpredictable."""
    vcpu = cpu.vcpu
    if vcpu.el2:
        raise Unpredictable("stage 1 below EL2 is not modelled", Decides.NOTHING)
    cpu.set_x(28, SCTLR_RESET)
    if cpu.el == 0:
        cpu.pc += TO_FIRST_MSR
        raise GuestException(UNDEFINED)
    if not cpu.has_stage1:
        raise Unpredictable("this leg translates no addresses", Decides.NOTHING)
    mem = cpu.mem
    for page in range(RAM_BASE, RAM_BASE + RAM_SIZE, PAGE_SIZE):
        mem.store(page, 8, *mem.load(page, 8))
    for address, entry in ENTRIES.items():
        mem.store(address, 8, entry)
    mem.populated = True
    stage1.check(vcpu, mem)
    for register, value in ((0, LEVEL2_ENTRIES[0]), (1, LEVEL2_ENTRIES[1]), (30, LEVEL1_ENTRY)):
        cpu.set_x(register, value)
    cpu.set_x(28, SCTLR)
    cpu.set_x(29, TCR)
    vcpu.sys["sctlr_el1"] = exact(SCTLR)
    vcpu.origins["sctlr_el1"] = cpu.rule
    vcpu.mapped = cpu.translates = True
    vcpu.tagged = 0
    vcpu.signed = {}
    cpu.leave()
    cpu.synchronise()


@semantic(TAG_CHECKS)
def tag_checks(cpu: Cpu, regime: int) -> None:
    """Translation is switched off and on again, with tags. Raises GuestException, Unpredictable."""
    vcpu = cpu.vcpu
    cpu.set_x(28, SCTLR_RESET)
    if cpu.el == 0:
        cpu.pc += TO_FIRST_MSR
        raise GuestException(UNDEFINED)
    if not vcpu.mte or not cpu.translates:
        raise Unpredictable("tags without memory tagging, or stage 1", Decides.NOTHING)
    cpu.set_x(28, stage1.sctlr_of(regime))
    cpu.set_x(29, TCR | tcr_of(regime))
    vcpu.sys["sctlr_el1"] = exact(stage1.sctlr_of(regime))
    vcpu.origins["sctlr_el1"] = cpu.rule
    vcpu.tagged = regime
    vcpu.signed = {}
    pstate, mask = join(vcpu.core["pstate"])
    vcpu.core["pstate"] = unknown(pstate & ~PSTATE_TCO, mask & ~PSTATE_TCO)
    cpu.leave()
    cpu.synchronise()


@semantic(BRANCH_TO)
def branch_to(cpu: Cpu, offset: int) -> None:
    """A fetch from data: it faults, or what is zero there is UDF. Raises Unpredictable."""
    target = RAM_BASE + offset
    cpu.set_x(29, target)
    if cpu.returns or cpu.vcpu.el2:
        raise Unpredictable("a handler would return into data", Decides.NOTHING)
    cpu.pc = target
    if cpu.translates:
        fault = stage1.fetch_fault(target)
        cpu.rules.add(fault.rule)
        raise GuestException(syndrome(0x21 if cpu.el else 0x20, fault.status), target)
    if any(cpu.mem.load(target, 4)):
        raise Unpredictable("a guest executes its data", Decides.NOTHING)
    raise GuestException(UNDEFINED)
