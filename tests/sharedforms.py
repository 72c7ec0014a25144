"""What Python, C and C++ say of a form they share, read from their sources: numbers, lists of
names, and layouts of records, each by the name it has in Python."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Layout = tuple[tuple[int, int], ...]
"""(offset, size) of each number in a record, in bytes."""

_SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8}


@dataclass(slots=True)
class Form:
    """One side's account. `fields`: where each field of a record begins, by name."""

    numbers: dict[str, int] = field(default_factory=dict)
    lists: dict[str, dict[str, int]] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    fields: dict[str, dict[str, int]] = field(default_factory=dict)


def of_python(source: str) -> Form:
    """Constants, IntEnums and `struct.Struct`s of a module, of which nothing else is run."""
    form = Form()
    known: dict[str, Any] = {"struct": struct, "__builtins__": {}}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "IntEnum" for b in node.bases):
            members = {n: v for s in node.body for n, v in _assigned(s, known)}
            form.lists[node.name] = {name: int(value) for name, value in members.items()}
        for name, value in _assigned(node, known):
            known[name] = value
            if isinstance(value, struct.Struct):
                form.layouts[name] = _layout_of(value)
            elif isinstance(value, bytes) and len(value) == 1:
                form.numbers[name] = value[0]
            elif isinstance(value, int):
                form.numbers[name] = value
    return form


def _assigned(node: ast.stmt, known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, ast.Assign):
        return
    try:
        value = eval(compile(ast.Expression(node.value), "", "eval"), known)
    except (NameError, TypeError):  # it is made of more than constants
        return
    target = node.targets[0]
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    values = value if isinstance(target, ast.Tuple) else [value]
    yield from ((ast.unparse(name), each) for name, each in zip(names, values, strict=True))


def _layout_of(record: struct.Struct) -> Layout:
    assert record.format[0] == "<"  # else sizes and padding are the machine's
    sizes = {"B": 1, "H": 2, "I": 4, "Q": 8}
    places: list[tuple[int, int]] = []
    end = 0
    for count, code in re.findall(r"(\d*)([a-zA-Z])", record.format):
        for _ in range(int(count or 1)):
            places.append((end, sizes[code]))
            end += sizes[code]
    assert end == record.size
    return tuple(places)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a C family language writes things. `numbers`: a constant's name and value;
    `plain`: from a name there to the name in Python."""

    numbers: str
    plain: Callable[[str], str]


def _from_camel(name: str) -> str:
    """`kCodeBase` as CODE_BASE."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removeprefix("k")).upper()


C = Dialect(
    r"^#define (\w+) +(?!\{)(\S.*)$",
    lambda name: re.sub("^(WIRE|CHANNEL)_", "", name),
)
CPP = Dialect(r"^constexpr \w+ (\w+) = (.*);", _from_camel)


def of_c(source: str, dialect: Dialect = C) -> Form:
    """Constants, enums and structs of a header."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    form = Form()
    for name, value in re.findall(dialect.numbers, text, re.MULTILINE):
        number = _number(value, form.numbers, dialect)
        if number is not None:
            form.numbers[dialect.plain(name)] = number
    for name, body in re.findall(r"enum (?:class )?(\w+)[^{;]*\{(.*?)\}", text, re.DOTALL):
        called = re.sub("^(wire|channel)_", "", name).capitalize()
        form.lists[called] = dict(_members(body, called, form.numbers, dialect))
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        layout = _struct(body, form)
        if layout is not None:
            called = re.sub("^(wire|channel)_|^Wire", "", name).lower()
            form.layouts[called], form.fields[called] = layout
    return form


def of_cpp(source: str) -> Form:
    """As `of_c`."""
    return of_c(source, CPP)


def _number(text: str, known: Mapping[str, int], dialect: Dialect) -> int | None:
    """The value of an expression; None if it is made of more than numbers."""
    bare = re.sub(r"\b(0x[0-9a-f]+|\d+)u?l*\b", r"\1", text)
    named = re.sub(r"\b[A-Za-z_]\w*", lambda m: dialect.plain(m[0]), bare)
    try:
        return int(eval(named, {"__builtins__": {}}, dict(known)))
    except (NameError, SyntaxError, TypeError):
        return None


def _members(
    body: str, called: str, known: Mapping[str, int], dialect: Dialect
) -> Iterator[tuple[str, int]]:
    following = 0
    for entry in filter(None, (part.strip() for part in body.split(","))):
        name, _, value = (part.strip() for part in entry.partition("="))
        number = _number(value, known, dialect) if value else following
        assert number is not None, f"{name} = {value} is no number"
        yield dialect.plain(name).removeprefix(f"{called.upper()}_"), number
        following = number + 1


def _struct(body: str, form: Form) -> tuple[Layout, dict[str, int]] | None:
    """How a C compiler lays a struct out; None if it holds more than numbers."""
    places: list[tuple[int, int]] = []
    fields: dict[str, int] = {}
    end = 0
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        found = re.fullmatch(r"(?:struct )?(\w+) ([\w\s,\[\]]+)", declaration)
        if found is None:
            return None
        inner = form.layouts.get(re.sub("^wire_|^Wire", "", found[1]).lower())
        if found[1] in _SIZES:
            inner = ((0, _SIZES[found[1]]),)
        if inner is None:
            return None
        size, align = inner[-1][0] + inner[-1][1], max(width for _, width in inner)
        for declared in found[2].split(","):
            name, _, count = declared.strip().rstrip("]").partition("[")
            end += -end % align
            fields[name] = end
            for _ in range(int(count or 1)):
                places += [(end + offset, width) for offset, width in inner]
                end += size
    return tuple(places), fields


def differences(
    ours: Form, theirs: Form, records: Mapping[str, str], alone: frozenset[str] = frozenset()
) -> list[str]:
    """What two sides do not agree in, one sentence each. `records`: a record's name over there
    and here; `alone`: what one of the sides need not have."""
    found: list[str] = []

    def hold(kind: str, mine: Mapping[str, object], other: Mapping[str, object]) -> None:
        for name in sorted({*mine, *other} - alone):
            if name not in mine or name not in other:
                where = "Python" if name in mine else "the header"
                found.append(f"{kind} {name} is known in {where} only")
            elif mine[name] != other[name]:
                found.append(
                    f"{kind} {name} is {_shown(mine[name])} in Python,"
                    f" {_shown(other[name])} in the header"
                )

    hold("constant", ours.numbers, theirs.numbers)
    hold("list", dict.fromkeys(ours.lists), dict.fromkeys(theirs.lists))
    for name in ours.lists.keys() & theirs.lists.keys() - alone:
        other = dict(theirs.lists[name])
        if other.get("COUNT") == len(other) - 1:  # a C list's own end mark
            del other["COUNT"]
        hold(name, ours.lists[name], other)
    called = {there: here for there, here in records.items() if there not in alone}
    hold(
        "record",
        {name: ours.layouts.get(here) for name, here in called.items()},
        theirs.layouts,
    )
    return found


def _shown(value: object) -> str:
    if isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, tuple):
        return " ".join(f"{size}@{offset}" for offset, size in value)
    return repr(value)
