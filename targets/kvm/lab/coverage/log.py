"""The memory shared with the coverage plugin (blocks.c): ranges to it, blocks from it."""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from targets.codemap import CodeMap

MAGIC = 0x47424656
CAPACITY = 1 << 14
"""Blocks noted per request; a case reaches some 2000."""

MOST_INTERRUPTED = 61
"""Blocks noted per request after which an interrupt came."""

_HEADER = struct.Struct("<4I3Q")
_RANGE = struct.Struct("<2I")
_LISTS = 3 + MOST_INTERRUPTED
"""Words of a request's log before its blocks."""
_UNKNOWN = 1 << 63
"""Where no vectors are."""


class Executed(NamedTuple):
    """Blocks of a request, each once: all, and those after which an interrupt came, as far as
    QEMU is new enough to tell."""

    blocks: Sequence[int] = ()
    interrupted: Sequence[int] = ()


NOTHING = Executed()


class BlockLog:
    """One guest's log. `fd` is for QEMU to inherit."""

    def __init__(self, code: CodeMap, logs: int, capacity: int = CAPACITY) -> None:
        ranges = code.ranges()
        self._logs = logs
        self._stride = _LISTS + capacity
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
        vectors = _UNKNOWN if code.vectors is None else code.vectors
        _HEADER.pack_into(
            *(self._memory, 0, MAGIC, len(ranges), logs, capacity),
            *(code.text, code.text_size, vectors),
        )
        for index, (low, high) in enumerate(ranges):
            _RANGE.pack_into(self._memory, _HEADER.size + _RANGE.size * index, low, high)
        whole = memoryview(self._memory)
        self._words = whole[begin:].cast("I")
        whole.release()

    def executed(self, sequence: int) -> Executed:
        """What a served request executed. Valid until `logs` later requests are posted."""
        at = sequence % self._logs * self._stride
        told, blocks, interrupted = self._words[at : at + 3]
        if told != sequence & 0xFFFF_FFFF:
            return NOTHING
        return Executed(
            self._list(at + _LISTS, min(blocks, self._capacity)),
            self._list(at + 3, min(interrupted, MOST_INTERRUPTED)),
        )

    def _list(self, begin: int, count: int) -> array[int]:
        return array("I", self._words[begin : begin + count].tobytes())

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        if self.fd < 0:
            return
        self._words.release()
        self._memory.close()
        os.close(self.fd)
        self.fd = -1
