"""Other names that assemblers have for forms of the table.

A row says which form, how it is written, and what then follows for the operands that are
not written. The tests hold each against llvm-mc, and read back what disassemblers print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from corpus.domain import Choice, FiniteDomain, IntRange, TextError, parse_int, quoted
from corpus.isa.bitmask import ElementMask
from corpus.isa.form import Args, Form
from corpus.isa.operands import ESIZE, RegisterNumber
from corpus.isa.spelling import Spelling


@dataclass(frozen=True, slots=True)
class Alias:
    """A row: see `Spelling`. A `text` of one word leaves the operands as the form has them;
    with `swapped`, but for the last two, which change places."""

    text: str
    given: Mapping[str, int | str] = field(default_factory=dict)
    domains: Mapping[str, FiniteDomain] = field(default_factory=dict)
    only: Callable[[Args], bool] | None = None
    swapped: bool = False

    def of(self, form: Form) -> Spelling:
        """The spelling of `form` by this row."""
        text = self.text
        if " " not in text:
            text += form.syntax[len(form.mnemonic) :]
        if self.swapped:
            head, first, second = text.rsplit(", ", 2)
            text = f"{head}, {second}, {first}"
        return Spelling(form, text, self.given, self.domains, self.only)


class _Scaled(IntRange):
    """Values that are written `scale` times as large; with `bits`, negative ones also as
    unsigned numbers of so many bits."""

    def __init__(self, lo: int, hi: int, scale: int, bits: int = 0) -> None:
        super().__init__(lo, hi)
        self._scale, self._bits = scale, bits

    def parse(self, text: str) -> int:
        number = parse_int(text)
        if self._bits and 1 << self._bits - 1 <= number < 1 << self._bits:
            number -= 1 << self._bits
        value, rest = divmod(number, self._scale)
        if rest or not self.lo <= value <= self.hi:
            every = f" in steps of {self._scale}" if self._scale > 1 else ""
            raise TextError(
                f"{quoted(text)} is outside {self.format(self.lo)}..{self.format(self.hi)}{every}"
            )
        return value

    def format(self, value: int) -> str:
        return str(value * self._scale)


_ZERO = Choice({"0.0": 0})
_LETTERS = {name: log2 for name, log2 in ESIZE.items() if name != "q"}


def _moves() -> Iterator[tuple[str, Alias]]:
    yield "movz", Alias("movz")
    yield "movz", Alias("movz {xd}, #{imm}, lsl #0")
    yield "movz16", Alias("mov {xd}, #{imm}", domains={"imm": _Scaled(1, 65535, 65536)})
    yield "add_imm", Alias("mov {xd}, {xn}", {"imm": 0}, only=lambda args: 31 in args[:2])
    yield "sub_x", Alias("neg {xd}, {xm}", {"xn": 31})
    for form in ("add_imm", "sub_imm"):
        yield form, Alias(f"{form[:3]} {{xd}}, {{xn}}, #{{imm}}, lsl #0")
    for form in ("add_x", "sub_x", "eor_x"):
        yield form, Alias(f"{form[:3]} {{xd}}, {{xn}}, {{xm}}, lsl #0")
    yield "isb", Alias("isb sy")
    yield "subps", Alias("cmpp {xn}, {xm}", {"xd": 31})
    yield "isb", Alias("isb #15")
    yield "nop", Alias("hint #0")


def _moves_of_vectors() -> Iterator[tuple[str, Alias]]:
    yield "mov_sc", Alias("dup")
    yield "not_v", Alias("mvn")
    yield "ins_r", Alias("mov")
    yield "ins_v", Alias("mov")
    yield "umov_w", Alias("mov {wd}, {vn}.s[{imm}]", {"t": ESIZE["s"]})
    yield "umov_x", Alias("mov {xd}, {vn}.d[{imm}]", {"t": ESIZE["d"]})
    yield "orr_v", Alias("mov {vd}.{t}, {vn}.{t}", {"vm": "vn"})
    for name, bytes16 in (("4h", 0), ("2s", 0), ("8h", 1), ("4s", 1), ("2d", 1)):
        yield "orr_v", Alias(f"mov {{vd}}.{name}, {{vn}}.{name}", {"t": bytes16, "vm": "vn"})
    for sign in "su":
        for half in ("", "2"):
            text = f"{sign}xtl{half} {{vd}}.{{t.wide}}, {{vn}}.{{t}}"
            yield f"{sign}shll{half}_vi", Alias(text, {"imm": 0})
    for letter in "bhsdq":
        # Offsets that the scaled form has not: what the table prints is tried first.
        yield f"ldur_{letter}", Alias("ldr")
        yield f"stur_{letter}", Alias("str")


def _comparisons() -> Iterator[tuple[str, Alias]]:
    """Those that are another comparison with its operands exchanged."""
    integer = {"cmge": "cmle", "cmgt": "cmlt", "cmhs": "cmls", "cmhi": "cmlo"}
    floating = {"fcmge": "fcmle", "fcmgt": "fcmlt", "facge": "facle", "facgt": "faclt"}
    for base, name in (integer | floating).items():
        halves = ("_vh",) if base in floating else ()
        for suffix in ("_v", "_sc", *halves):
            yield base + suffix, Alias(name, swapped=True)
    for base, name in floating.items():
        yield f"{base}_zz", Alias(name, swapped=True)
    for base, name in integer.items():
        yield f"cmp{base[2:]}_zz", Alias(f"cmp{name[2:]}", swapped=True)


def _moves_of_predicates() -> Iterator[tuple[str, Alias]]:
    for flags in ("", "s"):
        yield f"and{flags}_p", Alias(f"mov{flags} {{pd}}.b, {{pg}}/z, {{pn}}.b", {"pm": "pn"})
        same = {"pg": "pn", "pm": "pn"}
        yield f"orr{flags}_p", Alias(f"mov{flags} {{pd}}.b, {{pn}}.b", same)
        yield f"eor{flags}_p", Alias(f"not{flags} {{pd}}.b, {{pg}}/z, {{pn}}.b", {"pm": "pg"})
    yield "sel_p", Alias("mov {pd}.b, {pg}/m, {pn}.b", {"pm": "pd"})
    for letter in "hsd":
        yield f"pmov_p{letter}", Alias(f"pmov {{pd}}.{letter}, {{zn}}", {"imm": 0})
        yield f"pmov_z{letter}", Alias(f"pmov {{zd}}, {{pn}}.{letter}", {"imm": 0})


def _moves_of_sve() -> Iterator[tuple[str, Alias]]:
    for form in ("dup_r", "dup_i", "dup_zx", "cpy_r", "cpy_v", "cpy_i"):
        yield form, Alias("mov")
    first = {"imm": 0}
    yield "dup_zx", Alias("mov {zd}.{t}, {t}{zn}", first, {"zn": RegisterNumber(32)})
    yield "sel_zz", Alias("mov {zd}.{t}, {pg}/m, {zn}.{t}", {"zm": "zd"})
    yield "orr_zz", Alias("mov {zd}.d, {zn}.d", {"zm": "zn"})
    yield "fdup", Alias("fmov")
    yield "fcpy", Alias("fmov")
    # +0.0 is no immediate of the floating-point forms.
    wide = {"imm": _ZERO}
    yield "dup_i", Alias("fmov {zd}.{t}, #{imm}", {"sh": 0}, wide, lambda args: args[1] > 0)
    given = {"mode": 1, "sh": 0}
    text = "fmov {zd}.{t}, {pg}/m, #{imm}"
    yield "cpy_i", Alias(text, given, wide, lambda args: args[1] > 0)


def _wide_immediates() -> Iterator[tuple[str, Alias]]:
    """Shifted immediates by their value, and negative ones by their bits."""
    for letter, t in _LETTERS.items():
        for shift in (0, 1) if t else (0,):
            given = {"t": t, "sh": shift}
            domains = {"imm": _Scaled(-128, 127, 256 if shift else 1, 8 << t)}
            for name in ("dup", "mov"):
                yield "dup_i", Alias(f"{name} {{zd}}.{letter}, #{{imm}}", given, domains)
            for name in ("cpy", "mov"):
                text = f"{name} {{zd}}.{letter}, {{pg}}/{{mode}}, #{{imm}}"
                yield "cpy_i", Alias(text, given, domains)
    for name in ("add", "sub", "subr", "sqadd", "uqadd", "sqsub", "uqsub"):
        text = f"{name} {{zdn}}.{{t}}, {{zdn}}.{{t}}, #{{imm}}"
        yield f"{name}_zi", Alias(text, {"sh": 1}, {"imm": _Scaled(1, 255, 256)})


def _masks() -> Iterator[tuple[str, Alias]]:
    """Bitmask immediates of any element size, and their complements."""
    for letter, t in _LETTERS.items():
        plain = {"mask": ElementMask(8 << t, inverted=False)}
        inverse = {"mask": ElementMask(8 << t, inverted=True)}
        for form, name, inverted in (
            ("and", "bic", True),
            ("orr", "orn", True),
            ("eor", "eon", True),
            ("and", "and", False),
            ("orr", "orr", False),
            ("eor", "eor", False),
        ):
            text = f"{name} {{zdn}}.{letter}, {{zdn}}.{letter}, #{{mask}}"
            yield f"{form}_zi", Alias(text, domains=inverse if inverted else plain)
        for name in ("dupm", "mov"):
            yield "dupm", Alias(f"{name} {{zd}}.{letter}, #{{mask}}", domains=plain)


def _any_element_size() -> Iterator[tuple[str, Alias]]:
    """Bitwise operations, to which the size of elements does not matter."""
    for letter in "bhs":
        for name in ("and", "orr", "eor", "bic"):
            registers = ", ".join(f"{{{z}}}.{letter}" for z in ("zd", "zn", "zm"))
            yield f"{name}_zz", Alias(f"{name} {registers}")
        for name in ("eor3", "bcax", "bsl", "bsl1n", "bsl2n", "nbsl"):
            registers = ", ".join(f"{{{z}}}.{letter}" for z in ("zdn", "zdn", "zm", "zk"))
            yield f"{name}_zzz", Alias(f"{name} {registers}")


def _by_form() -> dict[str, list[Alias]]:
    found: dict[str, list[Alias]] = {}
    for rows in (
        _moves,
        _moves_of_vectors,
        _comparisons,
        _moves_of_predicates,
        _moves_of_sve,
        _wide_immediates,
        _masks,
        _any_element_size,
    ):
        for form, alias in rows():
            found.setdefault(form, []).append(alias)
    return found


ALIASES: dict[str, list[Alias]] = _by_form()
"""Rows by the name of the form."""


def aliases(form: Form) -> list[Spelling]:
    """What else than the table's syntax may be written for `form`, by another name or with
    other operands."""
    return [alias.of(form) for alias in ALIASES.get(form.name, ())]
