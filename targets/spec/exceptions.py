"""Taking an exception: what the CPU writes down of the code that it interrupts."""

from __future__ import annotations

from targets.spec.cpu import U64, Cpu
from targets.spec.errors import GuestException
from targets.spec.sets import exact, join, unknown

_SPOILED = U64 ^ 0xFFFF_FFFF | 1 << 6
"""What of a syndrome known defects spoil: all above bit 31, and WnR."""
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
    if exception.esr_rule:
        cpu.rules.add(exception.esr_rule)
        vcpu.origins[esr] = exception.esr_rule
    pstate, mask = join(vcpu.core["pstate"])
    vcpu.core[elr] = exact(back)
    vcpu.core[spsr] = unknown(pstate, mask | cpu.vm.stepped)
    spoiled = _SPOILED if exception.esr_rule in cpu.defects else 0
    vcpu.sys[esr] = unknown(exception.esr, spoiled)
    address, loose = exception.far, exception.far_unknown
    vcpu.sys[far] = unknown(0, U64) if address is None else unknown(address, loose)
    vector, entry = _VECTORS[target][pstate & 0xF]
    cpu.rules.update(("exception.return-address", exception.rule, entry))
    return vector
