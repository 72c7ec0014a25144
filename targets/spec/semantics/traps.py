"""A guest that takes an exception of KVM's making again and again, and returns from each."""

from __future__ import annotations

from corpus.isa.system import LOOP_HANDLER, LOOP_VECTORS, UNDEF_LOOP
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import UNDEFINED, Decides, Unpredictable
from targets.spec.semantics.registry import semantic
from targets.spec.sets import exact, join, unknown
from targets.spec.vcpu import OPTIONAL_PSTATE

_EL1H = 5
_RETURN = 18 * 4
"""Where each exception returns to, from the beginning of the form."""
_AT_SYNC = 0x200
"""The vector of synchronous exceptions at the current EL with its own SP."""


@semantic(UNDEF_LOOP)
def undef_loop(cpu: Cpu, count: int) -> None:
    """A handler that steps over what it is called for is put at vectors of the form's own, and
    then count times PMCR_EL0 is read: a vcpu without a PMU has none (sys_regs.c, pmu_visibility),
    so KVM, to which that traps, has the guest take an exception. Then the vectors are put back."""
    vcpu = cpu.vcpu
    if vcpu.pmu_ready:
        raise Unpredictable("a guest that has a PMU reads a register of that", Decides.KERNEL)
    pstate, mask = join(vcpu.core["pstate"])
    if pstate & 0xF != _EL1H or vcpu.el2:
        raise Unpredictable("a handler for another mode than EL1h", Decides.NOTHING)
    cpu.leave()
    cpu.synchronise()
    cpu.mem.store(LOOP_VECTORS + _AT_SYNC, len(LOOP_HANDLER), _HANDLER)
    back = cpu.pc + _RETURN
    old_vectors = join(vcpu.sys["vbar_el1"])
    cpu.set_x(0, _HANDLER & U64)
    cpu.set_x(1, *old_vectors)
    for register, value in ((28, 0), (29, LOOP_VECTORS), (30, back)):
        cpu.set_x(register, value)
    vcpu.core["elr_el1"] = exact(back)
    vcpu.core["spsr_el1"] = unknown(pstate, mask | cpu.vm.stepped)
    vcpu.core["pstate"] = unknown(pstate, mask | pstate & OPTIONAL_PSTATE)
    vcpu.sys["esr_el1"] = exact(UNDEFINED)
    vcpu.sys["far_el1"] = unknown(0, U64)
    for name in ("elr_el1", "spsr_el1", "esr_el1", "far_el1", "pstate"):
        vcpu.origins[name] = cpu.rule
    cpu.rules.update(("exception.return-address", "exception.from-el1h"))


_HANDLER = int.from_bytes(LOOP_HANDLER, "little")
