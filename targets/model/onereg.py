"""KVM_GET_ONE_REG and KVM_SET_ONE_REG: which register an id means, and what it may hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from corpus import registers as regs
from targets.model.errno import EBUSY, EINVAL, ENOENT, EPERM
from targets.model.expect import Home
from targets.model.sets import Set, exact, unknown
from targets.model.vcpu import U64, Vcpu, Vm
from targets.profile import Profile

UPPER_MASK = 0xFF0F_FFFF_0000_0000
COPROC_MASK = 0x0FFF_0000
SYSREG_SIZE_CODE = 3
"""System registers are 64 bits; index_to_params() knows no other size."""
CORE_WORDS = 216
"""struct kvm_regs is 864 bytes (facts 0)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A register found: `size` bytes, kept at `home`.

    `copied`: bytes that SET really reads (facts 1.5: up to the vcpu maximum only).
    `check`: None, or value -> errno for values that SET refuses.
    """

    rule: str
    size: int
    home: Home
    copied: int
    kind: str
    check: Callable[[int], tuple[int, ...]] | None = None

    @property
    def name(self) -> str:
        """The register's name, as parts of observations are labelled."""
        key = self.home[1]
        return key if isinstance(key, str) else f"{self.kind}{key}".replace("ffr0", "ffr")

    @property
    def candidates(self) -> Set:
        """What the register may hold."""
        found: Set = self.home[0][self.home[1]]
        return found


@dataclass(frozen=True, slots=True)
class Refused:
    """An id that GET and SET refuse."""

    rule: str
    err: int


@dataclass(frozen=True, slots=True)
class NotModelled:
    """An id about which the model says nothing: any outcome is permitted."""

    rule: str = "reg.not-modelled"


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
            return _sysreg(vm, vcpu, row)
    return NotModelled()


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


def _core(vcpu: Vcpu, profile: Profile, reg: int) -> Slot | Refused:
    size = regs.size_of(reg)
    word = reg & 0xF000_FFFF
    if word >= CORE_WORDS or word + size // 4 >= CORE_WORDS:
        return Refused("core.beyond-kvm-regs", ENOENT)
    if _CORE_SIZES.get(word) is None:
        return Refused("core.hole", EINVAL)
    if vcpu.sve and 0x54 <= word < 0xD4:
        return Refused("core.v-on-sve", EINVAL)
    if _CORE_SIZES[word] != size:
        return Refused("core.size", EINVAL)
    name = _CORE_NAMES[word]
    if word < 0x3E:
        return Slot("core.x", 8, (vcpu.x, word // 2), 8, "x")
    if 0x54 <= word < 0xD4:
        return Slot("core.v", 16, (vcpu.z, (word - 0x54) // 4), 16, "v")
    if name == "pstate":
        return Slot("core.pstate", 8, (vcpu.core, name), 8, name, _pstate_check(vcpu, profile))
    return Slot(
        "core." + ("fp-control" if size == 4 else "other"), size, (vcpu.core, name), size, name
    )


_AA64_EL1_MODES = frozenset({0x0, 0x4, 0x5})
_AA64_EL2_MODES = frozenset({0x8, 0x9})
_AA32_MODES = frozenset({0x11, 0x12, 0x13, 0x17, 0x1B, 0x1F})
AA32_USER = 0x10


def _pstate_check(vcpu: Vcpu, profile: Profile) -> Callable[[int], tuple[int, ...]]:
    def check(value: int) -> tuple[int, ...]:
        mode = value & 0x1F
        if mode == AA32_USER:
            return () if profile.el0_32bit else (EINVAL,)
        if mode in _AA32_MODES:
            return () if vcpu.aarch32 else (EINVAL,)
        if mode in _AA64_EL1_MODES:
            return (EINVAL,) if vcpu.aarch32 else ()
        return (EINVAL,)

    return check


_Z_FIRST, _Z_LAST = regs.Z_IDS[0], regs.Z_IDS[-1] | 31
_P_FIRST, _P_LAST = regs.P_IDS[0], regs.REGISTERS["ffr"].id | 31


def _sve(vcpu: Vcpu, reg: int) -> Slot | Refused:
    if reg == regs.VLS_ID:
        raise AssertionError("VLS has its own handlers")
    is_z = _Z_FIRST <= reg <= _Z_LAST
    if not is_z and not _P_FIRST <= reg <= _P_LAST:
        return Refused("sve.id-outside-ranges", EINVAL)
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


def _sysreg(vm: Vm, vcpu: Vcpu, row: regs.Register) -> Slot | Refused | NotModelled:
    name = row.name
    if name == "zcr_el1" and not vcpu.sve:
        return Refused("sysreg.zcr-no-sve", ENOENT)
    if row.kind == "id":
        return Slot("id.value", 8, (_id_registers(vm), name), 8, "id", _id_check(vm, vcpu, name))
    if name not in vcpu.sys:
        return NotModelled()
    return Slot(
        "sysreg.zcr-raw" if name == "zcr_el1" else "sysreg.value", 8, (vcpu.sys, name), 8, name
    )


PFR0_SVE = 0xF << 32


def _id_registers(vm: Vm) -> dict[str, Set]:
    if not vm.ids:
        sve = bool(vm.features and vm.features >> 4 & 1)
        vm.ids.update(
            id_aa64pfr0_el1=unknown(1 << 32 if sve else 0, U64 & ~PFR0_SVE),
            id_aa64pfr1_el1=unknown(0, U64 & ~(0xF << 24)),
            id_aa64zfr0_el1=unknown(0, U64) if sve else exact(0),
            id_aa64smfr0_el1=exact(0),
        )
    return vm.ids


def _id_check(vm: Vm, vcpu: Vcpu, name: str) -> Callable[[int], tuple[int, ...]]:
    """Refusals of an ID register write; an empty tuple permits success only."""

    def check(value: int) -> tuple[int, ...]:
        current = _id_registers(vm)[name]
        if len(current) == 1 and current[0] == (value, 0):
            return ()
        refusal = EBUSY if vm.ran_once else EINVAL
        if all((value ^ v) & ~m for v, m in current) and (vm.ran_once or name in _FIXED):
            return (refusal,)
        fixed_differs = name == "id_aa64pfr0_el1" and all(
            (value ^ v) & ~m & PFR0_SVE for v, m in current
        )
        return (refusal,) if fixed_differs else (0, refusal)

    return check


_FIXED = ("id_aa64smfr0_el1",)
"""ID registers that read as zero and refuse everything else without SME guests."""
