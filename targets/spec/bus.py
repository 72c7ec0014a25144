"""What the accesses of a running guest reach: RAM, user space, or nothing."""

from __future__ import annotations

from corpus import wire
from targets.spec.errno import ENOSYS
from targets.spec.errors import (
    Decides,
    GuestException,
    MmioExit,
    RunFailed,
    Unpredictable,
    syndrome,
)
from targets.spec.memory import Memory
from targets.spec.sets import join
from targets.spec.vcpu import Vcpu

UNBACKED_END = 1 << 36
"""Addresses below are within any VM's IPA space (`wire`: at least 36 bits)."""
NO_CPU_HAS = 1 << 52
"""Physical addresses from here on are beyond what any CPU has."""
_WRITE = 1 << 6
"""ISS.WnR of a data abort."""


class Bus:
    """A vcpu's way to memory. `unaligned`: as of a `Profile`."""

    __slots__ = ("mem", "rule", "rules", "unaligned", "vcpu")

    def __init__(self, vcpu: Vcpu, mem: Memory, rules: set[str], unaligned: bool) -> None:
        self.vcpu = vcpu
        self.mem = mem
        self.rules = rules
        self.unaligned = unaligned
        self.rule = ""
        """Rule of the instruction being executed: the origin of what it writes."""

    def load(self, address: int, size: int, *, vector: bool = True) -> tuple[int, int]:
        """Load `size` bytes. `vector`: the access gives KVM no valid syndrome (any vector
        or multi-register access), so outside RAM the run fails. Raises MmioExit, RunFailed,
        GuestException, Unpredictable."""
        self._check_alignment(address, size)
        if self.mem.contains(address, size):
            return self.mem.load(address, size)
        self._outside(address, size, vector, write=False)
        raise MmioExit(address, size, 0, 0, write=False)

    def store(
        self, address: int, size: int, value: int, mask: int = 0, *, vector: bool = True
    ) -> None:
        """Store `size` bytes; outside RAM as for `load`."""
        self._check_alignment(address, size)
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

    def in_ram(self, address: int, size: int) -> bool:
        """Whether an access lies in RAM entirely (first-fault loads ask)."""
        return self.mem.contains(address, size)

    def _check_alignment(self, address: int, size: int) -> None:
        """With the MMU off memory is Device, where an access that is not aligned to its
        elements faults. They have at most `size` bytes, and 16."""
        if not self.unaligned and address & (min(size & -size, 16) - 1):
            raise Unpredictable("an unaligned access may fault on this machine")

    def _outside(self, address: int, size: int, vector: bool, *, write: bool) -> None:
        """An access that no memory slot backs: what is below the least IPA size goes to user
        space, if a syndrome says what it is; what no CPU can address, the guest hears of. Raises
        RunFailed, GuestException, Unpredictable."""
        if NO_CPU_HAS <= address <= (1 << 64) - size and not self.vcpu.el2:
            self.rules.add("abort.address-size")
            unprivileged = join(self.vcpu.core["pstate"])[0] & 0xF == 0
            esr = syndrome(0x24 if unprivileged else 0x25, _WRITE if write else 0)
            raise GuestException(esr, None if vector else address)
        lowest = wire.RAM_BASE if self.vcpu.el2 else 0  # below RAM is the interrupt controller
        if not lowest <= address <= UNBACKED_END - size:
            raise Unpredictable(f"access to {address:#x}, outside guest RAM", Decides.KERNEL)
        if vector:
            self.rules.add("run.abort-without-syndrome")
            raise RunFailed(ENOSYS)
        if address % size:
            raise Unpredictable("an unaligned access outside guest RAM", Decides.KERNEL)
