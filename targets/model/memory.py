"""Guest RAM with unknown bits."""

from __future__ import annotations

from corpus.wire import RAM_BASE, RAM_SIZE


class Memory:
    """RAM as bytes, plus a sparse map of unknown bits per byte offset."""

    __slots__ = ("data", "unknown")

    def __init__(self) -> None:
        self.data = bytearray(RAM_SIZE)
        self.unknown: dict[int, int] = {}

    def contains(self, address: int, size: int) -> bool:
        """Whether [address, address + size) is RAM."""
        return address >= RAM_BASE and address + size <= RAM_BASE + RAM_SIZE

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
        self.data[start : start + size] = (value & ~mask).to_bytes(size, "little")
        if self.unknown or mask:
            for i in range(size):
                bits = mask >> 8 * i & 0xFF
                if bits:
                    self.unknown[start + i] = bits
                else:
                    self.unknown.pop(start + i, None)
