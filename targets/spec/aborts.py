"""Synchronous external aborts that user space injects (api.rst 4.32).

Up to 6.12 the guest's next entry takes them, and only ESR_EL1 and FAR_EL1 tell of them before. 7.2
has the vcpu take them within the ioctl, and so has the emulator (guest.c, inject_fault.c and
hyp/exception.c of 6.1 and 7.2; the kernels between were not read).
"""

from __future__ import annotations

from targets.profile import Profile
from targets.spec.errors import Decides, Unpredictable, syndrome
from targets.spec.sets import Set, exact, join, unknown
from targets.spec.vcpu import OPTIONAL_PSTATE, PSTATE_PAN, PSTATE_TCO, U64, Vcpu

PENDS, TAKEN = "events.abort-pends", "events.abort-taken"
FIRST_AT_ONCE = (7, 2)
_LAST_TO_PEND, _NO_KERNEL = (6, 12), (0, 0)
_EXTERNAL = 0x10
"""DFSC."""
_IL = 1 << 25
_LOWER, _CURRENT = 0x24, 0x25
"""Classes of data aborts, by where they come from."""
SYNDROME = syndrome(_CURRENT, _EXTERNAL)
"""As a guest is told that is at EL1."""
_ENTRIES = {0x4: (_CURRENT, 0), 0x5: (_CURRENT, 0x200), 0x0: (_LOWER, 0x400)}
"""Mode -> exception class, and offset of the vector of EL1."""
_MODE, _NZCV, _EL1H_MASKED = 0x1F, 0xF000_0000, 0x3C5
_SPAN = 1 << 23
"""Of SCTLR_EL1: exceptions leave PSTATE.PAN."""
_VECTORS = 1 << 11
"""What VBAR_EL1 is aligned to."""


def rule_for(profile: Profile) -> str:
    """Whether the next entry takes it, or the ioctl moves the vcpu to its handler. Raises
    Unpredictable."""
    if _LAST_TO_PEND < profile.kernel < FIRST_AT_ONCE:
        raise Unpredictable("an abort that user space injects on this kernel", Decides.KERNEL)
    return PENDS if _NO_KERNEL < profile.kernel < FIRST_AT_ONCE else TAKEN


def check(vcpu: Vcpu, profile: Profile, protected: bool) -> None:
    """Raises Unpredictable where what an abort does to an initialised vcpu, of a VM that may be
    `protected`, is not known."""
    pstate, mask = join(vcpu.core["pstate"])
    if vcpu.el2 or protected or vcpu.aarch32 or (pstate & _MODE) not in _ENTRIES or mask & _MODE:
        raise Unpredictable("an abort that user space injects here is not modelled", Decides.KERNEL)
    if vcpu.reset_requested:
        raise Unpredictable("an abort before a reset that was asked for", Decides.KERNEL)
    if profile.kernel < FIRST_AT_ONCE:
        return
    if vcpu.fault is None:
        # 7.2 asks the syndrome of the last exit, whatever that was, if a walk of tables failed: by
        # bit 7, also of a hypercall's number (inject_abt64).
        raise Unpredictable("an abort after an exit that was no MMIO", Decides.KERNEL)


def tell(vcpu: Vcpu, profile: Profile) -> None:
    """ESR_EL1 and FAR_EL1, which has the address of the fault that was the last one to go to the
    host. IL was that one's, too, on kernels that have aborts pend."""
    pstate, _ = join(vcpu.core["pstate"])
    esr = syndrome(_ENTRIES[pstate & _MODE][0], _EXTERNAL)
    rule = rule_for(profile)
    certain = rule == TAKEN or vcpu.fault is not None
    spoiled = U64 ^ 0xFFFF_FFFF if rule in profile.defects else 0
    vcpu.sys["esr_el1"] = unknown(esr, spoiled if certain else spoiled | _IL)
    known = vcpu.fault is not None and profile.kernel != _NO_KERNEL
    vcpu.sys["far_el1"] = exact(vcpu.fault or 0) if known else unknown(0, U64)
    vcpu.origins.update(esr_el1=rule, far_el1=rule)


def take(vcpu: Vcpu, rule: str) -> None:
    """KVM, not the CPU, has the vcpu enter its handler; none of the guest's code is executed."""
    core = vcpu.core
    pstate, mask = join(core["pstate"])
    core["elr_el1"] = core["pc"]
    core["spsr_el1"] = unknown(pstate, mask | pstate & OPTIONAL_PSTATE)
    core["pc"] = _handler(vcpu.sys["vbar_el1"], _ENTRIES[pstate & _MODE][1])
    loose = OPTIONAL_PSTATE & ~(PSTATE_TCO if vcpu.mte else 0)
    sctlr, loose_sctlr = join(vcpu.sys["sctlr_el1"])
    if sctlr & ~loose_sctlr & _SPAN and not (pstate | mask) & PSTATE_PAN:
        loose &= ~PSTATE_PAN
    after = pstate & _NZCV | _EL1H_MASKED | (PSTATE_TCO if vcpu.mte else 0)
    core["pstate"] = unknown(after, mask & _NZCV | loose)
    vcpu.origins.update(dict.fromkeys(("elr_el1", "spsr_el1", "pc", "pstate"), rule))


def _handler(vbar: Set, offset: int) -> Set:
    """PC. Whether VBAR_EL1 keeps bits below its alignment is up to the CPU."""
    value, mask = join(vbar)
    if mask or value % _VECTORS:
        return unknown(0, U64)
    return exact(value + offset)
