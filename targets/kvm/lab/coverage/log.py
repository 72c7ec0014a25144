"""The memory shared with the coverage plugin (blocks.c): ranges to it, blocks from it."""

from __future__ import annotations

import mmap
import os
import struct
from array import array

from targets.codemap import CodeMap

MAGIC = 0x47424656
CAPACITY = 1 << 14
"""Blocks noted per request; a case reaches some 2000."""

_HEADER = struct.Struct("<4I2Q")
_RANGE = struct.Struct("<2I")


class BlockLog:
    """One guest's log. `fd` is for QEMU to inherit."""

    def __init__(self, code: CodeMap, logs: int, capacity: int = CAPACITY) -> None:
        ranges = code.ranges()
        self._logs = logs
        self._stride = 2 + capacity
        self._capacity = capacity
        begin = _HEADER.size + _RANGE.size * len(ranges)
        self.fd = os.memfd_create("vcpufuzz-blocks")
        try:
            size = begin + 4 * self._stride * logs
            os.ftruncate(self.fd, size)
            self._memory = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            raise
        _HEADER.pack_into(
            self._memory, 0, MAGIC, len(ranges), logs, capacity, code.text, code.text_size
        )
        for index, (low, high) in enumerate(ranges):
            _RANGE.pack_into(self._memory, _HEADER.size + _RANGE.size * index, low, high)
        whole = memoryview(self._memory)
        self._words = whole[begin:].cast("I")
        whole.release()

    def blocks(self, sequence: int) -> array[int]:
        """Blocks of a served request, each once.

        Valid until `logs` later requests are posted.
        """
        at = sequence % self._logs * self._stride
        if self._words[at] != sequence & 0xFFFF_FFFF:
            return array("I")
        count = min(self._words[at + 1], self._capacity)
        return array("I", self._words[at + 2 : at + 2 + count].tobytes())

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        if self.fd < 0:
            return
        self._words.release()
        self._memory.close()
        os.close(self.fd)
        self.fd = -1
