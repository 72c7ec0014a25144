"""The fields of ops, as every tool that walks them sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from corpus.domain import Domain
from corpus.ops import OPS, Op


@dataclass(frozen=True, slots=True)
class OpField:
    """A field of an op: `optional` ones have a default and may be left out of the text."""

    name: str
    domain: Domain[Any]
    optional: bool
    default: Any


_FIELDS: dict[str, tuple[OpField, ...]] = {
    word: tuple(
        OpField(f.name, f.metadata["domain"], f.default is not MISSING, f.default)
        for f in fields(kind)
    )
    for word, kind in OPS.items()
}


def fields_of(kind: type[Op]) -> tuple[OpField, ...]:
    """The fields of an op class, in order."""
    return _FIELDS[kind.word]


def simpler_op(op: Op) -> Iterator[Op]:
    """The same op with one simpler field."""
    for f in fields_of(type(op)):
        for value in f.domain.simpler(getattr(op, f.name)):
            yield replace(op, **{f.name: value})
