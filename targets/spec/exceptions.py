"""Taking an exception: what the CPU writes down of the code that it interrupts."""

from __future__ import annotations

from targets.spec.cpu import U64, Cpu
from targets.spec.errors import GuestException
from targets.spec.sets import exact, join, unknown

_BANKED = {el: (f"elr_el{el}", f"spsr_el{el}", f"esr_el{el}", f"far_el{el}") for el in (1, 2)}
_VECTORS = {
    1: {
        0x4: (0, "exception.from-el1t"),
        0x5: (4, "exception.from-el1h"),
        0x0: (8, "exception.from-el0"),
    },
    2: {
        0x8: (0, "el2.from-el2t"),
        0x9: (4, "el2.from-el2h"),
        **dict.fromkeys((0x0, 0x4, 0x5), (8, "el2.from-lower")),
    },
}
"""Synchronous entries of the vectors of EL1 and EL2, by the mode that is left: current EL
with SP_EL0, current EL with SP_ELx, lower EL."""


def write_down(cpu: Cpu, exception: GuestException, target: int, back: int) -> int:
    """ELR (`back`), SPSR, ESR and FAR of EL `target`, as an exception from where the guest is sets
    them. Returns the number of its vector."""
    vcpu = cpu.vcpu
    banked = elr, spsr, esr, far = _BANKED[target]
    for name in (*banked, "pstate"):
        vcpu.origins[name] = cpu.rule
    if exception.far_rule:
        vcpu.origins[far] = exception.far_rule
    pstate, mask = join(vcpu.core["pstate"])
    vcpu.core[elr] = exact(back)
    vcpu.core[spsr] = unknown(pstate, mask | cpu.vm.stepped)
    vcpu.sys[esr] = exact(exception.esr)
    vcpu.sys[far] = unknown(0, U64) if exception.far is None else exact(exception.far)
    vector, entry = _VECTORS[target][pstate & 0xF]
    cpu.rules.update(("exception.return-address", exception.rule, entry))
    return vector
