"""Bytes in and out of the codec: a source that never runs dry and a sink."""

from __future__ import annotations


class Source:
    """Reads integers from a byte string; past its end every byte is zero.

    That makes every decoder total: any byte string, cut anywhere, means something.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def exhausted(self) -> bool:
        """True once all real bytes were read."""
        return self._at >= len(self._data)

    def u8(self) -> int:
        """The next byte."""
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def peek(self) -> int:
        """The next byte, which stays the next."""
        return self._data[self._at] if self._at < len(self._data) else 0

    def uint(self, size: int) -> int:
        """The next `size` bytes, little-endian."""
        chunk = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(chunk, "little")

    def raw(self, size: int) -> bytes:
        """The next `size` bytes, zero-filled past the end."""
        chunk = self._data[self._at : self._at + size]
        self._at += size
        return chunk.ljust(size, b"\0")


class Sink:
    """Collects the bytes that a `Source` will read back."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = bytearray()

    def u8(self, value: int) -> None:
        self._parts.append(value)

    def uint(self, value: int, size: int) -> None:
        self._parts += value.to_bytes(size, "little")

    def raw(self, data: bytes) -> None:
        self._parts += data

    def bytes(self) -> bytes:
        return bytes(self._parts)
