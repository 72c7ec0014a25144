"""Blocks of ops in the text form: which ops have them, and what their braces say of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from corpus.blocks import beside
from corpus.domain import TextError
from corpus.fields import PartDomain, SpanDomain
from corpus.opfields import fields_of
from corpus.ops import OPS, Op

SPANS = {
    kind: each.name
    for kind in OPS.values()
    for each in fields_of(kind)
    if isinstance(each.domain, SpanDomain)
}
"""Ops with a block of ops, and the field that says how many."""
PARTS = {
    kind: each.name
    for kind in OPS.values()
    for each in fields_of(kind)
    if isinstance(each.domain, PartDomain)
}
"""Of those the ones with two lists, and the field that says how long the first is."""


@dataclass(slots=True)
class Begun:
    """A block that is not over: where its op stands in a case, and on which lines of the text the
    ops in it. `first`: how many are in its first list, once that is over."""

    at: int
    lines: list[int] = field(default_factory=list)
    first: int | None = None

    def divide(self, ops: list[Op], number: int) -> None:
        """The second list begins, on line `number`. Raises TextError."""
        op = ops[self.at]
        if type(op) not in PARTS:
            raise TextError(f"line {number}: {op.word} has one block")
        if self.first is not None:
            raise TextError(f"line {number}: {op.word} has two blocks")
        self.first = len(self.lines)

    def close(self, ops: list[Op], number: int) -> None:
        """The block ends, on line `number`, and its op learns what is in it. Raises TextError."""
        op = ops[self.at]
        inside = ops[self.at + 1 :]
        lengths = {SPANS[type(op)]: len(inside)}
        if type(op) in PARTS:
            if self.first is None:
                raise TextError(f"line {number}: {op.word} has two blocks: {{ <ops> }} {{ <ops> }}")
            fit = beside(inside, self.first)
            if fit < len(inside):
                word = inside[fit].word
                raise TextError(f"line {self.lines[fit]}: {word} cannot stand here beside others")
            lengths[PARTS[type(op)]] = self.first
        ops[self.at] = replace(op, **lengths)
