"""The lines of a case's text: which are comments, which are ops, and what stands in braces."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from corpus.domain import TextError, quoted

MAX_SIZE = 1 << 20
"""Bytes of a file: several times what the longest case takes."""

_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_ENDS = re.compile(r"\r\n?|\n")
_ENDS_IN_BYTES = re.compile(rb"\r\n?|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_COMMENT = re.compile(r"(?<!\S)#|//")
_COMMENT_IN_BLOCK = re.compile(r"(?<![^\s;{}])#(?![-+]?\.?[0-9])|//")
"""Within a program `#` may begin an immediate; a comment there begins with another character."""
_MARK = re.compile(r"[{};]")


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that is a comment. `text`: what follows its `#` or `//`; `leading`: no op came
    before it."""

    number: int
    text: str
    leading: bool


@dataclass(slots=True)
class Statement:
    """An op: its words, and the lines in braces behind them with their numbers, if any. `opens`:
    the braces hold ops, which are statements that follow, up to a Closing."""

    number: int
    head: str
    block: list[tuple[int, str]] | None = field(default=None)
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Closing:
    """The brace behind a block of ops."""

    number: int


@dataclass(frozen=True, slots=True)
class Dividing:
    """The braces between two lists of ops of one block."""

    number: int


Item: TypeAlias = Comment | Statement | Closing | Dividing


def check_size(size: int) -> None:
    """Raises TextError for more bytes or characters than a case can have."""
    if size > MAX_SIZE:
        raise TextError(f"more than {MAX_SIZE >> 20} MiB: no case is as long")


def decoded(data: bytes) -> str:
    """The text that a file holds, without a byte order mark. Raises TextError."""
    check_size(len(data))
    if data.startswith(_UTF_16):
        raise TextError("text in UTF-16: save it as UTF-8")
    try:
        return data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        number = 1 + len(_ENDS_IN_BYTES.findall(data, 0, error.start))
        byte = data[error.start]
        raise TextError(f"line {number}: the byte {byte:#04x} is not UTF-8") from None


def bare(line: str) -> str:
    """A line outside of programs without its comment and the spaces around."""
    line = line.strip(" \t")
    return _cut(line, _COMMENT.search(line))


def statements(text: str, nesting: Collection[str] = ()) -> Iterator[Item]:
    """The comment lines and ops of a text, in order; `nesting`: words of ops whose braces hold
    ops. Raises TextError naming the line."""
    check_size(len(text))
    text = text.removeprefix(_BOM)
    wrong = _CONTROL.search(text)
    if wrong:
        raise _at(1 + len(_ENDS.findall(text, 0, wrong.start())), _unprintable(wrong[0]))
    leading = True
    begun: Statement | None = None
    open_blocks: list[int] = []
    for number, raw in enumerate(_ENDS.split(text), 1):
        line = raw.strip(" \t")
        if not line:
            continue
        if line.startswith(("#", "//")):
            yield Comment(number, line[1:] if line[0] == "#" else line[2:], leading)
            continue
        leading = False
        if begun is None:
            braces = bare(line).split()
            if open_blocks and "".join(braces) in ("}", "}{", "}{}"):
                yield from _braces(number, braces)
                if braces[-1].endswith("}"):
                    open_blocks.pop()
                continue
            head, brace, line = line.partition("{")
            comment = _COMMENT.search(head)
            begun = Statement(number, _ascii(number, _cut(head, comment)))
            if comment or not brace:
                yield begun
                begun = None
                continue
            if not begun.head:
                raise _at(number, "a block has to follow an op, on its line")
            if begun.head.split()[0] in nesting:
                begun.opens = True
                yield begun
                begun = None
                braces = bare(line).split()
                if "".join(braces) not in ("", "}", "}{", "}{}"):
                    rest = quoted(line.strip(" \t"))
                    raise _at(number, f"{rest}: an op in a block has a line of its own")
                yield from _braces(number, braces)
                if not braces or braces[-1].endswith("{"):
                    open_blocks.append(number)
                continue
            begun.block = []
        if _fill(begun, number, _ascii(number, _cut(line, _COMMENT_IN_BLOCK.search(line)))):
            yield begun
            begun = None
    if begun is not None:
        raise _at(begun.number, "the brace is never closed")
    if open_blocks:
        raise _at(open_blocks[-1], "the brace is never closed")


def _braces(number: int, words: list[str]) -> Iterator[Item]:
    """What the braces on a line with nothing else mean."""
    braces = "".join(words)
    if "{" in braces:
        yield Dividing(number)
    if braces in ("}", "}{}"):
        yield Closing(number)


def _cut(line: str, comment: re.Match[str] | None) -> str:
    return (line[: comment.start()] if comment else line).rstrip(" \t")


def _ascii(number: int, code: str) -> str:
    if not code.isascii():
        odd = next(character for character in code if not character.isascii())
        raise _at(number, f"{quoted(odd)} is not ASCII: only comments may hold it")
    return code


def _fill(statement: Statement, number: int, code: str) -> bool:
    """Add what a line has of a block; whether the block ends there.

    Braces inside an instruction hold a list of registers, which ends on its line.
    """
    assert statement.block is not None
    start, listing = 0, False
    for mark in _MARK.finditer(code):
        if mark[0] == "{":
            if listing:
                break
            listing = True
        elif mark[0] == "}" and listing:
            listing = False
        elif listing:
            break
        else:
            statement.block.append((number, code[start : mark.start()]))
            start = mark.end()
            if mark[0] == "}":
                if code[start:].strip(" \t"):
                    raise _at(number, f"{quoted(code[start:].strip())} may not follow the block")
                return True
    if listing:
        raise _at(number, f"{quoted(code[start:].strip())}: the list of registers is not closed")
    statement.block.append((number, code[start:]))
    return False


def _at(number: int, complaint: str) -> TextError:
    return TextError(f"line {number}: {complaint}")


def _unprintable(character: str) -> str:
    return f"the control character {quoted(character)} has no place in a text"
