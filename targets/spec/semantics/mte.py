"""Semantics of memory tagging (Arm ARM, ADDG, GMI, IRG, LDG, LDGM, STG, STGM, STGP and on).

Guests have no access to tags of memory: HCR_EL2.ATA is clear in VMs without memory tagging, and
SCTLR_EL1.ATA as a reset leaves it in others. So every tag is zero, and none is stored
(AArch64.AllocationTagAccessIsEnabled); addresses are translated all the same, and may fault.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from corpus.isa.mte import BLOCKS, GRANULE
from targets.profile import MEMORY_TAGS
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable, syndrome
from targets.spec.rules import in_force
from targets.spec.semantics.registry import SEMANTICS, semantic
from targets.spec.sets import join, unknown

TAG_SHIFT = 56
TAG = 0xF << TAG_SHIFT
"""Of an address: bits 59 to 56."""
_ADDRESS = (1 << TAG_SHIFT) - 1
_LARGEST_BLOCK = 1 << 11
"""Bytes: of DCZID_EL0.BS and of GMID_EL1.BS no more than 9 is allowed."""
_TCO = 1 << 25
_ALIGNMENT, _WRITE = 0x21, 1 << 6
"""ISS of a data abort: DFSC of an alignment fault, and WnR."""
GMID_BITS = 0xF

FIELDS = {"rgsr_el1": 0xFF_FF0F, "gcr_el1": 0x1_FFFF, "tfsr_el1": 3, "tfsre0_el1": 3}
"""Register -> bits that every CPU with FEAT_MTE2 keeps."""


def held(name: str, value: int, mask: int) -> tuple[tuple[int, int], ...]:
    """A register of memory tagging after hardware held `value`."""
    return unknown(value, mask | value & ~FIELDS[name])


def _check_asked(cpu: Cpu) -> int:
    """What the CPU has of it. Raises Unpredictable."""
    if cpu.has_mte is None:
        raise Unpredictable("whether the CPU has memory tagging is not known", Decides.NOTHING)
    return cpu.has_mte


def need_registers(cpu: Cpu) -> None:
    """An MRS or MSR of a register of memory tagging at EL1. Raises GuestException,
    Unpredictable."""
    if cpu.vcpu.el2 or cpu.vm.protected:
        raise Unpredictable(
            "registers of memory tagging beside EL2 or in a protected VM are not modelled",
            Decides.NOTHING,
        )
    if not cpu.vm.mte:
        cpu.rules.add("mte.registers-undefined")
        cpu.leave()
        raise GuestException(UNDEFINED)


def write_register(cpu: Cpu, name: str, value: int, mask: int) -> None:
    """MSR of one."""
    cpu.vcpu.origins[name] = cpu.rule
    cpu.vcpu.sys[name] = held(name, value, mask)


def read_gmid(cpu: Cpu, xt: int) -> None:
    """MRS of GMID_EL1 at EL1: how many tags LDGM loads. Raises GuestException, Unpredictable."""
    here = _check_asked(cpu)
    if cpu.vcpu.el2 or cpu.vm.protected:
        raise Unpredictable(
            "GMID_EL1 beside EL2 or in a protected VM is not modelled", Decides.NOTHING
        )
    if not cpu.vm.mte:
        cpu.rules.add("mte.gmid")
        trapped = in_force("mte.gmid-trapped", cpu.kernel)
        if trapped:
            cpu.rules.add("mte.gmid-trapped")
        surely = not here or trapped
        if surely or cpu.forks.choose(2):
            cpu.leave()
            raise GuestException(UNDEFINED)
    cpu.set_x(xt, 0, GMID_BITS)


def need_tco(cpu: Cpu) -> None:
    """An access to PSTATE.TCO, at any EL. Raises GuestException, Unpredictable."""
    if not _check_asked(cpu):
        cpu.rules.add("run.undefined-feature")
        raise GuestException(UNDEFINED)


def read_tco(cpu: Cpu) -> tuple[int, int]:
    """PSTATE.TCO, which without FEAT_MTE2 may be zero throughout."""
    cpu.rules.add("mte.tco")
    value, mask = join(cpu.vcpu.core["pstate"])
    return value & _TCO, mask & _TCO


def write_tco(cpu: Cpu, value: int, mask: int) -> None:
    """MSR of PSTATE.TCO."""
    cpu.rules.add("mte.tco")
    old, old_mask = join(cpu.vcpu.core["pstate"])
    cpu.vcpu.origins["pstate"] = cpu.rule
    loose = mask & _TCO
    if cpu.has_mte != MEMORY_TAGS:
        loose |= value & _TCO
    cpu.vcpu.core["pstate"] = unknown(old & ~_TCO | value & _TCO, old_mask & ~_TCO | loose)


@semantic("msr_tco")
def msr_tco(cpu: Cpu, imm: int) -> None:
    need_tco(cpu)
    write_tco(cpu, imm and _TCO, 0)


# -- tags of addresses -----------------------------------------------------------------


def _carried(mask: int) -> int:
    """Unknown bits of a sum: everything from the lowest unknown bit up."""
    return U64 & -(mask & -mask)


def _sum(cpu: Cpu, xd: int, xn: int, offset: int) -> None:
    """An address that was added to, with tag zero."""
    value, mask = cpu.xsp(xn)
    mask = _carried(mask) if offset else mask
    cpu.rules.add("mte.no-tags")
    cpu.set_xsp(xd, value + offset & U64 & ~(TAG | mask), mask & ~TAG)


@semantic("addg")
def addg(cpu: Cpu, xd: int, xn: int, imm: int, tag: int) -> None:
    _check_asked(cpu)
    _sum(cpu, xd, xn, imm)


@semantic("subg")
def subg(cpu: Cpu, xd: int, xn: int, imm: int, tag: int) -> None:
    _check_asked(cpu)
    _sum(cpu, xd, xn, -imm)


@semantic("irg")
def irg(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    _check_asked(cpu)
    _sum(cpu, xd, xn, 0)


@semantic("gmi")
def gmi(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    """A mask of tags gets that of an address."""
    _check_asked(cpu)
    (address, loose), (mask, unsure) = cpu.xsp(xn), cpu.x(xm)
    tag, loose = address >> TAG_SHIFT & 0xF, loose >> TAG_SHIFT & 0xF
    may_be = sum(1 << n for n in range(16) if not (n ^ tag) & ~loose)
    surely = 0 if loose else may_be
    cpu.set_x(xd, mask | surely, (unsure | may_be & ~mask) & ~surely)


def _extended(candidate: tuple[int, int]) -> tuple[int, int]:
    """An address without its top byte, as a number with a sign."""
    value, mask = candidate
    top = 1 << TAG_SHIFT - 1
    above = U64 & ~_ADDRESS
    value, mask = value & _ADDRESS, mask & _ADDRESS
    return value | (above if value & top else 0), mask | (above if mask & top else 0)


def _difference(cpu: Cpu, xd: int, xn: int, xm: int, *, flags: bool) -> None:
    _check_asked(cpu)
    (a, loose), (b, unsure) = _extended(cpu.xsp(xn)), _extended(cpu.xsp(xm))
    any_of = loose | unsure
    result = a - b & U64
    carried = _carried(any_of)
    cpu.set_x(xd, result & ~carried, carried)
    if not flags:
        return
    if any_of:
        cpu.set_nzcv(0, 0xF)
        return
    overflow = (a ^ b) & (a ^ result)
    cpu.set_nzcv((result >> 63) << 3 | (not result) << 2 | (a >= b) << 1 | overflow >> 63)


@semantic("subp")
def subp(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    _difference(cpu, xd, xn, xm, flags=False)


@semantic("subps")
def subps(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    _difference(cpu, xd, xn, xm, flags=True)


# -- tags of memory --------------------------------------------------------------------


@semantic("ldg")
def ldg(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
    _check_asked(cpu)
    address = cpu.address(xn, imm) & -GRANULE
    if not cpu.reaches(address, GRANULE):
        cpu.load(address, GRANULE)
    cpu.rules.add("mte.no-tags")
    value, mask = cpu.x(xt)
    cpu.set_x(xt, value & ~TAG, mask & ~TAG)


def _check_granule(cpu: Cpu, address: int) -> None:
    """Raises GuestException where a tag would be stored for no whole granule."""
    if address % GRANULE:
        cpu.rules.add("mte.alignment")
        esr = syndrome(0x25 if cpu.level else 0x24, _ALIGNMENT | _WRITE)
        raise GuestException(esr, address)


def _tag(cpu: Cpu, address: int, granules: int, *, zero: bool) -> None:
    """Tags are stored, of which nothing is left, and data zeros, if those are."""
    _check_granule(cpu, address)
    cpu.rules.add("mte.no-tags")
    every = range(address, address + granules * GRANULE, GRANULE)
    astray = [at for at in every if not cpu.reaches(at, GRANULE, write=True)]
    for at in every if zero else ():
        if astray:
            cpu.perhaps_store(at, GRANULE, 0)
        else:
            cpu.store(at, GRANULE, 0)
    if astray:
        cpu.store(astray[0], GRANULE, 0)


def _store(granules: int, suffix: str, *, zero: bool) -> Callable[[Cpu, int, int, int], None]:
    def run(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
        _check_asked(cpu)
        address = cpu.address(xn, 0 if suffix == "_post" else imm)
        _tag(cpu, address, granules, zero=zero)
        if suffix:
            _write_back(cpu, xn, imm)

    return run


def _write_back(cpu: Cpu, xn: int, imm: int) -> None:
    cpu.set_xsp(xn, cpu.address(xn, imm))


def _pair(suffix: str) -> Callable[[Cpu, int, int, int, int], None]:
    def run(cpu: Cpu, xt1: int, xt2: int, xn: int, imm: int) -> None:
        _check_asked(cpu)
        address = cpu.address(xn, 0 if suffix == "_post" else imm)
        _check_granule(cpu, address)
        (low, loose), (high, unsure) = cpu.x(xt1), cpu.x(xt2)
        cpu.store(address, GRANULE, high << 64 | low, unsure << 64 | loose)
        cpu.rules.add("mte.no-tags")
        if suffix:
            _write_back(cpu, xn, imm)

    return run


def _block(cpu: Cpu, name: str, xt: int, xn: int) -> None:
    here = _check_asked(cpu)
    if cpu.el == 0:
        cpu.rules.add("mte.blocks-at-el0")
        raise GuestException(UNDEFINED)
    if here != MEMORY_TAGS and cpu.forks.choose(2):
        cpu.rules.add("mte.blocks-without-tags")
        raise GuestException(UNDEFINED)
    address = cpu.address(xn)
    block = address & -_LARGEST_BLOCK
    if not cpu.reaches(block, _LARGEST_BLOCK, write=name != "ldgm"):
        raise Unpredictable("tags of a block that may fault in part", Decides.NOTHING)
    cpu.rules.add("mte.no-tags")
    if name == "ldgm":
        cpu.set_x(xt, 0)
    elif name == "stzgm":
        cpu.perhaps_store(block, _LARGEST_BLOCK, 0)
        cpu.store(address & -GRANULE, GRANULE, 0)


def _register() -> None:
    for suffix in ("", "_post", "_pre"):
        for name, granules, zero in (
            *(("stg", 1, False), ("stzg", 1, True), ("st2g", 2, False), ("stz2g", 2, True)),
        ):
            SEMANTICS[name + suffix] = _store(granules, suffix, zero=zero)
        SEMANTICS["stgp" + suffix] = _pair(suffix)
    for name in BLOCKS:
        SEMANTICS[name] = partial(_block_of, name)


def _block_of(name: str, cpu: Cpu, xt: int, xn: int) -> None:
    _block(cpu, name, xt, xn)


_register()
