"""The text form of a case: one op per line, `#` comments, `key=value` for optional fields.

::

    # requires: vq>=2
    create v0
    init v0 features=sve,psci_0_2
    finalize v0
    set v0 z3 0xab*
    run v0 {
        mov x0, #3
        isb
    }
    read-all v0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from corpus.blocks import closings, divisions
from corpus.case import MOST_OPS, Case
from corpus.domain import TextError, nearest, quoted
from corpus.fields import MAX_PROGRAM, CodeDomain, PartDomain, SpanDomain
from corpus.headers import Header, is_header, read_headers
from corpus.isa.form import Insn
from corpus.isa.table import SPELLINGS, parse_insn
from corpus.lines import Closing, Comment, Dividing, Statement, statements
from corpus.nesting import PARTS, SPANS, Begun
from corpus.opfields import OpField, fields_of
from corpus.ops import OPS, Op

_NESTING_WORDS = frozenset(kind.word for kind in SPANS)

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def format_op(op: Op) -> str:
    """The text of one op, without a newline at the end and without the ops in its block."""
    words = [op.word]
    block = ""
    for field in fields_of(type(op)):
        value = getattr(op, field.name)
        if isinstance(field.domain, SpanDomain | PartDomain):
            continue
        if isinstance(field.domain, CodeDomain):
            lines = "".join(f"    {insn.format()}\n" for insn in value)
            block = " {\n" + lines + "}" if value else " { }"
        elif not field.optional:
            words.append(field.domain.format(value))
        elif value != field.default:
            words.append(f"{field.name}={field.domain.format(value)}")
    return " ".join(words) + block


def format_case(case: Case, comment: str = "") -> str:
    """The canonical text of a case; `comment` goes on top, one `#` a line."""
    lines = [f"{_mark(line)} {line}".rstrip() for line in _printable(comment).splitlines()]
    if case.min_vq:
        lines.append(f"# requires: vq>={case.min_vq}")
    lines += _nested(case.ops)
    return "\n".join(lines) + "\n"


def _nested(ops: Sequence[Op]) -> Iterator[str]:
    """The ops with what is in a block further to the right."""
    depth = 0
    ends, second = closings(ops), divisions(ops)
    for index in range(len(ops) + 1):
        if index in second:
            yield "    " * (depth - 1) + "} {"
        for _ in range(ends[index]):
            depth -= 1
            yield "    " * depth + "}"
        if index < len(ops):
            text = format_op(ops[index])
            nests = type(ops[index]) in SPANS
            yield indent(text + " {" * nests, "    " * depth)
            depth += nests


def _printable(comment: str) -> str:
    return _UNPRINTABLE.sub("?", comment.replace("\r\n", "\n")).encode(errors="replace").decode()


def _mark(line: str) -> str:
    """What begins a comment line that shall not be taken for a header."""
    return "##" if is_header(line) else "#"


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says: a case, its headers, its first comment as one line, and its remarks,
    which are comments that begin with `#:`, as they stand behind that, each with the number of
    ops before it."""

    case: Case
    headers: tuple[Header, ...]
    about: str
    remarks: tuple[tuple[int, str], ...] = ()


def parse_case(text: str) -> Case:
    """The case that a text describes. Raises TextError naming the line."""
    return parse_document(text).case


def parse_document(text: str) -> Document:
    """A case with what is said of it. Raises TextError naming the line."""
    comments: list[Comment] = []
    remarks: list[tuple[int, str]] = []
    ops: list[Op] = []
    begun: list[Begun] = []
    for item in statements(text, _NESTING_WORDS):
        if isinstance(item, Comment):
            if item.text.startswith(":"):
                remarks.append((len(ops), item.text[1:].rstrip()))
            else:
                comments.append(item)
            continue
        if isinstance(item, Dividing):
            begun[-1].divide(ops, item.number)
            continue
        if isinstance(item, Closing):
            begun.pop().close(ops, item.number)
            continue
        if len(ops) == MOST_OPS:
            raise TextError(f"line {item.number}: a case has at most {MOST_OPS} ops")
        if begun:
            begun[-1].lines.append(item.number)
        if item.opens:
            begun.append(Begun(len(ops)))
        ops.append(_parse_op(item))
    headers, about = read_headers(comments)
    if not ops:
        raise TextError("there is no op in it")
    lengths = [int(header.parts[1]) for header in headers if header.name == "requires"]
    return Document(Case(tuple(ops), *lengths), tuple(headers), about, tuple(remarks))


def usage(kind: type[Op]) -> str:
    """How an op is written, its fields in angle brackets and optional ones in square ones."""
    words = [kind.word]
    for field in fields_of(kind):
        if isinstance(field.domain, CodeDomain):
            words.append("{ <instructions> }")
        elif isinstance(field.domain, SpanDomain | PartDomain):
            words.append("{ <ops> }")
        else:
            words.append(f"[{field.name}=...]" if field.optional else f"<{field.name}>")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where in the text of an op its fields stand. `code`: the field in braces, if any."""

    kind: type[Op]
    plain: tuple[OpField, ...]
    named: Mapping[str, OpField]
    code: str

    @classmethod
    def of(cls, kind: type[Op]) -> _Places:
        fields = fields_of(kind)
        code = next((f.name for f in fields if isinstance(f.domain, CodeDomain)), "")
        inside = code, SPANS.get(kind), PARTS.get(kind)
        named = {f.name: f for f in fields if f.optional and f.name not in inside}
        return cls(kind, tuple(f for f in fields if not f.optional), named, code)


_PLACES = {word: _Places.of(kind) for word, kind in OPS.items()}


def _parse_op(statement: Statement) -> Op:
    word, *words = statement.head.split()
    try:
        places = _PLACES.get(word)
        if places is None:
            raise TextError(f"{quoted(word)} is no op{_meant(word)}")
        if statement.block is not None and not places.code and not statement.opens:
            raise TextError(f"{word} takes no block")
        if places.kind in SPANS and not statement.opens:
            raise TextError(f"{word} needs a block{_how(places)}")
        named = _named([w for w in words if "=" in w], places)
        values = _plain([w for w in words if "=" not in w], places) | named
    except TextError as error:
        raise TextError(f"line {statement.number}: {error}") from None
    if places.code:
        values[places.code] = _program(statement)
    return places.kind(**values)


def _meant(word: str) -> str:
    """What may have been meant by a word where an op has to be."""
    if word.startswith("}"):
        return ": no brace is open here"
    if word in SPELLINGS:
        return " but an instruction, which stands in the braces of a run"
    return nearest(word, OPS) or f": {', '.join(OPS)}"


def _named(words: list[str], places: _Places) -> dict[str, Any]:
    """The values of `key=value` words."""
    op = places.kind.word
    values: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        field = places.named.get(name)
        if field is None:
            close = nearest(name, (f"{key}=" for key in places.named))
            raise TextError(f"{op} has no field {quoted(name + '=')}{close or _how(places)}")
        if name in values:
            raise TextError(f"{op} got {name}= twice")
        try:
            values[name] = field.domain.parse(text)
        except TextError as error:
            raise TextError(f"{op} {name}=: {error}") from None
    return values


def _plain(words: list[str], places: _Places) -> dict[str, Any]:
    """The values of words that mean something by their place."""
    op, fields = places.kind.word, places.plain
    if len(words) < len(fields):
        raise TextError(f"{op} needs a {fields[len(words)].name}{_how(places)}")
    if len(words) > len(fields):
        raise TextError(f"{op} does not take {quoted(words[len(fields)])}{_how(places)}")
    values: dict[str, Any] = {}
    for field, text in zip(fields, words, strict=True):
        try:
            values[field.name] = field.domain.parse(text)
        except TextError as error:
            raise TextError(f"{op} <{field.name}>: {error}") from None
    return values


def _how(places: _Places) -> str:
    return f": it is written {usage(places.kind)}"


def _program(statement: Statement) -> tuple[Insn, ...]:
    program: list[Insn] = []
    for number, text in statement.block or ():
        if text := text.strip():
            try:
                if (word := text.split()[0]) in OPS:
                    open_since = f"is the brace of line {statement.number} closed?"
                    raise TextError(f"{quoted(word)} is an op and no instruction: {open_since}")
                if len(program) == MAX_PROGRAM:
                    raise TextError(f"a run has at most {MAX_PROGRAM} instructions")
                program.append(parse_insn(text))
            except TextError as error:
                raise TextError(f"line {number}: {error}") from None
    return tuple(program)
