"""The state of one vcpu and of its VM, as sets of possible values."""

from __future__ import annotations

from dataclasses import dataclass, field

from targets.model.sets import ZERO, Set, either, exact, unknown

PSTATE_EL1H = 0x3C5
"""EL1h with D, A, I and F masked: the reset value (facts 1.2)."""

SCTLR_RESET = 0x00C5_0078

U64 = (1 << 64) - 1

RESET_SYSREGS: dict[str, Set] = {
    "zcr_el1": ZERO,
    "cpacr_el1": ZERO,
    "sctlr_el1": exact(SCTLR_RESET),
    "vbar_el1": ZERO,
    "tpidr_el0": unknown(0, U64),
    "tpidr_el1": unknown(0, U64),
    "esr_el1": unknown(0, U64),
    "far_el1": unknown(0, U64),
}
"""System registers that the model follows, with what INIT leaves in them. Those that the
architecture resets to an UNKNOWN value are unknown here, too."""

SURVIVORS = ("sp_el1", "elr_el1", "spsr_el1")
"""6.12 has no reset for these: INIT keeps them. The architecture allows any value."""


_ZEROED = ("sp", "pc", "fpsr", "fpcr", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq")


def _zeros(count: int) -> list[Set]:
    return [ZERO] * count


@dataclass(slots=True)
class Vcpu:
    """One vcpu. Vector registers are `max_vq` quadwords wide; without SVE they are the
    V registers, 128 bits. Predicates and FFR have an eighth of that."""

    initialised: bool = False
    finalised: bool = False
    sve: bool = False
    aarch32: bool = False
    max_vq: int = 1
    stopped: int = 0
    run_once: bool = False
    z: list[Set] = field(default_factory=lambda: _zeros(32))
    p: list[Set] = field(default_factory=lambda: _zeros(16))
    ffr: list[Set] = field(default_factory=lambda: _zeros(1))
    x: list[Set] = field(default_factory=lambda: _zeros(31))
    core: dict[str, Set] = field(default_factory=dict)
    sys: dict[str, Set] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """Register name -> rule of the instruction that wrote it last, for attribution."""

    @property
    def vector_bits(self) -> int:
        """Width of a vector register."""
        return self.max_vq * 128 if self.sve else 128

    def reset(self) -> None:
        """What kvm_reset_vcpu does to the registers followed here (6.12 reset.c)."""
        self.origins.clear()
        self.z = _zeros(32)
        self.p = _zeros(16)
        self.ffr = _zeros(1)
        self.x = _zeros(31)
        kept = {name: either((*self.core.get(name, ZERO), *ZERO)) for name in SURVIVORS}
        self.core = dict.fromkeys(_ZEROED, ZERO) | kept
        self.core["pstate"] = exact(0x1D3 if self.aarch32 else PSTATE_EL1H)
        self.sys = dict(RESET_SYSREGS)


@dataclass(slots=True)
class Vm:
    """What the vcpus of a VM share. `features`: those of its first initialised vcpu."""

    vcpus: dict[int, Vcpu] = field(default_factory=dict)
    features: int | None = None
    ran_once: bool = False
    ids: dict[str, Set] = field(default_factory=dict)
    ram: bytearray = field(default_factory=bytearray)
    ram_unknown: dict[int, int] = field(default_factory=dict)
