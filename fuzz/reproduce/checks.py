"""What is permitted of one op, as lines of C. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from fuzz.reproduce.expect import Expectation, Field, Permit, Step
from fuzz.reproduce.words import pattern, quoted, string
from targets.spec.errno import error_name

ALONE = 3
"""Fewer like pieces than this are told one by one."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of C, and the parts of the program (`parts/`) that they use."""

    text: tuple[str, ...]
    parts: frozenset[str] = frozenset()


def checks(expectation: Expectation, number: int, aux: str = "") -> Lines:
    """What op `number` may do: an outcome() for each permit, with the ways that it is on where
    there are several. `aux`: what its second result is called, if it has one."""
    lines: list[str] = []
    parts: set[str] = set()
    every = (1 << len(expectation.ways)) - 1
    by_step: dict[Step | None, int] = {}
    for bit, way in enumerate(expectation.ways):
        step = way.steps[number] if number < len(way.steps) else None
        step = step if step and step.permits else None
        by_step[step] = by_step.get(step, 0) | 1 << bit
    for step, on in by_step.items():
        if step is None:
            call = "outcome(" if on == every else f"outcome_on({on:#x}, "
            lines.append(f"\t{call}seen->err); /* anything is permitted */")
            continue
        for permit in step.permits:
            name = error_name(permit.err) if permit.err else "0"
            call = f"outcome_on({on:#x}, {name})" if on != every else f"outcome({name})"
            lines.append(f"\t{call};")
            for line, part in _permit(permit, aux):
                lines.append(f"\t{line}")
                parts.add(part)
    return Lines(tuple(lines), frozenset(parts))


def _permit(permit: Permit, aux: str) -> Iterator[tuple[str, str]]:
    """Lines with the part that each uses."""
    if aux and permit.aux is not None:
        yield f"aux({quoted(aux)}, {permit.aux:#x});", "aux"
    for run in _runs(permit.fields):
        yield from _fields(run)
    if permit.listed is not None:
        yield f"arrived({permit.listed});", "arrived"


def _fields(run: Sequence[Field]) -> Iterator[tuple[str, str]]:
    first = run[0]
    if all(loose == _all(first.size) for _, loose in first.candidates) and not first.like:
        return  # anything
    text = string(pattern(first.candidates, first.size))
    if len(run) == 1:
        yield f"bytes({quoted(first.label)}, {first.at}, {first.size}, {text});", "check"
        if first.like:
            there = f"{first.like.step + 1}, {first.like.at}"
            yield f"same({quoted(first.label)}, {first.at}, {first.size}, {there});", "same"
        return
    stride = run[1].at - first.at
    label, start = _numbered(run)
    yield (
        f"each({quoted(label)}, {start}, {len(run)}, {first.at}, {stride}, {first.size}, {text});",
        "each",
    )


def _all(size: int) -> int:
    return (1 << 8 * size) - 1


def _numbered(run: Sequence[Field]) -> tuple[str, int]:
    """A label with %u for the number of a piece, and the first number."""
    name = run[0].label.rstrip("0123456789")
    digits = run[0].label[len(name) :]
    return (f"{name}%u", int(digits)) if digits else (f"{name} %u", 0)


def _runs(fields: Sequence[Field]) -> Iterator[Sequence[Field]]:
    """The fields by neighbours that are alike, at one distance, and numbered in order."""
    named = list(_named(fields))
    for _, group in groupby(_by_kind(named), key=lambda f: (_kind(f), f.size, f.candidates)):
        found = list(group)
        while found:
            run = [found[0]]
            while len(run) < len(found) and _goes_on(run, found[len(run)]):
                run.append(found[len(run)])
            if len(run) < ALONE:
                run = run[:1]
            yield run
            found = found[len(run) :]


def _goes_on(run: Sequence[Field], following: Field) -> bool:
    last = run[-1]
    if last.like or following.like or _number(following) != _number(last) + 1:
        return False
    return len(run) == 1 or following.at - last.at == run[1].at - run[0].at


def _number(field: Field) -> int:
    digits = field.label[len(field.label.rstrip("0123456789")) :]
    return int(digits) if digits else -2


def _kind(field: Field) -> str:
    return field.label.rstrip("0123456789")


def _named(fields: Sequence[Field]) -> Iterator[Field]:
    """The fields without padding; the errno and size before a register are called by it."""
    for field, following in zip_longest(fields, fields[1:]):
        if field.label:
            yield field
        elif field.size == 8:
            label = following.label if following and following.label else "the next register"
            yield Field(f"errno and size of {label}", field.at, field.size, field.candidates)


def _by_kind(fields: Sequence[Field]) -> Sequence[Field]:
    """In order, but what stands before the registers of a kind before these."""
    order = {kind: at for at, kind in enumerate(dict.fromkeys(map(_kind, fields)))}
    return sorted(fields, key=lambda f: (order[_kind(f)], f.at))
