"""KVM_GET_ONE_REG and KVM_SET_ONE_REG: which register an id means, and what it may hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from corpus import registers as regs
from targets.profile import Profile
from targets.spec import el2, idregs
from targets.spec.errno import EINVAL, ENOENT, EPERM
from targets.spec.sets import Set, exact
from targets.spec.slots import ACCEPTED, NotModelled, Refused, Slot, Verdict
from targets.spec.vcpu import Release, Vcpu, Vm

UPPER_MASK = 0xFF0F_FFFF_0000_0000
COPROC_MASK = 0x0FFF_0000
SYSREG_SIZE_CODE = 3
"""System registers are 64 bits; index_to_params() knows no other size."""
CORE_WORDS = 216
"""struct kvm_regs is 864 bytes (facts 0)."""


def find(vm: Vm, vcpu: Vcpu, profile: Profile, reg: int) -> Slot | Refused | NotModelled:
    """What `reg` means on an initialised vcpu. The order of the checks is that of
    guest.c and sys_regs.c (6.12)."""
    if reg & UPPER_MASK != regs.ARM64:
        return Refused("reg.upper-half", EINVAL)
    coproc = reg & COPROC_MASK
    if coproc == regs.CORE:
        return _core(vcpu, profile, reg)
    if coproc == regs.SVE:
        return _sve(vcpu, reg)
    if coproc == regs.SYSREG:
        if reg >> 52 & 0xF != SYSREG_SIZE_CODE:
            return Refused("sysreg.size", ENOENT)
        row = regs.BY_ID.get(reg)
        if row is not None:
            return _sysreg(vm, vcpu, row, profile)
    return NotModelled()


def is_modelled(reg: int) -> bool:
    """Whether the specification says what an id means, if only that it is refused."""
    if reg & UPPER_MASK != regs.ARM64 or reg & COPROC_MASK in (regs.CORE, regs.SVE):
        return True
    if reg & COPROC_MASK != regs.SYSREG:
        return False
    return reg >> 52 & 0xF != SYSREG_SIZE_CODE or reg in regs.BY_ID


_CORE_SIZES = {
    **dict.fromkeys((*range(0, 62, 2), 0x3E, 0x40, 0x42, 0x44, 0x46), 8),
    **dict.fromkeys(range(0x48, 0x52, 2), 8),
    **dict.fromkeys(range(0x54, 0xD4, 4), 16),
    **dict.fromkeys((0xD4, 0xD5), 4),
}
"""Bytes of the core register at each word offset of struct kvm_regs."""

_CORE_NAMES = {
    row.id & 0xFFFF: row.name
    for row in regs.REGISTERS.values()
    if row.id & COPROC_MASK == regs.CORE
}


_CORE_RULES = {
    "sp": "core.sp",
    "pc": "core.pc",
    "sp_el1": "core.sp",
    "elr_el1": "core.elr",
    "fpsr": "core.fpsr",
    "fpcr": "core.fpcr",
}
"""Rules by register; the rest are the SPSRs."""


def is_sysreg(reg: int) -> bool:
    """Whether an id means a system register, known or not."""
    return reg & (UPPER_MASK | COPROC_MASK) == regs.ARM64 | regs.SYSREG


def _core(vcpu: Vcpu, profile: Profile, reg: int) -> Slot | Refused:
    size = regs.size_of(reg)
    word = reg & 0xF000_FFFF
    if word >= CORE_WORDS or word + size // 4 >= CORE_WORDS:
        return Refused("core.beyond-kvm-regs", ENOENT)
    if _CORE_SIZES.get(word) is None:
        return Refused("core.hole", EINVAL)
    if vcpu.sve and V_FIRST <= word < V_END:
        return Refused("core.v-on-sve", EINVAL)
    if _CORE_SIZES[word] != size:
        return Refused("core.size", EINVAL)
    name = _CORE_NAMES[word]
    if word < X_END:
        return Slot("core.x", 8, (vcpu.x, word // 2), 8, "x")
    if V_FIRST <= word < V_END:
        return Slot("core.v", 16, (vcpu.z, (word - V_FIRST) // 4), 16, "v")
    if name == "pstate":
        return Slot("core.pstate", 8, (vcpu.core, name), 8, name, _pstate_check(vcpu, profile))
    return Slot(_CORE_RULES.get(name, "core.spsr"), size, (vcpu.core, name), size, name)


X_END, V_FIRST, V_END = 0x3E, 0x54, 0xD4
"""Word offsets in struct kvm_regs behind X30, of V0, behind V31."""

_AA64_EL1_MODES = frozenset({0x0, 0x4, 0x5})
_AA64_EL2_MODES = frozenset({0x8, 0x9})
_AA32_MODES = frozenset({0x11, 0x12, 0x13, 0x17, 0x1B, 0x1F})
AA32_USER = 0x10


def _pstate_check(vcpu: Vcpu, profile: Profile) -> Callable[[int], Verdict]:
    """guest.c, set_core_reg (facts 1.6): the mode must be one that the vcpu has."""

    def check(value: int) -> Verdict:
        mode = value & 0x1F
        if mode == AA32_USER:
            fine = profile.el0_32bit
            return Verdict((0,) if fine else (EINVAL,), "core.pstate-aarch32-user")
        if mode in _AA32_MODES:
            return Verdict((0,) if vcpu.aarch32 else (EINVAL,), "core.pstate-aarch32")
        if mode in _AA64_EL1_MODES:
            if vcpu.aarch32:
                return Verdict((EINVAL,), "core.pstate-aarch64-refused")
            return ACCEPTED
        if mode in _AA64_EL2_MODES:
            if vcpu.el2:
                return Verdict((0,), "el2.pstate-set")
            return Verdict((EINVAL,), "core.pstate-el2-refused")
        return Verdict((EINVAL,), "core.pstate-no-mode")

    return check


_Z_FIRST, _Z_LAST = regs.Z_IDS[0], regs.Z_IDS[-1] | 31
_P_FIRST, _P_LAST = regs.P_IDS[0], regs.REGISTERS["ffr"].id | 31


def _sve(vcpu: Vcpu, reg: int) -> Slot | Refused:
    if reg == regs.VLS_ID:
        raise AssertionError("VLS has its own handlers")
    is_z = _Z_FIRST <= reg <= _Z_LAST
    if not is_z and not _P_FIRST <= reg <= _P_LAST:
        return Refused("vls.size" if reg & 0xFFFF == 0xFFFF else "sve.id-outside-ranges", EINVAL)
    if not vcpu.sve:
        return Refused("sve.no-sve", ENOENT)
    if reg & 31:
        return Refused("sve.slice", ENOENT)
    if not vcpu.finalised:
        return Refused("sve.not-finalised", EPERM)
    n = reg >> 5 & 31
    vl = vcpu.max_vq * 16
    if is_z:
        return Slot("sve.z", 256, (vcpu.z, n), vl, "z")
    if n < 16:
        return Slot("sve.p", 32, (vcpu.p, n), vl // 8, "p")
    return Slot("sve.ffr", 32, (vcpu.ffr, 0), vl // 8, "ffr")


_HIDDEN = {
    "smcr_el1": "sysreg.smcr-hidden",
    "svcr": "sysreg.svcr-hidden",
}
"""Registers of what the vcpu does not have: unknown to user space."""

_SYSREG_RULES = {"zcr_el1": "sysreg.zcr", "cpacr_el1": "sysreg.cpacr"}


def _of_el2(vm: Vm, vcpu: Vcpu, name: str, kernel: Release) -> Slot | Refused:
    if not vcpu.el2:
        hidden = "sysreg.zcr-el2-hidden" if name == "zcr_el2" else "sysreg.el2-hidden"
        return Refused(hidden, ENOENT)
    if name == "zcr_el2" and not vcpu.sve:
        return Refused("el2.zcr-no-sve", ENOENT)
    home = vcpu.core if name in vcpu.core else vcpu.sys
    rule = _EL2_RULES.get(name, "el2.value")
    return Slot(rule, 8, (home, name), 8, name, stored=_stored(vm, vcpu, name, kernel))


def _stored(vm: Vm, vcpu: Vcpu, name: str, kernel: Release) -> Callable[[int], Set]:
    """What a system register holds once SET took a value."""
    return partial(el2.fixed, name, kernel=kernel, pauth=vcpu.pauth) if vm.fixed else exact


_EL2_RULES = {"zcr_el2": "el2.zcr", "cptr_el2": "el2.cptr", "hcr_el2": "el2.hcr"}


def _key(vcpu: Vcpu, name: str) -> Slot | Refused:
    """A key of pointer authentication: hidden by ptrauth_visibility."""
    if not vcpu.pauth:
        return Refused("pauth.keys-hidden", ENOENT)

    def stored(value: int) -> Set:
        vcpu.forget_signed(name)
        return exact(value)

    return Slot("pauth.key", 8, (vcpu.sys, name), 8, name, stored=stored)


def _sysreg(
    vm: Vm, vcpu: Vcpu, row: regs.Register, profile: Profile
) -> Slot | Refused | NotModelled:
    name, kernel = row.name, profile.kernel
    if name == "zcr_el1" and not vcpu.sve:
        return Refused("sysreg.zcr-no-sve", ENOENT)
    if name in _HIDDEN:
        return Refused(_HIDDEN[name], ENOENT)
    if name in regs.EL2_NAMES:
        return _of_el2(vm, vcpu, name, kernel)
    if row.kind == "id":
        return NotModelled() if vm.mixed else idregs.find(vm, name)
    if row.kind == "key":
        return _key(vcpu, name)
    if row.kind == "tagging":
        if not vm.mte:
            return Refused("mte.registers-hidden", ENOENT)
        return Slot("mte.registers", 8, (vcpu.sys, name), 8, name)
    if name == "fpmr" and not profile.fpmr:
        return NotModelled() if profile.fpmr is None else Refused("sysreg.fpmr-hidden", ENOENT)
    if name not in vcpu.sys:
        return NotModelled()
    rule = _SYSREG_RULES.get(name, "sysreg.value")
    return Slot(rule, 8, (vcpu.sys, name), 8, name, stored=_stored(vm, vcpu, name, kernel))


__all__ = ["ACCEPTED", "NotModelled", "Refused", "Slot", "Verdict", "find", "is_sysreg"]
