"""Builders of operands: registers, immediates, element sizes and arrangements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from corpus.domain import Choice, IntRange, TextError, quoted
from corpus.isa.form import Operand


def at(position: int) -> Callable[[int], int]:
    """Places an unsigned value at bit `position`."""
    return lambda value: value << position


def bits(position: int, width: int, offset: int = 0, scale: int = 1) -> Callable[[int], int]:
    """Places (value - offset) / scale as a two's complement field of `width` bits."""
    mask = (1 << width) - 1
    return lambda value: ((value - offset) // scale & mask) << position


def split(*fields: tuple[int, int]) -> Callable[[int], int]:
    """Places a value whose bits are spread over (position, width) fields, lowest field first."""

    def place(value: int) -> int:
        placed = 0
        for position, width in fields:
            placed |= (value & (1 << width) - 1) << position
            value >>= width
        return placed

    return place


def nowhere(_value: int) -> int:
    """Places nothing: the form's `joint` encodes this operand."""
    return 0


class GeneralRegister(IntRange):
    """A general register by number; `last` is what number 31 stands for: `zr` or `sp`.

    The 64-bit stack pointer is called xsp here; people write it without the letter
    (`form.spoken`). An empty prefix leaves the letter to another operand's view.
    """

    def __init__(self, prefix: str, last: str) -> None:
        super().__init__(0, 31, prefix=prefix)
        self._last = prefix + last
        self.pattern = rf"{prefix}(?:[0-9]+|{last})"

    def parse(self, text: str) -> int:
        if text == self._last:
            return 31
        if text == f"{self.prefix}31":
            raise TextError(f"{quoted(text)} does not exist: write {self._spoken}")
        return super().parse(text)

    def _span(self) -> str:
        return f"{self.prefix}0..{self.prefix}30 or {self._spoken}"

    @property
    def _spoken(self) -> str:
        return self._last.replace("xsp", "sp")

    def format(self, value: int) -> str:
        return self._last if value == 31 else f"{self.prefix}{value}"


class RegisterNumber(IntRange):
    """The number alone of a register whose letter stands in the syntax or is a view."""

    def __init__(self, count: int) -> None:
        super().__init__(0, count - 1)
        self.pattern = "[0-9]+"


def x(name: str, position: int, default: int | None = None) -> Operand:
    """A 64-bit general register, x0 to x30, or xzr as number 31."""
    return Operand(name, GeneralRegister("x", "zr"), at(position), default=default)


def x_but_31(name: str, position: int) -> Operand:
    """x0 to x30, where number 31 makes another instruction, or none."""
    return Operand(name, IntRange(0, 30, prefix="x"), at(position))


def xsp(name: str, position: int) -> Operand:
    """A 64-bit general register, x0 to x30, or sp as number 31."""
    return Operand(name, GeneralRegister("x", "sp"), at(position))


def w(name: str, position: int) -> Operand:
    """A 32-bit general register, w0 to w30, or wzr as number 31."""
    return Operand(name, GeneralRegister("w", "zr"), at(position))


def r(name: str, position: int) -> Operand:
    """A general register or zr, whose letter another operand's view supplies."""
    return Operand(name, GeneralRegister("", "zr"), at(position))


def rsp(name: str, position: int) -> Operand:
    """The same with sp as number 31."""
    return Operand(name, GeneralRegister("", "sp"), at(position))


def names_sp(operand: Operand, value: int) -> bool:
    """Whether an operand's value is the stack pointer."""
    return value == 31 and operand.domain.format(value).endswith("sp")


def _following(count: int, prefix: str, all_of_them: int = 32) -> dict[str, dict[int, str]]:
    """Views `next`, `next2`, `next3`: the registers that follow, wrapping around."""
    names = ("next", "next2", "next3")
    return {
        names[step - 1]: {n: f"{prefix}{(n + step) % all_of_them}" for n in range(count)}
        for step in (1, 2, 3)
    }


def z(name: str, position: int, count: int = 32) -> Operand:
    """An SVE vector register, z0 to z(count - 1)."""
    return Operand(name, IntRange(0, count - 1, prefix="z"), at(position), _following(count, "z"))


def z_list(name: str, position: int, count: int) -> Operand:
    """The first of `count` SVE vector registers, a multiple of `count`."""
    domain = IntRange(0, 32 - count, count, prefix="z")
    return Operand(name, domain, at(position), _following(32, "z"))


def p(name: str, position: int, count: int = 16) -> Operand:
    """A predicate register; governing predicates of most instructions are p0 to p7."""
    domain = IntRange(0, count - 1, prefix="p")
    return Operand(name, domain, at(position), _following(count, "p", 16))


def p_pair(name: str, position: int) -> Operand:
    """The first of two predicate registers, an even one."""
    return Operand(name, IntRange(0, 14, 2, prefix="p"), at(position), _following(16, "p", 16))


def pn(name: str, position: int) -> Operand:
    """A predicate register as a counter, of those that most instructions take: pn8 to pn15."""
    return Operand(name, IntRange(8, 15, prefix="pn"), bits(position, 3, offset=8))


def v(name: str, position: int, prefix: str = "v", count: int = 32) -> Operand:
    """An AdvSIMD/FP register under one of its names (v, q, d, s, h, b).

    An empty `prefix` leaves the letter to another operand, as in `{t}{vd}`.
    """
    views = _following(count, prefix) if prefix == "v" else None
    domain = IntRange(0, count - 1, prefix=prefix) if prefix else RegisterNumber(count)
    return Operand(name, domain, at(position), views)


def imm(
    name: str,
    lo: int,
    hi: int,
    place: Callable[[int], int],
    step: int = 1,
    default: int | None = None,
) -> Operand:
    """An immediate from `lo` to `hi` in steps."""
    return Operand(name, IntRange(lo, hi, step), place, default=default)


def choice(
    name: str,
    values: Mapping[str, int],
    position: int = 0,
    also: Mapping[str, int] | None = None,
    default: int | None = None,
) -> Operand:
    """A named choice whose value is a bit field at `position`; `also`: names only read."""
    return Operand(name, Choice(values, also), at(position), default=default)


ESIZE: dict[str, int] = {"b": 0, "h": 1, "s": 2, "d": 3, "q": 4}
"""Element sizes by suffix: log2 of the size in bytes."""

_ESIZE_VIEWS: dict[str, dict[int, str]] = {
    "r": {0: "w", 1: "w", 2: "w", 3: "x"},
    "wide": {0: "h", 1: "s", 2: "d"},
    "half": {1: "b", 2: "h", 3: "s"},
    "quarter": {2: "b", 3: "h"},
    "full": {0: "16b", 1: "8h", 2: "4s", 3: "2d"},
}
"""Texts that follow from an element size: its general register, the double and half sizes, the
AdvSIMD arrangement of 128 bits."""


def esize(
    position: int = 22,
    names: str = "bhsd",
    name: str = "t",
    place: Callable[[int], int] | None = None,
) -> Operand:
    """The element size suffix, at the usual place of SVE encodings."""
    domain = Choice({n: ESIZE[n] for n in names})
    return Operand(name, domain, place or at(position), _ESIZE_VIEWS)


SVE_PATTERN: dict[str, int] = {
    "all": 31,
    "pow2": 0,
    **{f"vl{n}": n for n in range(1, 9)},
    **{f"vl{8 << n}": 8 + n for n in range(1, 6)},
    "mul4": 29,
    "mul3": 30,
    "#14": 14,
    "#28": 28,
    **{f"#{n}": n for n in range(15, 28)},
}
"""Predicate constraints (Arm ARM, SVE predicate pattern operand); the numbers without a name
select no element."""


def pattern(position: int = 5) -> Operand:
    """The predicate constraint operand; any may be written as a number, too."""
    numbers = {f"#{number}": number for number in SVE_PATTERN.values()}
    return choice("pat", SVE_PATTERN, position, numbers, SVE_PATTERN["all"])


ARRANGEMENT: dict[str, int] = {
    "8b": 0,
    "16b": 1,
    "4h": 2,
    "8h": 3,
    "2s": 4,
    "4s": 5,
    "1d": 6,
    "2d": 7,
}
"""AdvSIMD arrangements: log2 of the element's bytes * 2 + (1 for 128 bits)."""

_NAME_OF = {value: name for name, value in ARRANGEMENT.items()}
_ARRANGEMENT_VIEWS: dict[str, dict[int, str]] = {
    "letter": {a: "bhsd"[a >> 1] for a in range(8)},
    "wletter": {a: "hsd"[a >> 1] for a in range(6)},
    "r": {a: "wwwx"[a >> 1] for a in range(8)},
    "bits": {a: str(8 << (a >> 1)) for a in range(8)},
    "wide": {a: _NAME_OF[(a >> 1) + 1 << 1 | 1] for a in range(6)},
    "pair": {a: _NAME_OF[a + 2] for a in range(6)},
    "quad": {a: _NAME_OF[a + 4] for a in range(4)},
    "halves": {4: "2h", 5: "4h"},
}
"""Texts that follow from an arrangement: the letter of its elements and of doubled ones, the
general register that holds an element, the bits of an element; `wide`, the 128-bit
arrangement of doubled elements; `pair`, doubled elements in the same number of bits; `quad`;
`halves`, as many half-precision numbers."""


def arrangement(
    names: str = "8b 16b 4h 8h 2s 4s 2d",
    name: str = "t",
    place: Callable[[int], int] | None = None,
) -> Operand:
    """An AdvSIMD arrangement: Q at bit 30 and the element size at bit 22, unless `place` says."""
    domain = Choice({n: ARRANGEMENT[n] for n in names.split()})
    return Operand(name, domain, place or q_size, _ARRANGEMENT_VIEWS)


def q_size(a: int) -> int:
    """An integer arrangement: Q at bit 30, size at 23:22."""
    return (a & 1) << 30 | (a >> 1) << 22


def q_fp(a: int) -> int:
    """A single- or double-precision arrangement: Q at bit 30, sz at bit 22."""
    return (a & 1) << 30 | ((a >> 1) - 2) << 22


def q_only(a: int) -> int:
    """An arrangement of which only Q is encoded."""
    return (a & 1) << 30


def log2_bytes(a: int) -> int:
    """log2 of the bytes of an arrangement's elements."""
    return a >> 1


def size_only(a: int) -> int:
    """An arrangement of which only the element size is encoded, at 23:22."""
    return (a >> 1) << 22
