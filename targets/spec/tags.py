"""Tags of addresses and of memory, for a guest that went through `tag-checks` (Arm ARM, Memory
Tagging Extension)."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.isa.mte import GRANULE
from corpus.isa.tagged import CHECKS, TCMA0, sctlr_of, tcr_of
from targets.spec import stage1
from targets.spec.errors import Decides, Unpredictable
from targets.spec.memory import Memory
from targets.spec.sets import join
from targets.spec.vcpu import PSTATE_TCO, Vcpu

TAG_SHIFT, TAGS = 56, 0xF
ADDRESS = (1 << TAG_SHIFT) - 1
_UPPER_HALF = 1 << 55
"""The bit by which an address is one of TTBR1_EL1, whose top byte nothing ignores."""
TAG_CHECK_FAULT = 0b010001
"""DFSC."""


def plain(vcpu: Vcpu, address: int) -> int:
    """The address that is translated: without its top byte where TCR_EL1.TBI0 is set."""
    return address & ADDRESS if vcpu.tagged and not address & _UPPER_HALF else address


def parts(address: int, size: int) -> Iterator[tuple[int, int]]:
    """An access in its granules: (address, size) of each part, in order."""
    return stage1.parts(address, size, GRANULE)


def is_tagged(address: int) -> bool:
    """Whether a plain address is of memory that has tags: RAM that is mapped as Normal."""
    page = stage1.page_at(address)
    return page is not None and not page.is_device and not page.is_hole


def mismatch(vcpu: Vcpu, mem: Memory, address: int, size: int) -> int | None:
    """The first byte of an access, by its plain address, whose granule has another tag than the
    access, if tags are checked. Raises Unpredictable where it is not known whether it has."""
    tag = address >> TAG_SHIFT & TAGS
    pstate, unknown = join(vcpu.core["pstate"])
    regime = vcpu.tagged
    if (
        not sctlr_of(regime) & CHECKS
        or (pstate & ~unknown & PSTATE_TCO)
        or (not tag and tcr_of(regime) & TCMA0)
        or not (tag or mem.tags)
    ):
        return None
    for at, _ in parts(plain(vcpu, address), size):
        if not is_tagged(at):
            continue
        held, mask = mem.tag(at)
        if held ^ tag and (held ^ tag) & ~mask:
            if unknown & PSTATE_TCO:
                raise Unpredictable("PSTATE.TCO is not known", Decides.NOTHING)
            return at
        if mask:
            raise Unpredictable("a tag of memory is not known", Decides.NOTHING)
    return None
