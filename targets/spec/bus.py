"""What the accesses of a running guest reach: RAM, user space, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from corpus import wire
from corpus.isa.stage1 import PAGE_SIZE
from targets.spec import stage1, tags
from targets.spec.errno import ENOSYS
from targets.spec.errors import (
    Decides,
    GuestException,
    MmioExit,
    RunFailed,
    Unpredictable,
    syndrome,
)
from targets.spec.forks import Forks
from targets.spec.memory import Memory
from targets.spec.pauth import without_enables
from targets.spec.sets import exact, join
from targets.spec.stage1 import Fault
from targets.spec.vcpu import Vcpu

UNBACKED_END = 1 << 36
"""Addresses below are within any VM's IPA space (`wire`: at least 36 bits)."""
NO_CPU_HAS = 1 << 52
"""Physical addresses from here on are beyond what any CPU has."""
_ALIGNMENT = 0b100001
"""DFSC of an alignment fault."""
_TOP_BITS = 0xF << 60
"""Of FAR_EL1, UNKNOWN for a tag check fault (Arm ARM, FAR_EL1)."""
_WRITE = 1 << 6
"""ISS.WnR of a data abort."""


class Bus:
    """A vcpu's way to memory. `unaligned`: as of a `Profile`."""

    __slots__ = (
        "asked",
        "checks",
        "differs",
        "forks",
        "has_gic",
        "mem",
        "rule",
        "rules",
        "translates",
        "unaligned",
        "vcpu",
    )

    forks: Forks

    def __init__(self, vcpu: Vcpu, mem: Memory, rules: set[str], unaligned: bool) -> None:
        self.vcpu = vcpu
        self.mem = mem
        self.rules = rules
        self.unaligned = unaligned
        self.has_gic = vcpu.el2
        """Whether there may be an interrupt controller below RAM."""
        sctlr = exact(stage1.sctlr_of(vcpu.tagged))
        self.translates = without_enables(vcpu.sys["sctlr_el1"]) == sctlr
        """Whether stage 1 is on, with our map."""
        self.checks = False
        """Whether the instruction being executed has its accesses checked for tags."""
        self.asked: int | None = None
        self.differs: int | None = None
        """The first address that `asked` for a check since that was None, and the first one found
        whose tag is another; both without tags."""
        self.rule = ""
        """Rule of the instruction being executed: the origin of what it writes."""

    def load(
        self, address: int, size: int, *, vector: bool = True, element: int = 0
    ) -> tuple[int, int]:
        """Load `size` bytes. `vector`: the access gives KVM no valid syndrome (any vector
        or multi-register access), so outside RAM the run fails. `element`: bytes that each element
        has, if they are all accessed; 0: not told. Raises MmioExit, RunFailed, GuestException,
        Unpredictable."""
        self._check_alignment(address, size, element, write=False)
        if self.translates:
            self._translate(address, size, write=False)
        address = tags.plain(self.vcpu, address)
        if self.mem.contains(address, size):
            return self.mem.load(address, size)
        self._outside(address, size, vector, write=False)
        raise MmioExit(address, size, 0, 0, write=False)

    def store(
        self,
        address: int,
        size: int,
        value: int,
        mask: int = 0,
        *,
        vector: bool = True,
        element: int = 0,
    ) -> None:
        """Store `size` bytes; `vector`, `element` as for `load`."""
        self._check_alignment(address, size, element, write=True)
        if self.translates and not self.reaches(address, size, write=True):
            self.perhaps_store(address, size, value, mask)
            self._translate(address, size, write=True)
        address = tags.plain(self.vcpu, address)
        if self.mem.contains(address, size):
            if address < wire.DATA_BASE:
                raise Unpredictable("the guest stores into its own code")
            self.vcpu.origins["ram"] = self.rule
            self.mem.store(address, size, value, mask)
            return
        if self.mem.touches(address, size):
            raise Unpredictable("a store reaches beyond guest RAM", Decides.KERNEL)
        self._outside(address, size, vector, write=True)
        raise MmioExit(address, size, value, mask, write=True)

    def perhaps_store(self, address: int, size: int, value: int, mask: int = 0) -> None:
        """What is left of a store that aborts, or of which another part does: of the bytes that it
        reaches any may have been stored. Raises Unpredictable."""
        for at, count in self._reached(address, size):
            keep, shift = (1 << 8 * count) - 1, 8 * (at - address)
            new, unknown = value >> shift & keep, mask >> shift & keep
            old, old_mask = self.load(at, count)
            unknown |= old ^ new | old_mask
            self.store(at, count, new & ~unknown, unknown)

    def _reached(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        parts: Iterable[tuple[int, int]] = ((address, size),)
        if self.translates:
            parts = (tags if self.vcpu.tagged else stage1).parts(address, size)
        return (part for part in parts if self.reaches(*part, write=True))

    def reaches(self, address: int, size: int, *, write: bool = False) -> bool:
        """Whether all bytes of an access are in RAM and none of them faults (first-fault loads
        ask)."""
        if not self.translates:
            return self.mem.contains(address, size)
        contained = self.mem.contains(tags.plain(self.vcpu, address), size)
        return contained and not self._fault(address, size, write=write)

    def _fault(self, address: int, size: int, *, write: bool) -> Fault | None:
        """How stage 1, or a tag, has an access fault. Raises Unpredictable."""
        vcpu, at = self.vcpu, tags.plain(self.vcpu, address)
        fault = stage1.fault(at, size, self.level, write=write)
        if not (vcpu.tagged and self.checks):
            return fault
        before = fault.address - at if fault else size
        other = tags.mismatch(vcpu, self.mem, address, before)
        if self.asked is None:
            self.asked = at
        if self.differs is None:
            self.differs = other
        return fault if other is None else Fault(other, tags.TAG_CHECK_FAULT, "mte.check")

    def aborts_as(self, address: int, size: int, *, write: bool) -> int:
        """What tells the kinds of abort from each other, of an access that has one."""
        if not self.translates:
            return int(address >= NO_CPU_HAS)
        fault = self._fault(address, size, write=write)
        return fault.status if fault else 0

    def surely_reads(self, address: int, size: int, first: int) -> bool:
        """Whether a first-fault load that first accesses `first` has no cause to leave this access
        out: both are to one page of Normal memory, which stage 2 has, too."""
        address, first = (tags.plain(self.vcpu, each) for each in (address, first))
        page = stage1.page_at(address) if self.translates and self.mem.populated else None
        if page is None or page.is_device:
            return False
        return not (first ^ address | first ^ address + size - 1) // PAGE_SIZE

    def _translate(self, address: int, size: int, *, write: bool) -> None:
        """Raises GuestException, Unpredictable."""
        if address + size > 1 << 64:
            raise Unpredictable("an access around the end of all addresses", Decides.NOTHING)
        fault = self._fault(address, size, write=write)
        if fault:
            self.rules.add(fault.rule)
            esr = syndrome(0x25 if self.level else 0x24, fault.status | (_WRITE if write else 0))
            is_tag = fault.status == tags.TAG_CHECK_FAULT
            raise GuestException(
                esr,
                fault.address | address ^ tags.plain(self.vcpu, address),
                far_rule="mte.first-byte" if is_tag else "stage1.first-byte",
                esr_rule="mte.syndrome" if is_tag else "",
                far_unknown=_TOP_BITS if is_tag else 0,
            )

    @property
    def level(self) -> int:
        """The EL of the access."""
        return 0 if join(self.vcpu.core["pstate"])[0] & 0xF == 0 else 1

    def misaligned(self, address: int, size: int, element: int, *, write: bool) -> bool:
        """Whether an access is in Device memory, as stage 1 has it, and surely not aligned to its
        elements: where they have 16 bytes, halves may be enough."""
        if not (self.translates and element):
            return False
        at = tags.plain(self.vcpu, address)
        return (
            at % min(element, 8) != 0
            and all(stage1.is_device(part) for part, _ in stage1.parts(at, size))
            and not self._fault(address, size, write=write)
        )

    def _check_alignment(self, address: int, size: int, element: int, *, write: bool) -> None:
        """With the MMU off memory is Device, where an access that is not aligned to its
        elements faults. They have at most `size` bytes, and 16. With stage 1 on, QEMU has those
        fault since 9.0 for which it looks up a page, and older ones and VIXL none: up to the CPU.
        Raises GuestException, Unpredictable."""
        if not address & (min(size & -size, 16) - 1) or (element and not address % element):
            return
        if self.misaligned(address, size, element, write=write):
            self.rules.add("stage1.device-unaligned")
            if self.forks.choose(2):
                return
            ec, access = 0x25 if self.level else 0x24, _WRITE if write else 0
            raise GuestException(syndrome(ec, _ALIGNMENT | access), address)
        if self.translates:
            at = tags.plain(self.vcpu, address)
            if any(stage1.is_device(at) for at, _ in stage1.parts(at, size)):
                raise Unpredictable("an unaligned access to Device memory may fault")
            self.rules.add("stage1.unaligned")
        elif not self.unaligned:
            raise Unpredictable("an unaligned access may fault on this machine")

    def _outside(self, address: int, size: int, vector: bool, *, write: bool) -> None:
        """An access that no memory slot backs: what is below the least IPA size goes to user
        space, if a syndrome says what it is; what no CPU can address, the guest hears of. Raises
        RunFailed, GuestException, Unpredictable."""
        if NO_CPU_HAS <= address <= (1 << 64) - size and not self.vcpu.el2:
            self.rules.add("abort.address-size")
            esr = syndrome(0x25 if self.level else 0x24, _WRITE if write else 0)
            raise GuestException(esr, None if vector else address)
        lowest = wire.RAM_BASE if self.has_gic else 0
        if not lowest <= address <= UNBACKED_END - size:
            raise Unpredictable(f"access to {address:#x}, outside guest RAM", Decides.KERNEL)
        if vector:
            self.rules.add("run.abort-without-syndrome")
            raise RunFailed(ENOSYS)
        if address % size:
            raise Unpredictable("an unaligned access outside guest RAM", Decides.KERNEL)
