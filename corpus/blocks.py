"""Blocks: an op that has to do with the next few, its `span`. A case stays a plain list of ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from corpus.ops import Disturb, Op


def fitted(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    """The same with no block longer than what is left of the one around it."""
    if not any(type(op) is Disturb for op in ops):
        return ops
    ends = [len(ops)]
    found: list[Op] = []
    for index, op in enumerate(ops):
        while ends[-1] <= index:
            ends.pop()
            if not ends:
                break
        if isinstance(op, Disturb):
            span = min(op.span, ends[-1] - index - 1)
            ends.append(index + 1 + span)
            op = op if span == op.span else replace(op, span=span)  # noqa: PLW2901
        found.append(op)
    return tuple(found)


def without(ops: Sequence[Op], start: int, stop: int) -> tuple[Op, ...]:
    """The ops but for those from `start` to before `stop`; blocks around them shrink, and what
    was in a block that goes stays."""
    found: list[Op] = []
    for index, op in enumerate(ops):
        if start <= index < stop:
            continue
        if isinstance(op, Disturb) and index < start:
            gone = max(0, min(stop, index + 1 + op.span) - start)
            op = replace(op, span=op.span - gone)  # noqa: PLW2901
        found.append(op)
    return tuple(found)


def closings(ops: Sequence[Op]) -> list[int]:
    """How many blocks end before each op and, last, behind all of them; an empty block ends
    right behind its op."""
    count = [0] * (len(ops) + 1)
    for index, op in enumerate(ops):
        if isinstance(op, Disturb):
            count[index + 1 + op.span] += 1
    return count
