"""Guest RAM with unknown bits."""

from __future__ import annotations

import struct

import numpy as np

from corpus.isa.mte import GRANULE
from corpus.wire import RAM_BASE, RAM_SIZE, VECTOR_BASE


def _initial() -> bytes:
    """RAM as the harness leaves it: zero but for the vectors."""
    ram = bytearray(RAM_SIZE)
    for vector in range(16):
        code = (0xD2AA001E, 0xF280001E | (0x100 + 8 * vector) << 5, 0xF90003DE)
        at = VECTOR_BASE - RAM_BASE + 0x80 * vector
        ram[at : at + 12] = struct.pack("<3I", *code)
    return bytes(ram)


_INITIAL = _initial()


class Memory:
    """RAM as bytes, plus a sparse map of unknown bits per byte offset."""

    __slots__ = ("data", "populated", "tags", "touched", "unknown")

    def __init__(self) -> None:
        self.data = bytearray(_INITIAL)
        self.unknown: dict[int, int] = {}
        self.touched = False
        """Whether anything was ever stored."""
        self.populated = False
        """Whether a guest has stored into every page, so that stage 2 has them all."""
        self.tags: dict[int, tuple[int, int]] = {}
        """(tag, unknown bits) by number of the granule, where that is not zero."""

    def contains(self, address: int, size: int) -> bool:
        """Whether [address, address + size) is RAM."""
        return address >= RAM_BASE and address + size <= RAM_BASE + RAM_SIZE

    def touches(self, address: int, size: int) -> bool:
        """Whether any byte of [address, address + size) is RAM."""
        return address < RAM_BASE + RAM_SIZE and address + size > RAM_BASE

    def load(self, address: int, size: int) -> tuple[int, int]:
        """(value, unknown bits) of `size` bytes at a RAM address."""
        start = address - RAM_BASE
        value = int.from_bytes(self.data[start : start + size], "little")
        if not self.unknown:
            return value, 0
        mask = 0
        for i in range(size):
            mask |= self.unknown.get(start + i, 0) << 8 * i
        return value, mask

    def store(self, address: int, size: int, value: int, mask: int = 0) -> None:
        """Store `size` bytes at a RAM address."""
        start = address - RAM_BASE
        self.touched = True
        self.data[start : start + size] = (value & ~mask).to_bytes(size, "little")
        if self.unknown or mask:
            for i in range(size):
                bits = mask >> 8 * i & 0xFF
                if bits:
                    self.unknown[start + i] = bits
                else:
                    self.unknown.pop(start + i, None)

    def set_tag(self, address: int, tag: int, mask: int = 0) -> None:
        """Give the granule at a RAM address a tag."""
        granule = (address - RAM_BASE) // GRANULE
        if tag | mask:
            self.tags[granule] = tag & ~mask, mask
        else:
            self.tags.pop(granule, None)

    def tag(self, address: int) -> tuple[int, int]:
        """(tag, unknown bits) of the granule at a RAM address."""
        return self.tags.get((address - RAM_BASE) // GRANULE, (0, 0))

    def copy(self) -> Memory:
        """The same contents."""
        other = Memory.__new__(Memory)
        other.data, other.unknown = bytearray(self.data), dict(self.unknown)
        other.touched, other.populated = self.touched, self.populated
        other.tags = dict(self.tags)
        return other

    def become(self, other: Memory) -> None:
        """Hold what `other` holds."""
        self.data[:] = other.data
        self.unknown, self.touched = dict(other.unknown), other.touched
        self.populated = other.populated
        self.tags = dict(other.tags)

    def unite(self, other: Memory) -> None:
        """Hold what either holds."""
        unknown = self.unknown
        for at, bits in other.unknown.items():
            unknown[at] = unknown.get(at, 0) | bits
        if self.data != other.data:
            differing = np.frombuffer(self.data, np.uint8) ^ np.frombuffer(other.data, np.uint8)
            for at in np.flatnonzero(differing).tolist():
                unknown[at] = unknown.get(at, 0) | int(differing[at])
        for at, bits in unknown.items():
            self.data[at] &= ~bits
        for granule in {*self.tags, *other.tags}:
            (a, mask), (b, loose) = (mem.tags.get(granule, (0, 0)) for mem in (self, other))
            mask |= loose | a ^ b
            self.set_tag(RAM_BASE + granule * GRANULE, a & ~mask, mask)
        self.touched = self.touched or other.touched
        self.populated = self.populated and other.populated
