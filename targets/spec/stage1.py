"""What stage 1 makes of addresses, once a guest has switched on its map of `corpus.isa.stage1`.

The map is judged as long as the tables in RAM are what `stage-1-on` wrote. They are held in TLBs
only while they are that, for a guest that stores into them is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from corpus.isa import tagged
from corpus.isa.stage1 import (
    BLOCK_SIZE,
    ENTRIES,
    INPUT_SIZE,
    LEVEL1,
    LEVEL2,
    LEVEL3,
    PAGE_SIZE,
    PAGES,
    REGION,
    SCTLR,
    Page,
)
from corpus.wire import MMIO_BASE, RAM_BASE, RAM_SIZE
from targets.spec.errors import Unpredictable
from targets.spec.memory import Memory
from targets.spec.pauth import without_enables
from targets.spec.sets import exact, join
from targets.spec.vcpu import PSTATE_PAN, Vcpu

_TRANSLATION, _PERMISSION = 0b000100, 0b001100
"""DFSC of faults at level 0."""
_SIZES = {LEVEL1: 4 * 8, LEVEL2: PAGE_SIZE, LEVEL3: PAGE_SIZE}


def _contents(table: int, size: int) -> bytes:
    entries = (ENTRIES.get(at, 0) for at in range(table, table + size, 8))
    return b"".join(entry.to_bytes(8, "little") for entry in entries)


_TABLES = tuple((table - RAM_BASE, _contents(table, size)) for table, size in _SIZES.items())


def in_place(mem: Memory) -> bool:
    """Whether the tables are in RAM, and known in full."""
    data, unknown = mem.data, mem.unknown
    for start, held in _TABLES:
        end = start + len(held)
        if data[start:end] != held or any(start <= at < end for at in unknown):
            return False
    return True


def sctlr_of(regime: int) -> int:
    """SCTLR_EL1 with stage 1 on, and tags as in a regime of `corpus.isa.tagged`, 0: none."""
    return SCTLR | (tagged.sctlr_of(regime) if regime else 0)


_USUAL = tuple(exact(sctlr_of(regime)) for regime in (0, *tagged.REGIMES.values()))


def is_on(vcpu: Vcpu, mem: Memory) -> bool:
    """Whether a vcpu that may run has stage 1 on. Raises Unpredictable where the map is not ours,
    or PSTATE.PAN may have a say."""
    sctlr = without_enables(vcpu.sys["sctlr_el1"])
    if sctlr not in _USUAL:
        return False
    if not vcpu.mapped or vcpu.el2 or sctlr != exact(sctlr_of(vcpu.tagged)):
        raise Unpredictable("a run with tables of another's making is not modelled")
    check(vcpu, mem)
    return True


def check(vcpu: Vcpu, mem: Memory) -> None:
    """Raises Unpredictable where tables were changed, or PSTATE.PAN may have a say."""
    if not in_place(mem):
        raise Unpredictable("a run with tables that were changed is not modelled")
    value, mask = join(vcpu.core["pstate"])
    if (value | mask) & PSTATE_PAN:
        raise Unpredictable("PSTATE.PAN beside pages of EL0 is not modelled")


def page_at(address: int) -> Page | None:
    """The page of RAM at an address."""
    offset = address - RAM_BASE
    return PAGES[offset // PAGE_SIZE] if 0 <= offset < RAM_SIZE else None


class Fault(NamedTuple):
    """The first byte of an access that faults, DFSC (Arm ARM, ESR_ELx, ISS of a Data Abort), and
    the rule about that."""

    address: int
    status: int
    rule: str


def fault(address: int, size: int, el: int, *, write: bool) -> Fault | None:
    """What stage 1 has of an access from EL `el`, if it faults."""
    for at, _ in parts(address, size):
        page = page_at(at)
        if page is None or page.is_hole:
            if not 0 <= at - MMIO_BASE < BLOCK_SIZE:
                return Fault(at, _TRANSLATION | _level(at), "stage1.translation")
        elif not page.permits(el, write=write):
            return Fault(at, _PERMISSION | 3, "stage1.permission")
    return None


def fetch_fault(address: int) -> Fault:
    """The same of fetching an instruction from data, none of which is executable, at any EL."""
    never = Fault(address, _PERMISSION | 3, "stage1.execute-never")
    return fault(address, 4, 1, write=False) or never


def _level(address: int) -> int:
    """Where a walk that finds nothing ends."""
    if address >= INPUT_SIZE:
        return 0
    if not 0 <= address - RAM_BASE < REGION:
        return 1
    return 3 if address - RAM_BASE < BLOCK_SIZE else 2


def is_device(address: int) -> bool:
    """Whether what is mapped at an address is Device memory."""
    page = page_at(address)
    return 0 <= address - MMIO_BASE < BLOCK_SIZE if page is None else page.is_device


def parts(address: int, size: int, unit: int = PAGE_SIZE) -> Iterator[tuple[int, int]]:
    """An access in its pages, or in other aligned `unit`s of so many bytes, a power of two:
    (address, size) of each part, in order."""
    end = address + size
    while address < end:
        behind = min(end, (address | unit - 1) + 1)
        yield address, behind - address
        address = behind
