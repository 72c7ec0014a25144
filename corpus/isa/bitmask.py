"""Bitmask immediates: the 5334 64-bit patterns of logical instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, cached_property

from corpus.domain import UNSIGNED, FiniteDomain, TextError, parse_int, quoted
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


@cache
def _patterns() -> dict[int, int]:
    """N:immr:imms by the 64-bit value."""
    return {decode_bitmask(field): field for field in _fields()}


class BitmaskDomain(FiniteDomain):
    """Bitmask immediates by their 64-bit value, written in hexadecimal."""

    pattern = UNSIGNED

    @cached_property
    def values(self) -> Sequence[int]:
        return list(_patterns())

    @cached_property
    def _index(self) -> dict[int, int]:
        return {value: index for index, value in enumerate(self.values)}

    def field(self, value: int) -> int:
        """The N:immr:imms field of a pattern."""
        return _patterns()[value]

    def draw(self, source: Source) -> int:
        return self.values[source.uint(2) % len(self.values)]

    def put(self, value: int, sink: Sink) -> None:
        sink.uint(self._index[value], 2)

    def parse(self, text: str) -> int:
        return self._known(parse_int(text), text)

    def _known(self, value: int, text: str) -> int:
        if value not in self._index:
            raise TextError(f"{quoted(text)} is no bitmask immediate: one run of ones, repeated")
        return value

    def format(self, value: int) -> str:
        return hex(value)

    def simpler(self, value: int) -> Iterator[int]:
        if value != self.values[0]:
            yield self.values[0]


class ElementMask(BitmaskDomain):
    """The same by the bits of one element of `bits` bits, or by their complement."""

    pattern = "-?" + UNSIGNED

    def __init__(self, bits: int, *, inverted: bool) -> None:
        self._bits, self._inverted = bits, inverted

    @cached_property
    def values(self) -> Sequence[int]:
        return [value for value in _patterns() if self._spread(value) == value]

    def _spread(self, element: int) -> int:
        ones = (1 << self._bits) - 1
        return sum((element & ones) << at for at in range(0, 64, self._bits))

    def parse(self, text: str) -> int:
        number = parse_int(text)
        above = (1 << 64) - 1 >> self._bits
        if not -(1 << 63) <= number < 1 << 64 or number >> self._bits & above not in (0, above):
            raise TextError(f"{quoted(text)} does not fit {self._bits} bits")
        return self._known(self._spread(~number if self._inverted else number), text)

    def format(self, value: int) -> str:
        return hex((~value if self._inverted else value) & (1 << self._bits) - 1)


_DOMAIN = BitmaskDomain()


def bitmask(name: str, position: int) -> Operand:
    """A bitmask immediate whose 13-bit field sits at `position`."""
    return Operand(name, _DOMAIN, lambda value: _DOMAIN.field(value) << position)
