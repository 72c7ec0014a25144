"""Which registers may differ once a vcpu was saved on one leg and restored on another, and why.

Core, vector and other registers that the model follows are judged as SETs and GETs on the
destination, by its own copy of the model. This is about the rest: what a VMM carries because
KVM_GET_REG_LIST names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from corpus import registers as regs
from targets.spec.errno import EBUSY, EINVAL, ENOENT
from targets.spec.rules import is_strict

_TIMERS = 14
"""CRn."""
_STATUS = 1 << 2
"""ISTATUS of a timer's control register: whether it would ring now."""
_FIRMWARE = (0x14 << 16, 0x16 << 16)
"""KVM_REG_ARM_FW and KVM_REG_ARM_FW_FEAT_BMAP."""
_COPROC = 0x0FFF_0000
_DROPPED = {
    0x6030_0000_0013_C03A: 0xF << 24,  # ID_AA64MMFR2_EL1: NV
    0x6030_0000_0013_C028: 0xF << 36 | 0xF << 8,  # ID_AA64DFR0_EL1: DoubleLock, PMUVer
    0x6030_0000_0013_C012: 0xF << 24,  # ID_DFR0_EL1: PerfMon
    0x6030_0000_0013_DCE0: 0xFFFF << 16,  # PMCR_EL0: IMP, IDCODE
}
"""Register -> read-only fields that kernels once showed and newer ones drop (sys_regs.c of 6.12 and
7.2)."""
VIRTUAL_COUNT = 0x6030_0000_0013_DF1A
"""KVM_REG_ARM_TIMER_CNT, whose id is that of CNTV_CVAL_EL0: a mistake of the interface."""
PHYSICAL_COUNT = 0x6030_0000_0013_DF01
_DEMUX = 0x11 << 16
"""CCSIDR by level: what caches the CPU has."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A register on its way: the bytes that the source gave, how its SET ended on the destination
    and its GET afterwards, errnos and bytes. `listed`: the destination lists it; `same`: both legs
    run the same kernel in the same mode on the same emulated CPU."""

    id: int
    saved: bytes
    set_err: int
    get_err: int
    found: bytes
    listed: bool
    same: bool

    @property
    def arrived(self) -> bool:
        """Whether it is what it was."""
        return not self.set_err and not self.get_err and self.saved == self.found


@dataclass(frozen=True, slots=True)
class Difference:
    """A register that did not arrive as it was, and the rule that permits it or is broken."""

    register: Carried
    rule: str
    permitted: bool

    @property
    def strict(self) -> bool:
        """Whether the broken rule is one that is promised."""
        return is_strict(self.rule)


def difference(register: Carried) -> Difference | None:
    """Why a register is not what it was, if it is not."""
    if register.arrived:
        return None
    for rule, permits in _PERMITTED:
        if permits(register):
            return Difference(register, rule, permitted=True)
    return Difference(register, "carry.same" if register.same else "carry.others", permitted=False)


def _sysreg(reg: int) -> tuple[int, int, int, int, int] | None:
    """op0, op1, CRn, CRm, op2 of a system register."""
    if reg & _COPROC != regs.SYSREG:
        return None
    return reg >> 14 & 3, reg >> 11 & 7, reg >> 7 & 15, reg >> 3 & 15, reg & 7


def spelling(reg: int) -> str:
    """A register's name; a system register without one is spelled as assemblers do."""
    found = _sysreg(reg)
    if found is None or reg in regs.BY_ID:
        return regs.name_of(reg)
    return "s{}_{}_c{}_c{}_{}".format(*found)


def is_timer(reg: int) -> bool:
    """Whether a register is a timer's, or of those that are next to them."""
    found = _sysreg(reg)
    return found is not None and found[2] == _TIMERS


def is_identity(reg: int) -> bool:
    """Whether a register says what the CPU is or has."""
    found = _sysreg(reg)
    return reg & _COPROC == _DEMUX or (found is not None and found[0] == 3 and found[2] == 0)


def _goes_on(one: Carried) -> bool:
    """Whether no more differs than what time makes of a timer: the guest's virtual counter did not
    go back, and whether it rings may be another thing by now. The physical counter is the host's
    own on kernels that give it no offset."""
    if one.set_err or one.get_err or not is_timer(one.id):
        return False
    saved, found = _number(one.saved), _number(one.found)
    if one.id == VIRTUAL_COUNT:
        return found >= saved
    return one.id == PHYSICAL_COUNT or not (saved ^ found) & ~_status(one.id)


def _status(reg: int) -> int:
    """What comes and goes of a timer's register: of its control."""
    found = _sysreg(reg)
    return _STATUS if found is not None and found[3] in (2, 3) and found[4] == 1 else 0


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _is_dropped(one: Carried) -> bool:
    """Whether all that differs is fields that a kernel takes and drops."""
    field = _DROPPED.get(one.id, 0)
    taken = not one.set_err and not one.get_err
    return taken and not (_number(one.saved) ^ _number(one.found)) & ~field


def _is_firmware(reg: int) -> bool:
    return reg & _COPROC in _FIRMWARE


_PERMITTED: tuple[tuple[str, Callable[[Carried], bool]], ...] = (
    ("carry.timers", _goes_on),
    (
        "carry.unknown-register",
        lambda one: not one.same and not one.listed and one.set_err in (ENOENT, EINVAL),
    ),
    (
        "carry.id-register",
        lambda one: not one.same and is_identity(one.id) and one.set_err in (EINVAL, EBUSY),
    ),
    ("carry.id-dropped", lambda one: not one.same and _is_dropped(one)),
    ("carry.firmware", lambda one: not one.same and _is_firmware(one.id) and one.set_err == EINVAL),
)
