"""Virtual EL2: the registers that vcpus with HAS_EL2 have besides, as user space sees them."""

from __future__ import annotations

from corpus.isa.pauth import ALL_ENABLES
from targets.spec.rules import in_force
from targets.spec.sets import ZERO, Set, exact, join, unknown
from targets.spec.vcpu import SCTLR_RESET, U64, Release, Vcpu, Vm

PSTATE_EL2H = 0x3C9
"""EL2h with D, A, I and F masked: the reset value."""
TGE, RW, E2H = 1 << 27, 1 << 31, 1 << 34
"""Bits of HCR_EL2 that matter here: EL0 belongs to EL2, EL1 is AArch64, VHE."""
APK, API = 1 << 40, 1 << 41
"""HCR_EL2: keys, and instructions, of pointer authentication do not trap to EL2."""
INTERRUPTS = 1 << 4 | 1 << 3
"""HCR_EL2.IMO and FMO: physical IRQs and FIQs go to EL2."""
AMO, TEA = 1 << 5, 1 << 37
"""HCR_EL2: SErrors go to EL2; so do synchronous external aborts."""
CPTR_RESET = 0x22FF
"""RES1 bits of the form without E2H. With E2H it means: FP and SVE trap."""
ZCR_LEN = 0xF

ZCR_MASKED = "el2.zcr-masked"

_CORE_RESET: dict[str, Set] = {"elr_el2": ZERO, "spsr_el2": ZERO, "sp_el2": unknown(0, U64)}
_SYS_RESET: dict[str, Set] = {
    "zcr_el2": ZERO,
    "cptr_el2": exact(CPTR_RESET),
    "hcr_el2": unknown(0, E2H),
    "vbar_el2": ZERO,
    "esr_el2": ZERO,
    "far_el2": ZERO,
    "tpidr_el2": ZERO,
    "sctlr_el2": unknown(0, U64 & ~ALL_ENABLES),
}
RESET_ORIGINS = dict.fromkeys((*_CORE_RESET, *_SYS_RESET), "el2.reset")


def reset(vcpu: Vcpu, vm: Vm, kernel: Release) -> None:
    """What a reset does to the EL2 registers."""
    vcpu.core.update(_CORE_RESET, pstate=exact(PSTATE_EL2H))
    vcpu.sys.update(_SYS_RESET)
    vcpu.origins.update(RESET_ORIGINS, pstate="el2.reset-pstate")
    if vm.fixed:
        sanitise(vcpu, kernel)


def sanitise(vcpu: Vcpu, kernel: Release) -> None:
    """From a VM's first run on, registers lose the bits that its vcpus do not have."""
    for name in _FIXED:
        value, mask = join(vcpu.sys[name])
        vcpu.sys[name] = fixed(name, value, kernel, mask, pauth=vcpu.pauth)


def fixed(name: str, value: int, kernel: Release, mask: int = 0, *, pauth: bool = False) -> Set:
    """What `name` keeps of a value that it is given once its VM, with or without pointer
    authentication, has run (config.c, hcr_feat_map, sctlr_el1_feat_map)."""
    if name == "zcr_el2":
        above = 0 if in_force(ZCR_MASKED, kernel) else value & ~ZCR_LEN
        return unknown(value & ZCR_LEN, mask & ZCR_LEN | above)
    if name == "hcr_el2":
        return unknown(value, mask | value & ~kept_of_hcr(pauth=pauth) | E2H | RW)
    if name == "sctlr_el1":
        is_usual = value & ~ALL_ENABLES == SCTLR_RESET
        lost = 0 if pauth else ALL_ENABLES & value
        return unknown(value, mask | _SCTLR_ANYHOW | lost) if is_usual else unknown(0, U64)
    return unknown(value, mask)


def kept_of_hcr(*, pauth: bool) -> int:
    """Bits of HCR_EL2 that a vcpu surely has."""
    return TGE | (API | APK if pauth else 0)


_FIXED = ("zcr_el2", "hcr_el2", "sctlr_el1")
_SCTLR_ANYHOW = SCTLR_RESET | 0x30D5_09D8
SCTLR_FIXED = unknown(SCTLR_RESET, _SCTLR_ANYHOW)
"""SCTLR_EL1 as a reset leaves it, with RES0 and RES1 bits either way: they do nothing."""
