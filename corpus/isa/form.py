"""What one row of the instruction table is: syntax, encoding, operands, class and capability."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from corpus.domain import Choice, Domain, IntRange, TextError
from corpus.stream import Sink, Source


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand: where its values come from and which instruction bits they set."""

    name: str
    domain: Domain[int]
    place: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Form:
    """One row of the table.

    `syntax` is the assembler's, with `{operand}` placeholders. `words` holds the
    fixed bits; pseudo-instructions have more than one word, and operand bits beyond
    32 go to the following words. `group` is what the specification treats alike;
    `cap` the CPU feature needed; `valid` rejects operand combinations that are
    UNPREDICTABLE or unallocated (such a draw is mended by `repair`).
    """

    name: str
    syntax: str
    words: tuple[int, ...]
    operands: tuple[Operand, ...]
    group: str
    cap: str
    asm: str = ""
    valid: Callable[[tuple[int, ...]], bool] | None = None
    repair: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None

    def encode(self, args: tuple[int, ...]) -> tuple[int, ...]:
        """The instruction words for operand values `args`."""
        bits = 0
        for index, word in enumerate(self.words):
            bits |= word << 32 * index
        for operand, value in zip(self.operands, args, strict=True):
            bits |= operand.place(value)
        return tuple(bits >> 32 * i & 0xFFFFFFFF for i in range(len(self.words)))

    def format(self, args: tuple[int, ...], *, assembler: bool = False) -> str:
        """The instruction as text; with `assembler`, as an assembler wants it."""
        texts = {
            operand.name: operand.domain.format(value)
            for operand, value in zip(self.operands, args, strict=True)
        }
        return (self.asm if assembler and self.asm else self.syntax).format_map(texts)

    def regex(self) -> re.Pattern[str]:
        """Matches this form's text, one named group per operand (first occurrence)."""
        seen: set[str] = set()
        domains = {operand.name: operand.domain for operand in self.operands}
        parts = []
        for literal, name in _pieces(self.syntax):
            parts.append(re.escape(literal).replace(r"\ ", r"\s*" if "," in literal else r"\s+"))
            if name is None:
                continue
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{domains[name].pattern})")
            seen.add(name)
        return re.compile("".join(parts))

    def parse(self, match: re.Match[str]) -> tuple[int, ...]:
        """Operand values from a match of `regex`. Raises TextError."""
        args = tuple(operand.domain.parse(match[operand.name]) for operand in self.operands)
        if self.valid and not self.valid(args):
            raise TextError(
                f"{match[0]!r} is an operand combination this instruction does not have"
            )
        return args

    def draw(self, source: Source) -> tuple[int, ...]:
        """Operand values from bytes; always valid ones."""
        args = tuple(operand.domain.draw(source) for operand in self.operands)
        if self.valid and not self.valid(args):
            assert self.repair is not None
            args = self.repair(args)
        return args

    def put(self, args: tuple[int, ...], sink: Sink) -> None:
        """The bytes that `draw` reads back."""
        for operand, value in zip(self.operands, args, strict=True):
            operand.domain.put(value, sink)

    def simpler(self, args: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Simpler operand tuples, one operand changed at a time."""
        for index, operand in enumerate(self.operands):
            for value in operand.domain.simpler(args[index]):
                candidate = (*args[:index], value, *args[index + 1 :])
                if not self.valid or self.valid(candidate):
                    yield candidate


def _pieces(syntax: str) -> Iterator[tuple[str, str | None]]:
    at = 0
    for match in re.finditer(r"\{(\w+)\}", syntax):
        yield syntax[at : match.start()], match[1]
        at = match.end()
    yield syntax[at:], None


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction of a guest program: a form and its operand values, in the form's order."""

    form: Form
    args: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<{self.format()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Insn) and (self.form.name, self.args) == (
            other.form.name,
            other.args,
        )

    def __hash__(self) -> int:
        return hash((self.form.name, self.args))

    def words(self) -> tuple[int, ...]:
        """Its encoding, one or more 32-bit words."""
        return self.form.encode(self.args)

    def format(self) -> str:
        """Its text form."""
        return self.form.format(self.args)


def at(position: int) -> Callable[[int], int]:
    """Places an unsigned value at bit `position`."""
    return lambda value: value << position


def bits(position: int, width: int, offset: int = 0, scale: int = 1) -> Callable[[int], int]:
    """Places (value - offset) / scale as a two's complement field of `width` bits."""
    mask = (1 << width) - 1
    return lambda value: ((value - offset) // scale & mask) << position


def x(name: str, position: int) -> Operand:
    """A 64-bit general register, x0 to x30 (never 31)."""
    return Operand(name, IntRange(0, 30, prefix="x"), at(position))


class _RegisterOrSp(IntRange):
    """x0..x30, or sp as number 31."""

    def __init__(self) -> None:
        super().__init__(0, 31, prefix="x")
        self.pattern = r"x\d+|sp"

    def parse(self, text: str) -> int:
        value = 31 if text == "sp" else super().parse(text)
        if text == "x31":
            raise TextError("'x31' does not exist: write sp")
        return value

    def format(self, value: int) -> str:
        return "sp" if value == 31 else f"x{value}"


def xsp(name: str, position: int) -> Operand:
    """A base register: x0 to x30 or sp."""
    return Operand(name, _RegisterOrSp(), at(position))


def w(name: str, position: int) -> Operand:
    """A 32-bit general register, w0 to w30."""
    return Operand(name, IntRange(0, 30, prefix="w"), at(position))


def z(name: str, position: int, count: int = 32) -> Operand:
    """An SVE vector register, z0 to z(count - 1)."""
    return Operand(name, IntRange(0, count - 1, prefix="z"), at(position))


def p(name: str, position: int, count: int = 16) -> Operand:
    """A predicate register; governing predicates of most instructions are p0 to p7."""
    return Operand(name, IntRange(0, count - 1, prefix="p"), at(position))


def v(name: str, position: int, prefix: str = "v", count: int = 32) -> Operand:
    """An AdvSIMD/FP register under one of its names (v, q, d, s, h, b)."""
    return Operand(name, IntRange(0, count - 1, prefix=prefix), at(position))


def imm(name: str, lo: int, hi: int, place: Callable[[int], int], step: int = 1) -> Operand:
    """An immediate from `lo` to `hi` in steps."""
    return Operand(name, IntRange(lo, hi, step), place)


def choice(name: str, values: Mapping[str, int], position: int = 0) -> Operand:
    """A named choice whose value is a bit field at `position`."""
    return Operand(name, Choice(values), at(position))


ESIZE: dict[str, int] = {"b": 0, "h": 1, "s": 2, "d": 3}
"""SVE element sizes by suffix: log2 of the size in bytes."""

SVE_PATTERN: dict[str, int] = {
    "all": 31,
    "pow2": 0,
    **{f"vl{n}": n for n in range(1, 9)},
    **{f"vl{8 << n}": 8 + n for n in range(1, 6)},
    "mul4": 29,
    "mul3": 30,
}
"""Predicate constraints (Arm ARM, SVE predicate pattern operand)."""


def esize(position: int = 22, names: str = "bhsd", name: str = "t") -> Operand:
    """The element size suffix, at the usual place of SVE encodings."""
    return choice(name, {n: ESIZE[n] for n in names}, position)
