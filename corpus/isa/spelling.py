"""How an instruction may be written: one spelling of a form, and what all spellings share.

An assembler reads more than it prints: lower and upper case, blanks anywhere between
tokens, immediates without `#`, lists as ranges, operands left out. `normal` takes the
differences of mere writing away; `variants` derives from a spelling those that leave out
or shorten something; what has another name altogether is a row of `corpus.isa.aliases`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from corpus.domain import UNSIGNED, FiniteDomain, TextError, quoted
from corpus.isa.form import Args, Form, Operand, pieces, render
from corpus.stream import Source

LONGEST = 200
"""Characters of an instruction's text; four registers in a list and an address are 70."""

_TIGHT = re.compile(r" ?([\[\]{}!/+]) ?")
_COMMA = re.compile(r" ?, ?")
_DASH = re.compile(r"(?<=[a-z0-9]) ?- ?(?=[a-z])")
_COUNT = re.compile(r"(?<=[a-z] #)0x[0-9a-f]{1,8}")
_BY_NAME = re.compile(r"\b(?:fp|lr|sp)\b")
_BARE_NUMBER = re.compile(r"(?:^|(?<=, ))(?=-?\.?[0-9])")
_SPLIT = re.compile(r"(\.?[a-z][\w.+-]*) ?(.*)", re.ASCII)
_PARENTHESES = str.maketrans("()", "{}")
_LITERAL_NUMBER = re.compile(r"\\#([0-9]+)(?![0-9]|\\\.)")
_FOLLOWER = re.compile(r"\.next([23]?)")

_REGISTER = {"fp": "x29", "lr": "x30", "sp": "xsp"}
"""Registers that have names without a letter: as the operands of the table call them."""


def normal(text: str) -> tuple[str, str]:
    """Mnemonic and operands of one instruction, written as the table writes them.

    Register lists may stand in parentheses. Raises TextError.
    """
    if not text.isascii():
        raise TextError(f"{quoted(text)} holds what is not ASCII")
    flat = " ".join(text.split()).lower().translate(_PARENTHESES)
    if len(flat) > LONGEST:
        raise TextError(f"{quoted(flat)} is longer than {LONGEST} characters")
    match = _SPLIT.fullmatch(flat)
    if not match:
        raise TextError(f"{quoted(flat)} does not begin with the name of an instruction")
    operands = _COMMA.sub(", ", _TIGHT.sub(r"\1", match[2]))
    if "xsp" in operands:
        raise TextError(f"{quoted(flat)}: 'xsp' does not exist: write sp")
    if not match[1].startswith("."):  # the number behind a directive has no mark
        operands = _BARE_NUMBER.sub("#", operands)
    operands = _COUNT.sub(lambda count: str(int(count[0], 16)), _DASH.sub("-", operands))
    return match[1], _BY_NAME.sub(lambda name: _REGISTER[name[0]], operands)


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to write `form`.

    `given` has the operands that the text does not name: a value, or the name of the
    operand whose value they share. `domains` replace those of operands that are written
    in another way. `only` are the operand values of which an assembler takes it.
    """

    form: Form
    syntax: str
    given: Mapping[str, int | str] = field(default_factory=dict)
    domains: Mapping[str, FiniteDomain] = field(default_factory=dict)
    only: Callable[[Args], bool] | None = None

    @property
    def mnemonic(self) -> str:
        """The first word of the syntax."""
        return self.syntax.partition(" ")[0]

    @property
    def usage(self) -> str:
        """The syntax for people, with operands in angle brackets."""
        named = ((text, _FOLLOWER.sub(_ahead, name)) for text, name in pieces(self.syntax))
        return "".join(text + (f"<{name}>" if name else "") for text, name in named)

    def operands(self) -> tuple[Operand, ...]:
        """Those of the form, with the domains of this spelling."""
        return tuple(
            replace(op, domain=self.domains[op.name]) if op.name in self.domains else op
            for op in self.form.operands
        )

    def draw(self, source: Source) -> Args:
        """Operand values from bytes; perhaps not such as `allows` them."""
        return self.complete(tuple(op.domain.draw(source) for op in self.operands()))

    def format(self, args: Args) -> str:
        """The text for operand values as `draw` gives them."""
        return render(self.syntax, self.operands(), args)

    def complete(self, args: Args) -> Args:
        """Operand values with those that are not written set to what they must be."""
        if not self.given:
            return args
        values = dict(zip((op.name for op in self.form.operands), args, strict=True))
        for name, value in self.given.items():
            values[name] = values[value] if isinstance(value, str) else value
        return tuple(values.values())

    def allows(self, args: Args) -> bool:
        """Whether these operand values exist and are written so."""
        valid = self.form.valid is None or self.form.valid(args)
        return valid and (self.only is None or self.only(args))


_OTHER_SIZE = "these operand sizes do not go together"
_NOT_IN_A_ROW = "the registers of a list follow each other, z0 after z31"


class Reader:
    """Reads the operands of one spelling."""

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        operands = spelling.operands()
        by_name = {operand.name: operand for operand in operands}
        seen: set[str] = set()
        parts = []
        for literal, name in pieces(spelling.syntax.partition(" ")[2]):
            parts.append(_LITERAL_NUMBER.sub(_equal, re.escape(literal)))
            if not name:
                continue
            group = name.replace(".", "__")
            if group in seen:
                parts.append(f"(?P={group})")
            else:
                parts.append(f"(?P<{group}>{_pattern(by_name, name)})")
            seen.add(group)
        self._regex = re.compile("".join(parts))
        self._written = [(op.name, op.domain if op.name in seen else None) for op in operands]
        self._views = [
            (index, f"{op.name}__{view}", names)
            for index, op in enumerate(operands)
            for view, names in (op.views or {}).items()
            if f"{op.name}__{view}" in seen
        ]

    def read(self, text: str) -> Args | None:
        """Operand values; None if it looks different. Raises TextError where they are wrong."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        values = [domain.parse(match[name]) if domain else 0 for name, domain in self._written]
        args = self.spelling.complete(tuple(values))
        for index, group, names in self._views:
            if not _same(match[group], names.get(args[index])):
                follows = "__next" in group
                raise TextError(_NOT_IN_A_ROW if follows else _OTHER_SIZE)
        if not self.spelling.allows(args):
            raise TextError("the instruction does not have this combination of operands")
        return args


def _ahead(follower: re.Match[str]) -> str:
    return f"+{follower[1] or 1}"


def _equal(literal: re.Match[str]) -> str:
    return rf"\#(?:{literal[1]}|0x0*{int(literal[1]):x})"


def _same(text: str, name: str | None) -> bool:
    if text == name or name is None:
        return text == name
    return name.isdecimal() and text.startswith("0x") and int(text, 16) == int(name)


def _pattern(operands: Mapping[str, Operand], name: str) -> str:
    operand, _, view = name.partition(".")
    if not view:
        return operands[operand].domain.pattern
    views = operands[operand].views
    assert views is not None
    texts = sorted(set(views[view].values()), key=len, reverse=True)
    if all(text.isdecimal() for text in texts):
        return UNSIGNED
    return "(?:" + "|".join(map(re.escape, texts)) + ")"


_LIST = re.compile(
    r"\{\{\{(\w+)\}(\S*), \{\1\.next\}\2(?:, \{\1\.next2\}\2)?(?:, \{\1\.next3\}\2)?\}\}"
)
_ONE_Z = re.compile(r"\{\{(\{z\w*\}[^\s-]*)\}\}")
_OFFSET = re.compile(r"(?<!\{wv\}), #\{(\w+)\}(?:, mul vl)?\](?!!)")
_INDEX = re.compile(r", \{(\w+)\}(?:, lsl #[1-3])?\]")


def _defaults(form: Form) -> dict[str, int]:
    return {op.name: op.default for op in form.operands if op.default is not None}


def _as_range(spelling: Spelling) -> Iterator[Spelling]:
    """`{z1.b, z2.b, z3.b}` as `{z1.b-z3.b}`."""
    match = _LIST.search(spelling.syntax)
    if match:
        last = ("next", "next2", "next3")[match[0].count(",") - 1]
        text = f"{{{{{{{match[1]}}}{match[2]}-{{{match[1]}.{last}}}{match[2]}}}}}"
        yield replace(spelling, syntax=spelling.syntax.replace(match[0], text))


_BRACES_WITH = "sve2p1"
"""With these instructions, assemblers want braces in any case."""


def _without_braces(spelling: Spelling) -> Iterator[Spelling]:
    """A list of one SVE register without its braces."""
    if spelling.form.cap != _BRACES_WITH and _ONE_Z.search(spelling.syntax):
        yield replace(spelling, syntax=_ONE_Z.sub(r"\1", spelling.syntax))


def _without_offset(spelling: Spelling) -> Iterator[Spelling]:
    """`[x1, #0, mul vl]` as `[x1]`, and `[x1, xzr]` where the index has a default."""
    for what, defaults in ((_OFFSET, {}), (_INDEX, _defaults(spelling.form))):
        match = what.search(spelling.syntax)
        if match and (what is _OFFSET or match[1] in defaults):
            given = {**spelling.given, match[1]: defaults.get(match[1], 0)}
            yield replace(spelling, syntax=what.sub("]", spelling.syntax), given=given)


def _without_defaults(spelling: Spelling) -> Iterator[Spelling]:
    """Without the last operands, as far as they have defaults."""
    defaults = _defaults(spelling.form)
    while True:
        head, _, last = spelling.syntax.rpartition(", ")
        named = [name for _, name in pieces(last) if name]
        if len(named) != 1 or named[0] not in defaults or "]" in last:
            return
        given = {**spelling.given, named[0]: defaults[named[0]]}
        spelling = replace(spelling, syntax=head, given=given)
        yield spelling


def variants(spelling: Spelling) -> list[Spelling]:
    """A spelling, and those that say the same with less."""
    found = [spelling]
    for shorten in (_as_range, _without_braces, _without_offset, _without_defaults):
        found += [shorter for longer in found for shorter in shorten(longer)]
    return found
