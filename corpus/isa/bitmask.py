"""Bitmask immediates: the 5334 64-bit patterns of logical instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from corpus.domain import FiniteDomain, TextError, parse_int
from corpus.isa.form import Operand
from corpus.stream import Sink, Source


def decode_bitmask(field: int) -> int:
    """The 64-bit value of an N:immr:imms field (Arm ARM, DecodeBitMasks)."""
    n, immr, imms = field >> 12, field >> 6 & 63, field & 63
    size = 1 << (n << 6 | ~imms & 63).bit_length() - 1
    ones = (1 << (imms & size - 1) + 1) - 1
    turn = immr & size - 1
    element = (ones >> turn | ones << size - turn) & (1 << size) - 1
    return sum(element << at for at in range(0, 64, size))


def _fields() -> Iterator[int]:
    """Canonical N:immr:imms of every pattern, largest element size first."""
    for log2 in range(6, 0, -1):
        size = 1 << log2
        marker = (size == 64) << 12 | (0x3F << log2 + 1 & 0x3F if size < 64 else 0)
        for ones in range(size - 1):
            for turn in range(size):
                yield marker | turn << 6 | ones


class BitmaskDomain(FiniteDomain):
    """Bitmask immediates by their 64-bit value, written in hexadecimal."""

    pattern = r"0x[0-9a-f]+|\d+"

    @cached_property
    def values(self) -> Sequence[int]:
        return [decode_bitmask(field) for field in _fields()]

    @cached_property
    def _index(self) -> dict[int, int]:
        return {value: index for index, value in enumerate(self.values)}

    @cached_property
    def _field(self) -> dict[int, int]:
        return dict(zip(self.values, _fields(), strict=True))

    def field(self, value: int) -> int:
        """The N:immr:imms field of a pattern."""
        return self._field[value]

    def draw(self, source: Source) -> int:
        return self.values[source.uint(2) % len(self.values)]

    def put(self, value: int, sink: Sink) -> None:
        sink.uint(self._index[value], 2)

    def parse(self, text: str) -> int:
        value = parse_int(text)
        if value not in self._index:
            raise TextError(f"{text!r} is no bitmask immediate: one run of ones, repeated")
        return value

    def format(self, value: int) -> str:
        return hex(value)

    def simpler(self, value: int) -> Iterator[int]:
        if value != self.values[0]:
            yield self.values[0]


_DOMAIN = BitmaskDomain()


def bitmask(name: str, position: int) -> Operand:
    """A bitmask immediate whose 13-bit field sits at `position`."""
    return Operand(name, _DOMAIN, lambda value: _DOMAIN.field(value) << position)
