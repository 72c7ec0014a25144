"""Which functions of two kernels differ: their instructions, but for where things lie. Pure.

What a function refers to is taken by name where it is code, and not at all where it is data,
which moves with whatever lies before it. So a changed table or string that no instruction tells
of is not seen. NOPs are passed over: a compiler aligns with them, by where the code lies. What the
kernel patches in at boot stands behind the last function of a file, and counts as part of it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from targets.codemap import CodeMap, Function

_LINKED_AT = 1 << 21
"""What the address of an Image's first byte is a multiple of (arch/arm64 booting.rst)."""

_RELATIVE = (
    # mask, value, where the immediate begins and how many bits it has: (A64, C4.1)
    (0x7C000000, 0x14000000, 0, 26),  # B, BL
    (0xFF000000, 0x54000000, 5, 19),  # B.cond, BC.cond
    (0x7E000000, 0x34000000, 5, 19),  # CBZ, CBNZ
    (0x7E000000, 0x36000000, 5, 14),  # TBZ, TBNZ
    (0x3B000000, 0x18000000, 5, 19),  # LDR (literal)
)
_ADR = 0x9F000000, 0x10000000, 0x90000000
"""A mask, and ADR and ADRP under it."""
_ADR_BITS = 0x60FFFFE0
_ADD, _ADD_MASK = 0x91000000, 0xFFC00000
"""ADD (immediate), 64 bits, not shifted."""
_LOAD, _LOAD_MASK = 0x39000000, 0x3B000000
"""Loads and stores with an unsigned offset."""
_OFFSET_BITS = 0x003FFC00
_CALL, _CALL_MASK = 0x94000000, 0xFC000000
_STORES = ((0x0A000000, 0x08000000), 0x00400000)
"""(Mask, value) of loads and stores, and the bit that tells a load."""
_CALL_CLOBBERS = frozenset(range(19))
_NOP, _ZERO = 0xD503201F, 0

_Token = int | tuple[int, int | str]
_Placed = tuple[int, _Token]


class How(Enum):
    """What is different about a function."""

    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """A function that differs. `offset`, `size`: where it lies in the newer kernel's text, in
    bytes, or in the older one's if it is gone; `first`: bytes into it where they part."""

    area: str
    name: str
    how: How
    offset: int
    size: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class KernelCode:
    """An Image and the map of its code, which is linked at `code.text`. `name`: of any address
    of its text, such as `kfree+0x0/0x80`."""

    image: bytes
    code: CodeMap
    name: Callable[[int], str | None] = lambda _: None

    def words(self, function: Function) -> tuple[int, ...]:
        """The instructions of a function, without what fills the gap behind it."""
        begin = (self.code.text & (_LINKED_AT - 1)) + function.offset
        piece = self.image[begin : begin + (function.size & ~3)]
        words = [word for (word,) in struct.iter_unpack("<I", piece)]
        while words and words[-1] in (_NOP, _ZERO):
            words.pop()
        return tuple(words)

    def tokens(self, function: Function) -> list[_Placed]:
        """The same with what it refers to by name, or left out, and where each stands."""
        words = self.words(function)
        ordinals = list(accumulate((word != _NOP for word in words), initial=0))
        pages: set[int] = set()
        return [
            (4 * index, self._token(function, 4 * index, word, pages, ordinals))
            for index, word in enumerate(words)
            if word != _NOP
        ]

    def _token(
        self, function: Function, at: int, word: int, pages: set[int], ordinals: Sequence[int]
    ) -> _Token:
        """`pages`: registers that hold the page of what follows from another instruction;
        `ordinals`: how many instructions that count stand before each."""
        for mask, value, low, bits in _RELATIVE:
            if word & mask == value:
                if word & _CALL_MASK == _CALL:
                    pages -= _CALL_CLOBBERS
                field = (1 << bits) - 1
                distance = _signed(word >> low & field, bits) * 4
                return word & ~(field << low), self._target(function, at + distance, ordinals)
        register, base = word & 31, word >> 5 & 31
        if word & _ADR[0] in _ADR[1:]:
            pages.add(register)
            return word & ~_ADR_BITS, "page"
        if base in pages and (word & _ADD_MASK == _ADD or word & _LOAD_MASK == _LOAD):
            if _writes(word):
                pages.discard(register)
            return word & ~_OFFSET_BITS, "in page"
        if _writes(word):
            pages.discard(register)
        return word

    def _target(self, function: Function, at: int, ordinals: Sequence[int]) -> int | str:
        if 0 <= at < function.size:
            return ordinals[min(at // 4, len(ordinals) - 1)]
        named = self.name(self.code.text + function.offset + at)
        # Within another function only what is patched in goes, and that moves with it.
        return named.partition("+")[0] if named else "elsewhere"


def _writes(word: int) -> bool:
    """Whether the register in the lowest bits may be written."""
    (mask, value), load = _STORES
    return word & mask != value or bool(word & load)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def changes(before: KernelCode, after: KernelCode, areas: Collection[str] = ()) -> list[Change]:
    """The functions that differ, by area and name; those of `areas` only, if any are named."""
    older, newer = _named(before.code), _named(after.code)
    found: list[Change] = []
    for key in older.keys() | newer.keys():
        one, other = older.get(key), newer.get(key)
        there = other or one
        assert there is not None
        if areas and there.area not in areas:
            continue
        what = (there.area, there.name), (there.offset, there.size)
        if one is None or other is None:
            found.append(Change(*what[0], How.GONE if one else How.NEW, *what[1]))
            continue
        first = _parting(before.tokens(one), after.tokens(other))
        if first is not None:
            found.append(Change(*what[0], How.CHANGED, *what[1], first))
    return sorted(found, key=lambda change: (change.area, change.name, change.offset))


def _named(code: CodeMap) -> dict[tuple[str, int], Function]:
    """Functions by name, and by how many of that name came before: static ones may share it."""
    seen: Counter[str] = Counter()
    found = {}
    for function in code.functions:
        found[function.name, seen[function.name]] = function
        seen[function.name] += 1
    return found


def _parting(one: Sequence[_Placed], other: Sequence[_Placed]) -> int | None:
    """Where in the second they first differ, in bytes, or None."""
    for (_, mine), (at, theirs) in zip(one, other, strict=False):
        if mine != theirs:
            return at
    if len(one) == len(other):
        return None
    return other[len(one)][0] if len(one) < len(other) else 4 * len(other)


def ranges(found: Sequence[Change]) -> Iterator[tuple[int, int]]:
    """(begin, end) of what is in the newer kernel, in bytes from the start of its text."""
    for change in found:
        if change.how is not How.GONE:
            yield change.offset, change.offset + change.size
