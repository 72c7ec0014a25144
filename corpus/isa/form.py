"""What one row of the instruction table is: syntax, encoding, operands, class and capability."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from corpus.domain import FiniteDomain
from corpus.stream import Sink, Source

Args = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand: where its values come from and which instruction bits they set.

    `views` are further texts that follow from the value: the view `wide` of an
    arrangement `4h` is `4s`. The syntax names them `{operand.view}`. `default`: what an
    assembler takes where this operand, as the last, is left out.
    """

    name: str
    domain: FiniteDomain
    place: Callable[[int], int]
    views: Mapping[str, Mapping[int, str]] | None = None
    default: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One row of the table.

    `syntax` is the assembler's, with `{operand}` and `{operand.view}` placeholders
    and literal braces doubled. `words` holds the fixed bits; pseudo-instructions have
    more than one word, and operand bits beyond 32 go to the following words. `group`
    is what the specification treats alike; `cap` the CPU feature needed; `valid`
    rejects operand combinations that are UNPREDICTABLE or unallocated (such a draw is
    mended by `repair`); `joint` gives bits that depend on several operands at once;
    `asm` replaces `syntax` where an assembler reads something else.

    What else a text may say for a form is in `corpus.isa.aliases`.
    """

    name: str
    syntax: str
    words: tuple[int, ...]
    operands: tuple[Operand, ...]
    group: str
    cap: str
    asm: str = ""
    valid: Callable[[Args], bool] | None = None
    repair: Callable[[Args], Args] | None = None
    joint: Callable[[Args], int] | None = None

    @property
    def mnemonic(self) -> str:
        """The first word of the syntax."""
        return self.syntax.partition(" ")[0]

    def encode(self, args: Args) -> tuple[int, ...]:
        """The instruction words for operand values `args`."""
        bits = self.joint(args) if self.joint else 0
        for index, word in enumerate(self.words):
            bits |= word << 32 * index
        for operand, value in zip(self.operands, args, strict=True):
            bits |= operand.place(value)
        return tuple(bits >> 32 * i & 0xFFFFFFFF for i in range(len(self.words)))

    def format(self, args: Args, *, assembler: bool = False) -> str:
        """The instruction as text; with `assembler`, as an assembler wants it."""
        return render(self.asm if assembler and self.asm else self.syntax, self.operands, args)

    def draw(self, source: Source) -> Args:
        """Operand values from bytes; always valid ones."""
        args = tuple(operand.domain.draw(source) for operand in self.operands)
        if self.valid and not self.valid(args):
            assert self.repair is not None
            args = self.repair(args)
        return args

    def put(self, args: Args, sink: Sink) -> None:
        """The bytes that `draw` reads back."""
        for operand, value in zip(self.operands, args, strict=True):
            operand.domain.put(value, sink)

    def simpler(self, args: Args) -> Iterator[Args]:
        """Simpler operand tuples, one operand changed at a time."""
        for index, operand in enumerate(self.operands):
            for value in operand.domain.simpler(args[index]):
                candidate = (*args[:index], value, *args[index + 1 :])
                if not self.valid or self.valid(candidate):
                    yield candidate


def render(syntax: str, operands: tuple[Operand, ...], args: Args) -> str:
    """`syntax` with its placeholders filled in."""
    values = {op.name: (op, value) for op, value in zip(operands, args, strict=True)}
    out = []
    for literal, placeholder in pieces(syntax):
        out.append(literal)
        name, _, view = placeholder.partition(".")
        if name:
            out.append(_text(*values[name], view))
    return spoken("".join(out))


def spoken(text: str) -> str:
    """The 64-bit stack pointer is written without its letter, alone of all registers."""
    return text.replace("xsp", "sp")


def _text(operand: Operand, value: int, view: str) -> str:
    if not view:
        return operand.domain.format(value)
    assert operand.views is not None
    return operand.views[view][value]


@cache
def pieces(syntax: str) -> tuple[tuple[str, str], ...]:
    """`syntax` as (literal, placeholder) pairs; the last placeholder is empty."""
    found = []
    literal = ""
    for token in re.findall(r"\{\{|\}\}|\{[\w.]+\}|[^{}]+", syntax):
        if token in ("{{", "}}"):
            literal += token[0]
        elif token[0] == "{":
            found.append((literal, token[1:-1]))
            literal = ""
        else:
            literal += token
    return (*found, (literal, ""))


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction of a guest program: a form and its operand values, in the form's order."""

    form: Form
    args: Args

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
