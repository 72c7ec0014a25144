"""Headers: the comment lines on top of a case that mean something to the tool.

::

    # requires: vq>=2
    # machine: release=6.12.*
    # diverges: kvm isa.shll*_v tail
    # avoid: kvm run.late-vcpu-in-protected-mode
    # expires: 2027-12-31
    # matches: kvm release=6.12.73 mode=vhe
    # differs: kvm release=7.2.1

What they mean is in `corpus.text` and `corpus.kept`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from corpus.domain import TextError, quoted
from corpus.lines import Comment

KINDS = ("kvm", "emulator")
"""Kinds of legs that can have defects of their own."""


@dataclass(frozen=True, slots=True)
class _Syntax:
    """`usage` for people, and `where` to explain it; `value`: what stands behind the name, in
    groups; `once`: whether its first group may be there only once in a case, not just all of
    them together."""

    usage: str
    value: re.Pattern[str]
    where: str = ""
    once: bool = False


_KIND = f"({'|'.join(KINDS)})"
_WHERE = f"; KIND is {' or '.join(KINDS)}"

VERSION = r"[0-9]{1,9}(?:\.[0-9]{1,9})*"
"""Pattern of a version; int() takes no number of thousands of digits."""

_EXAMPLE = re.compile(rf"{_KIND}\s+([\w.]+=\S+(?:\s+[\w.]+=\S+)*)")

_HEADERS: dict[str, _Syntax] = {
    "requires": _Syntax("vq>=N", re.compile(r"(vq)>=(1[0-6]|[0-9])"), "; N is up to 16", once=True),
    "machine": _Syntax("KEY=PATTERN", re.compile(r"([\w.]+)=(\S+)"), once=True),
    "diverges": _Syntax(
        "KIND RULE [EFFECT]", re.compile(rf"{_KIND}\s+(\S+?)(?:\s+([a-z]+))?"), _WHERE
    ),
    "expires": _Syntax(
        "DAY, or KEY=VERSION",
        re.compile(rf"(\d{{4}}-\d\d-\d\d|[\w.]+={VERSION})", re.ASCII),
        "; DAY is like 2027-12-31",
    ),
    "matches": _Syntax("KIND KEY=VALUE...", _EXAMPLE, _WHERE),
    "differs": _Syntax("KIND KEY=VALUE...", _EXAMPLE, _WHERE),
    "avoid": _Syntax("KIND RULE", re.compile(rf"{_KIND}\s+(\S+)"), _WHERE),
}
_LINE = re.compile(r"\s*(\w+)\s*(:?)\s*(.*)")
_NO_PROSE = re.compile(r"[=:*]|\w\.\w")
_ALIKE = 0.75


@dataclass(frozen=True, slots=True)
class Header:
    """One of them: its name, the parts of its value ("" where left out), its line's number."""

    name: str
    parts: tuple[str, ...]
    number: int


def read_headers(comments: Iterable[Comment]) -> tuple[list[Header], str]:
    """The headers among a case's comments, and its first paragraph of others as one line.

    Raises TextError naming the line where something looks like a header and is none, says
    again what was said before, or stands behind the first op.
    """
    found: list[Header] = []
    about: list[str] = []
    seen: set[tuple[str, ...]] = set()
    expected: int | None = None
    for comment in comments:
        try:
            header = _header(comment)
            if header:
                once = _HEADERS[header.name].once
                said = (header.name, *header.parts[: 1 if once else None])
                if said in seen:
                    raise TextError(
                        f"'# {header.name}: {' '.join(said[1:]).rstrip()}' was said before"
                    )
                seen.add(said)
                found.append(header)
        except TextError as error:
            raise TextError(f"line {comment.number}: {error}") from None
        if comment.leading and expected in (None, comment.number):
            expected = comment.number + 1
            if not header:
                about.append(comment.text.strip())
    return found, " ".join(about).strip()


def is_header(comment: str) -> bool:
    """Whether a comment of this text would be taken for a header, a right or a wrong one."""
    try:
        return _header(Comment(0, comment, leading=True)) is not None
    except TextError:
        return True


def _header(comment: Comment) -> Header | None:
    match = _LINE.fullmatch(comment.text)
    name = _meant(match[1].lower()) if match else None
    if match is None or name is None:
        return None
    colon, rest = match[2], match[3].rstrip()
    value = _HEADERS[name].value.fullmatch(rest)
    if match[1] == name and colon and value:
        if not comment.leading:
            raise TextError(f"'# {name}:' belongs before the first op")
        return Header(name, tuple(part or "" for part in value.groups()), comment.number)
    # Prose may begin with such a word, too.
    if colon or (value and _NO_PROSE.search(rest)):
        said = quoted("#" + comment.text.rstrip())
        syntax = _HEADERS[name]
        raise TextError(f"{said}: write '# {name}: {syntax.usage}'{syntax.where}")
    return None


def _meant(word: str) -> str | None:
    """The header that `word` names or misspells."""
    if word in _HEADERS:
        return word
    # Cheap tests first: a text may have ten thousands of comments.
    close = (n for n in _HEADERS if abs(len(word) - len(n)) <= 2 and len(set(word) ^ set(n)) <= 3)
    return next((n for n in close if SequenceMatcher(None, word, n).ratio() >= _ALIKE), None)
