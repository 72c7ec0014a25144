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
from collections.abc import Iterator

from corpus.case import MAX_OPS, Case
from corpus.domain import TextError
from corpus.fields import CodeDomain
from corpus.ops import OPS, Op, fields_of

_REQUIRES = re.compile(r"#\s*requires:\s*(.*)")
_MIN_VQ = re.compile(r"vq>=(\d+)")


def format_op(op: Op) -> str:
    """The text of one op, without a newline at the end."""
    words = [op.word]
    block = ""
    for field in fields_of(type(op)):
        value = getattr(op, field.name)
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
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    if case.min_vq:
        lines.append(f"# requires: vq>={case.min_vq}")
    lines += [format_op(op) for op in case.ops]
    return "\n".join(lines) + "\n"


def parse_case(text: str) -> Case:
    """The case that a text describes. Raises TextError naming the line."""
    ops: list[Op] = []
    min_vq = 0
    for number, line, block in _statements(text):
        try:
            requires = _REQUIRES.fullmatch(line)
            if requires:
                min_vq = _parse_requires(requires[1])
            elif not line.startswith("#"):
                ops.append(_parse_op(line, block))
        except TextError as error:
            raise TextError(f"line {number}: {error}") from None
    if len(ops) > MAX_OPS:
        raise TextError(f"a case has at most {MAX_OPS} ops, not {len(ops)}")
    return Case(tuple(ops), min_vq)


def _statements(text: str) -> Iterator[tuple[int, str, str | None]]:
    """(line number, head, block) of each statement; comment lines come as heads."""
    head, start, body = "", 0, None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if body is None and line.startswith("#"):
            yield number, line, None
            continue
        line = re.sub(r"\s*(?:^|\s)#(?![\dx-]).*", "", line).strip()
        if body is not None:
            inside, brace, rest = line.partition("}")
            body.append(inside)
            if brace:
                if rest.strip():
                    raise TextError(f"line {number}: nothing may follow the closing brace")
                yield start, head, "\n".join(body)
                body = None
        elif line:
            head, brace, rest = line.partition("{")
            head, start = head.strip(), number
            if not brace:
                yield number, head, None
            elif "}" in rest:
                yield number, head, rest.partition("}")[0].replace(";", "\n")
            else:
                body = [rest]
    if body is not None:
        raise TextError(f"line {start}: the brace is never closed")


def _parse_requires(text: str) -> int:
    min_vq = 0
    for word in text.replace(",", " ").split():
        match = _MIN_VQ.fullmatch(word)
        if not match or not 0 <= int(match[1]) <= 16:
            raise TextError(f"requirement {word!r} is not of the form vq>=N with N up to 16")
        min_vq = int(match[1])
    return min_vq


def _parse_op(head: str, block: str | None) -> Op:
    word, *words = head.split()
    kind = OPS.get(word)
    if kind is None:
        raise TextError(f"{word!r} is no op: {', '.join(OPS)}")
    named = dict(w.split("=", 1) for w in words if "=" in w)
    plain = [w for w in words if "=" not in w]
    values = {}
    for field in fields_of(kind):
        if isinstance(field.domain, CodeDomain):
            values[field.name] = field.domain.parse(block or "")
            block = None
        elif field.optional:
            text = named.pop(field.name, None)
            values[field.name] = field.default if text is None else field.domain.parse(text)
        elif plain:
            values[field.name] = field.domain.parse(plain.pop(0))
        else:
            raise TextError(f"{word} needs a {field.name}")
    if plain or named:
        raise TextError(f"{word} does not take {(plain or list(named))[0]!r}")
    if block is not None:
        raise TextError(f"{word} takes no block")
    return kind(**values)
