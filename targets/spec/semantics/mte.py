"""Semantics of memory tagging (Arm ARM, ADDG, GMI, IRG, LDG, LDGM, STG, STGM, STGP and on).

Only behind `tag-checks` has a guest access to tags of memory: HCR_EL2.ATA is clear in VMs without
memory tagging, and SCTLR_EL1.ATA as a reset leaves it in others. Else every tag is zero, and none
is stored (AArch64.AllocationTagAccessIsEnabled); addresses are translated all the same, and may
fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from corpus.isa.mte import BLOCKS, GRANULE
from corpus.wire import DATA_BASE
from targets.profile import MEMORY_TAGS
from targets.spec.cpu import U64, Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, Unpredictable, syndrome
from targets.spec.rules import in_force
from targets.spec.semantics.registry import SEMANTICS, semantic
from targets.spec.sets import join, unknown
from targets.spec.tags import ADDRESS, TAG_SHIFT, TAGS, is_tagged, plain
from targets.spec.vcpu import PSTATE_TCO

TAG = TAGS << TAG_SHIFT
"""Of an address: bits 59 to 56."""
_EXCLUDE = 0xFFFF
"""GCR_EL1.Exclude: tags that are not chosen."""
_LARGEST_BLOCK = 1 << 11
"""Bytes: of DCZID_EL0.BS and of GMID_EL1.BS no more than 9 is allowed."""
_ALIGNMENT, _WRITE = 0x21, 1 << 6
"""ISS of a data abort: DFSC of an alignment fault, and WnR."""
GMID_BITS = 0xF
_GMID_ISS = 3 << 20 | 4 << 17 | 1 << 14 | 1
"""Op0, Op2, Op1, and that it is read: with FEAT_IDST exceptions tell that, and do not without."""

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
        trapped = in_force("mte.gmid-trapped", cpu.kernel) and cpu.mode != "protected"
        if trapped:
            cpu.rules.add("mte.gmid-trapped")
        surely = not here or trapped
        if surely or cpu.forks.choose(2):
            cpu.leave()
            trap = syndrome(0x18, _GMID_ISS | xt << 5)
            raise GuestException((UNDEFINED, trap)[cpu.forks.choose(2)])
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
    return value & PSTATE_TCO, mask & PSTATE_TCO


def write_tco(cpu: Cpu, value: int, mask: int) -> None:
    """MSR of PSTATE.TCO."""
    cpu.rules.add("mte.tco")
    old, old_mask = join(cpu.vcpu.core["pstate"])
    cpu.vcpu.origins["pstate"] = cpu.rule
    loose = mask & PSTATE_TCO
    if cpu.has_mte != MEMORY_TAGS:
        loose |= value & PSTATE_TCO
    cpu.vcpu.core["pstate"] = unknown(
        old & ~PSTATE_TCO | value & PSTATE_TCO, old_mask & ~PSTATE_TCO | loose
    )


@semantic("msr_tco")
def msr_tco(cpu: Cpu, imm: int) -> None:
    need_tco(cpu)
    write_tco(cpu, imm and PSTATE_TCO, 0)


# -- tags of addresses -----------------------------------------------------------------

Tag: TypeAlias = tuple[int, int]
"""Value and unknown bits of four bits."""
_NONE: Tag = (0, 0)


def _tag_of(candidate: tuple[int, int]) -> Tag:
    """The tag of an address."""
    value, mask = candidate
    return value >> TAG_SHIFT & TAGS, mask >> TAG_SHIFT & TAGS


def _one_of(tags: Iterable[int]) -> Tag:
    """Any of some tags."""
    every, some = TAGS, 0
    for tag in tags:
        every, some = every & tag, some | tag
    return every, some & ~every


def _chosen(start: Tag, offset: int, exclude: tuple[int, int]) -> Tag:
    """AArch64.ChooseNonExcludedTag: `offset` tags on from `start`, without those excluded."""
    if exclude[1] & _EXCLUDE or start[1]:
        return 0, TAGS
    excluded = [bool(exclude[0] >> tag & 1) for tag in range(TAGS + 1)]
    if all(excluded):
        return _NONE
    tag = start[0]
    for step in (1,) * offset or (0,):
        tag = (tag + step) & TAGS
        while excluded[tag]:
            tag = (tag + 1) & TAGS
    return tag, 0


def _set_address(cpu: Cpu, xd: int, xn: int, offset: int, tag: Tag) -> None:
    """An address that was added to, with another tag."""
    value, mask = cpu.xsp(xn)
    mask = _carried(mask) if offset else mask
    value, mask = value + offset & ~TAG, mask & ~TAG | tag[1] << TAG_SHIFT
    cpu.set_xsp(xd, (value | tag[0] << TAG_SHIFT) & U64 & ~mask, mask)


def _carried(mask: int) -> int:
    """Unknown bits of a sum: everything from the lowest unknown bit up."""
    return U64 & -(mask & -mask)


def _without_access(cpu: Cpu) -> bool:
    """Whether the guest has no access to tags of memory."""
    _check_asked(cpu)
    cpu.rules.add("mte.tags" if cpu.vcpu.tagged else "mte.no-tags")
    return not cpu.vcpu.tagged


def _add(cpu: Cpu, xd: int, xn: int, offset: int, tag: int) -> None:
    chosen = _NONE
    if not _without_access(cpu):
        chosen = _chosen(_tag_of(cpu.xsp(xn)), tag, join(cpu.vcpu.sys["gcr_el1"]))
    _set_address(cpu, xd, xn, offset, chosen)


@semantic("addg")
def addg(cpu: Cpu, xd: int, xn: int, imm: int, tag: int) -> None:
    _add(cpu, xd, xn, imm, tag)


@semantic("subg")
def subg(cpu: Cpu, xd: int, xn: int, imm: int, tag: int) -> None:
    _add(cpu, xd, xn, -imm, tag)


@semantic("irg")
def irg(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    """A tag by chance, or by an algorithm that RGSR_EL1 is the state of, which is not followed."""
    chosen = _NONE
    if not _without_access(cpu):
        gcr, mask = join(cpu.vcpu.sys["gcr_el1"])
        exclude, loose = cpu.x(xm)
        surely = exclude & ~loose | gcr & ~mask
        chosen = _one_of(n for n in range(TAGS + 1) if not surely >> n & 1)
        if not ~surely & _EXCLUDE:
            chosen = _NONE
        elif loose | mask:
            chosen = _one_of((0, *(n for n in range(TAGS + 1) if not surely >> n & 1)))
        cpu.vcpu.sys["rgsr_el1"] = unknown(0, FIELDS["rgsr_el1"])
        cpu.vcpu.origins["rgsr_el1"] = cpu.rule
    _set_address(cpu, xd, xn, 0, chosen)


@semantic("gmi")
def gmi(cpu: Cpu, xd: int, xn: int, xm: int) -> None:
    """A mask of tags gets that of an address."""
    _check_asked(cpu)
    (tag, loose), (mask, unsure) = _tag_of(cpu.xsp(xn)), cpu.x(xm)
    may_be = sum(1 << n for n in range(16) if not (n ^ tag) & ~loose)
    surely = 0 if loose else may_be
    cpu.set_x(xd, mask | surely, (unsure | may_be & ~mask) & ~surely)


def _extended(candidate: tuple[int, int]) -> tuple[int, int]:
    """An address without its top byte, as a number with a sign."""
    value, mask = candidate
    top = 1 << TAG_SHIFT - 1
    above = U64 & ~ADDRESS
    value, mask = value & ADDRESS, mask & ADDRESS
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
    hidden = _without_access(cpu)
    address = cpu.address(xn, imm) & -GRANULE
    if not cpu.reaches(address, GRANULE):
        cpu.load(address, GRANULE)
    at = plain(cpu.vcpu, address)
    tag, loose = (0, 0) if hidden or not is_tagged(at) else cpu.mem.tag(at)
    value, mask = cpu.x(xt)
    cpu.set_x(xt, value & ~TAG | tag << TAG_SHIFT, mask & ~TAG | loose << TAG_SHIFT)


def _check_granule(cpu: Cpu, address: int) -> None:
    """Raises GuestException where a tag would be stored for no whole granule."""
    if address % GRANULE:
        cpu.rules.add("mte.alignment")
        esr = syndrome(0x25 if cpu.level else 0x24, _ALIGNMENT | _WRITE)
        raise GuestException(esr, address)


def _set_tag(cpu: Cpu, address: int, tag: Tag) -> None:
    """The tag of a granule that can be reached; only data gets another one than zero. Raises
    Unpredictable."""
    at = plain(cpu.vcpu, address)
    if not cpu.vcpu.tagged or not is_tagged(at):
        return
    if at < DATA_BASE:
        raise Unpredictable("a guest tags what is not its data", Decides.NOTHING)
    cpu.mem.set_tag(at, *tag)


def _perhaps_set_tag(cpu: Cpu, address: int, tag: Tag) -> None:
    old, mask = cpu.mem.tag(plain(cpu.vcpu, address))
    value, loose = tag
    loose |= mask | old ^ value
    _set_tag(cpu, address, (value & ~loose, loose))


def _store_tags(cpu: Cpu, address: int, granules: int, tag: Tag, *, zero: bool) -> None:
    """Tags are stored, where the guest has access, and data zeros, if those are. Where one granule
    faults, any other one may have been stored."""
    _without_access(cpu)
    _check_granule(cpu, address)
    every = range(address, address + granules * GRANULE, GRANULE)
    astray = [at for at in every if not cpu.reaches(at, GRANULE, write=True)]
    for at in every:
        if astray:
            if zero:
                cpu.perhaps_store(at, GRANULE, 0)
            if at not in astray:
                _perhaps_set_tag(cpu, at, tag)
        else:
            if zero:
                cpu.store(at, GRANULE, 0)
            _set_tag(cpu, at, tag)
    if astray:
        cpu.store(astray[0], GRANULE, 0)


def _store(granules: int, suffix: str, *, zero: bool) -> Callable[[Cpu, int, int, int], None]:
    def run(cpu: Cpu, xt: int, xn: int, imm: int) -> None:
        address = cpu.address(xn, 0 if suffix == "_post" else imm)
        _store_tags(cpu, address, granules, _tag_of(cpu.xsp(xt)), zero=zero)
        if suffix:
            _write_back(cpu, xn, imm)

    return run


def _write_back(cpu: Cpu, xn: int, imm: int) -> None:
    cpu.set_xsp(xn, cpu.address(xn, imm))


def _pair(suffix: str) -> Callable[[Cpu, int, int, int, int], None]:
    def run(cpu: Cpu, xt1: int, xt2: int, xn: int, imm: int) -> None:
        _without_access(cpu)
        address = cpu.address(xn, 0 if suffix == "_post" else imm)
        _check_granule(cpu, address)
        (low, loose), (high, unsure) = cpu.x(xt1), cpu.x(xt2)
        cpu.store(address, GRANULE, high << 64 | low, unsure << 64 | loose)
        _set_tag(cpu, address, _tag_of((address, 0)))
        if suffix:
            _write_back(cpu, xn, imm)

    return run


def _block(cpu: Cpu, name: str, xt: int, xn: int) -> None:
    """Tags of a block, and of STZGM its data; both are as large as the CPU likes."""
    here = _check_asked(cpu)
    if cpu.el == 0:
        cpu.rules.add("mte.blocks-at-el0")
        raise GuestException(UNDEFINED)
    if here != MEMORY_TAGS and cpu.forks.choose(2):
        cpu.rules.add("mte.blocks-without-tags")
        raise GuestException(UNDEFINED)
    hidden = _without_access(cpu)
    address = cpu.address(xn)
    block = address & -_LARGEST_BLOCK
    if not cpu.reaches(block, _LARGEST_BLOCK, write=name != "ldgm"):
        raise Unpredictable("tags of a block that may fault in part", Decides.NOTHING)
    if name == "ldgm":
        cpu.set_x(xt, 0, 0 if hidden else U64)
        return
    for at in range(block, block + _LARGEST_BLOCK, GRANULE) if not hidden else ():
        _set_tag(cpu, at, (0, TAGS))
    if name == "stzgm":
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
