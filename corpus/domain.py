"""What a field of an op or an operand of an instruction can hold.

One small class per kind of value. Each knows how its values are read from and
written to bytes (`draw`, `put`), how people write them (`parse`, `format`), and
which values are simpler (`simpler`, for the minimiser). Codec, text form,
generator, mutator and minimiser need nothing else.

Laws, proved in the tests: `draw` is total; `draw(put(v)) == v`;
`parse(format(v)) == v`; following `simpler` always ends.
"""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import Generic, TypeVar

from corpus.stream import Sink, Source

T = TypeVar("T")


class TextError(ValueError):
    """A text form that cannot be read; the message is one sentence for the user."""


_QUOTED = 60


def quoted(text: str) -> str:
    """`text` in quotes for a message: cut if it is long, nothing in it that moves a cursor."""
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 3] + "...")


def nearest(word: str, known: Iterable[str], count: int = 3) -> str:
    """`; nearest: a, b` of the words that `word` may have been meant to be, else nothing."""
    found = _nearest(word[:_QUOTED].lower(), tuple(known))[:count]
    return f"; nearest: {', '.join(found)}" if found else ""


@lru_cache(maxsize=512)
def _nearest(word: str, known: tuple[str, ...]) -> list[str]:
    """The best first, those with the same letters in another order before others. To look
    through the names of all instructions takes as long as to read a hundred lines."""
    found = get_close_matches(word, known, 12, 0.65)
    return sorted(found, key=lambda other: sorted(other) != sorted(word))


class Domain(ABC, Generic[T]):
    """The set of values of one field."""

    pattern: str = r"[^\s,]+"
    """Regular expression of the text form, without groups."""

    @abstractmethod
    def draw(self, source: Source) -> T:
        """Read a value; every byte string gives one."""

    @abstractmethod
    def put(self, value: T, sink: Sink) -> None:
        """Write the canonical bytes of `value`."""

    @abstractmethod
    def parse(self, text: str) -> T:
        """Read the text form. Raises TextError."""

    @abstractmethod
    def format(self, value: T) -> str:
        """The canonical text form."""

    @abstractmethod
    def simpler(self, value: T) -> Iterator[T]:
        """Simpler values to try instead, simplest first; nothing for the simplest."""


class FiniteDomain(Domain[int]):
    """Integers that can be counted out: operands of instructions have no others."""

    @property
    @abstractmethod
    def values(self) -> Sequence[int]:
        """Every value, in the table's order."""


_INTEGER = re.compile(r"[+-]?[0-9][0-9a-z_]*", re.ASCII | re.IGNORECASE)
UNSIGNED = r"(?:0x[0-9a-f]+|[0-9]+)"
"""Pattern of a number in the operands of an instruction, which are in lower case."""


def parse_int(text: str) -> int:
    """Decimal or 0x-hexadecimal, with an optional sign. Raises TextError."""
    try:
        if not _INTEGER.fullmatch(text):
            raise ValueError
        return int(text, 0)
    except ValueError:
        raise TextError(f"{quoted(text)} is not a number") from None


class IntRange(FiniteDomain):
    """Integers lo, lo + step, ... up to hi. Those with a prefix are names: `x3`, never `x0x3`."""

    def __init__(self, lo: int, hi: int, step: int = 1, prefix: str = "") -> None:
        self.lo, self.hi, self.step, self.prefix = lo, hi, step, prefix
        self._count = (hi - lo) // step + 1
        self._size = ((self._count - 1).bit_length() + 7) // 8 or 1
        self.pattern = re.escape(prefix) + "[0-9]+" if prefix else "-?" + UNSIGNED

    @property
    def values(self) -> Sequence[int]:
        return range(self.lo, self.hi + 1, self.step)

    def draw(self, source: Source) -> int:
        return self.lo + source.uint(self._size) % self._count * self.step

    def put(self, value: int, sink: Sink) -> None:
        sink.uint((value - self.lo) // self.step, self._size)

    def parse(self, text: str) -> int:
        number = text.removeprefix(self.prefix)
        if self.prefix and not (text.startswith(self.prefix) and number.isdecimal()):
            raise TextError(f"{quoted(text)} is none of {self._span()}")
        value = parse_int(number)
        if not self.lo <= value <= self.hi or (value - self.lo) % self.step:
            raise TextError(f"{quoted(text)} is outside {self._span()}")
        return value

    def _span(self) -> str:
        every = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.format(self.lo)}..{self.format(self.hi)}{every}"

    def format(self, value: int) -> str:
        return f"{self.prefix}{value}"

    def simpler(self, value: int) -> Iterator[int]:
        floor = min(max(0, self.lo), self.hi)
        floor = self.lo + (floor - self.lo) // self.step * self.step
        if value == floor:
            return
        yield floor
        steps = (value - floor) // self.step
        half = floor + int(steps / 2) * self.step
        if half not in (floor, value):
            yield half


_FORMS_OF_NUMBER = (
    (re.compile(r"-?[0-9]+\.[0-9]+"), r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?"),
    (re.compile(r"-?(?:0x[0-9a-f]+|[0-9]+)"), "-?" + UNSIGNED),
)
"""Names that are numbers, and what else may be written for one that is equal."""


def _number(text: str) -> tuple[bool, Decimal]:
    """Sign and value, so that -0.0 is not 0.0. An assembler takes 010 for octal: we do not.
    Raises ValueError."""
    digits = text.removeprefix("-")
    if re.match(r"0[0-9]", digits) and digits.strip("0."):
        raise ValueError(text)
    value = Decimal(int(digits, 16)) if digits.startswith("0x") else Decimal(digits)
    return digits != text, value


class Choice(FiniteDomain):
    """One of a fixed list of named integers, e.g. element sizes or shift kinds.

    Names that are numbers (`90`, `#14`, `0.5`) may be written as any equal number. `also`
    has further names that are read and never written.
    """

    def __init__(self, names: Mapping[str, int], also: Mapping[str, int] | None = None) -> None:
        self._order = list(names.values())
        self._names = {value: name for name, value in reversed(list(names.items()))}
        self._values = {**(also or {}), **names}
        self._numbers: dict[tuple[bool, Decimal], int] = {}
        self._mark = ""
        longest_first = sorted(map(re.escape, self._values), key=len, reverse=True)
        for shape, others in _FORMS_OF_NUMBER:
            found = [name for name in self._values if shape.fullmatch(name.removeprefix("#"))]
            if found:
                self._mark = "#" * found[0].startswith("#")
                self._numbers |= {_number(n.removeprefix("#")): self._values[n] for n in found}
                longest_first.insert(0, self._mark + others)
        self.pattern = "(?:" + "|".join(longest_first) + ")"

    @property
    def values(self) -> Sequence[int]:
        return self._order

    def draw(self, source: Source) -> int:
        return self._order[source.u8() % len(self._order)]

    def put(self, value: int, sink: Sink) -> None:
        sink.u8(self._order.index(value))

    def parse(self, text: str) -> int:
        found = self._values.get(text)
        if found is None and self._numbers and text.startswith(self._mark):
            try:
                found = self._numbers.get(_number(text.removeprefix("#")))
            except (ValueError, ArithmeticError):
                found = None
        if found is None:
            raise TextError(f"{quoted(text)} is none of {self._listed()}")
        return found

    def _listed(self) -> str:
        names = [self._names[value] or "nothing" for value in dict.fromkeys(self._order)]
        return ", ".join(names if len(names) <= 24 else [*names[:8], "...", *names[-2:]])

    def format(self, value: int) -> str:
        return self._names[value]

    def simpler(self, value: int) -> Iterator[int]:
        if value != self._order[0]:
            yield self._order[0]


class Word(Domain[int]):
    """An unsigned integer of `size` bytes; the interesting ones are one byte long."""

    _RAW = 0xFF
    pattern = UNSIGNED + r"|[a-z]\w*"

    def __init__(
        self, size: int, interesting: Sequence[int], names: Mapping[str, int] | None = None
    ) -> None:
        self._size = size
        self._interesting = list(dict.fromkeys(interesting))
        self._by_name = dict(names or {})
        self._names = {value: name for name, value in self._by_name.items()}

    def draw(self, source: Source) -> int:
        tag = source.u8()
        if tag >= 0xE0:
            return source.uint(self._size)
        return self._interesting[tag % len(self._interesting)]

    def put(self, value: int, sink: Sink) -> None:
        if value in self._interesting:
            sink.u8(self._interesting.index(value))
        else:
            sink.u8(self._RAW)
            sink.uint(value, self._size)

    def parse(self, text: str) -> int:
        if text in self._by_name:
            return self._by_name[text]
        if self._by_name and re.match("[a-z]", text):
            raise TextError(f"{quoted(text)} is neither a number nor {' or '.join(self._by_name)}")
        value = parse_int(text)
        if not 0 <= value < 1 << 8 * self._size:
            raise TextError(f"{quoted(text)} does not fit {8 * self._size} unsigned bits")
        return value

    def format(self, value: int) -> str:
        return self._names.get(value) or (hex(value) if value > 9 else str(value))

    def simpler(self, value: int) -> Iterator[int]:
        simplest = self._interesting[0]
        if value == simplest:
            return
        yield simplest
        if value in self._interesting:
            yield from self._interesting[1 : self._interesting.index(value)]
        else:
            yield from self._interesting[1:]


TAG_SIZE = 3
"""Bytes of a tag in the codec: enough that several hundred names do not clash."""


def tag_of(name: str) -> int:
    """A name's stable number: rows may be added to a table without renumbering it."""
    return zlib.crc32(name.encode()) & ((1 << 8 * TAG_SIZE) - 1)


class TagTable(Generic[T]):
    """Rows found by the nearest tag, so that any TAG_SIZE bytes name a row."""

    def __init__(self, rows: Mapping[str, T]) -> None:
        tagged = sorted((tag_of(name), name) for name in rows)
        self._tags = [tag for tag, _ in tagged]
        if len(set(self._tags)) != len(self._tags):
            clash = next(b for a, b in pairwise(tagged) if a[0] == b[0])
            raise ValueError(f"two names share tag {clash[0]:#x}, rename {clash[1]!r}")
        self._rows = [rows[name] for _, name in tagged]
        self._index = {name: tag for tag, name in tagged}

    def nearest(self, tag: int) -> T:
        """The row at `tag`, or the next one above it, wrapping around."""
        return self._rows[bisect_left(self._tags, tag) % len(self._rows)]

    def tag(self, name: str) -> int:
        """The tag of the row called `name`."""
        return self._index[name]
