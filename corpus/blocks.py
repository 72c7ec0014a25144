"""Blocks: an op that has to do with the next few, its `span`. A case stays a plain list of ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from corpus.ops import (
    Disturb,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Op,
    RegList,
    Run,
    SetReg,
    SetVls,
    Threads,
)

BLOCKS = Disturb, Threads
"""Ops with a block."""
BESIDE = (Init, Finalize, SetVls, GetVls, SetReg, GetReg, RegList, GetMp)
"""Ops that may be done beside others: each is one ioctl, on a vcpu."""


def has_block(op: Op) -> TypeGuard[Disturb | Threads]:
    """Whether an op has to do with those behind it."""
    return type(op) in BLOCKS


def first_block(ops: Sequence[Op]) -> int:
    """Index of the first op that has to do with those behind it; behind the last op, where none
    has."""
    return next((at for at, op in enumerate(ops) if has_block(op)), len(ops))


def beside(ops: Sequence[Op], first: int) -> int:
    """How many of `ops`, of which `first` are the first list, may be done by two threads, up to
    the first that may not. A run is one ioctl but for what comes before and after it, so it has
    its place at the beginning of a list; two vcpus may run at once."""
    running = None
    for index, op in enumerate(ops):
        if isinstance(op, Run) and index in (0, first) and op.vcpu != running:
            running = op.vcpu
        elif type(op) not in BESIDE:
            return index
    return len(ops)


def looks_inside(op: Threads, ops: Sequence[Op]) -> bool:
    """Whether one of the two lists, of which `ops` are the ops, is at work on a vcpu that the
    other one runs."""
    lists = ops[: op.first], ops[op.first :]
    return any(
        isinstance(run, Run) and run.vcpu in {getattr(each, "vcpu", None) for each in beside}
        for mine, beside in (lists, lists[::-1])
        for run in mine[:1]
    )


def fitted(ops: tuple[Op, ...]) -> tuple[Op, ...]:
    """The same with no block longer than what is left of the one around it, and no two lists
    longer than what can be done by threads."""
    if not any(map(has_block, ops)):
        return ops
    ends = [len(ops)]
    found: list[Op] = []
    for index, op in enumerate(ops):
        while ends[-1] <= index:
            ends.pop()
            if not ends:
                break
        if has_block(op):
            span = min(op.span, ends[-1] - index - 1)
            if isinstance(op, Threads):
                span = beside(ops[index + 1 : index + 1 + span], op.first)
            op = with_span(op, span, span)  # noqa: PLW2901
            ends.append(index + 1 + span)
        found.append(op)
    return tuple(found)


def with_span(op: Disturb | Threads, span: int, first: int) -> Disturb | Threads:
    """The same with a block of `span` ops; no more than `first` of two lists' in the first."""
    if isinstance(op, Threads) and op.first > first:
        op = replace(op, first=first)
    return op if span == op.span else replace(op, span=span)


def without(ops: Sequence[Op], start: int, stop: int) -> tuple[Op, ...]:
    """The ops but for those from `start` to before `stop`; blocks around them shrink, and what
    was in a block that goes stays."""
    found: list[Op] = []
    for index, op in enumerate(ops):
        if start <= index < stop:
            continue
        if has_block(op) and index < start:
            first = op.first if isinstance(op, Threads) else 0
            left = [size - _gone(index + 1 + size, start, stop) for size in (op.span, first)]
            op = with_span(op, *left)  # noqa: PLW2901
        found.append(op)
    return tuple(found)


def _gone(end: int, start: int, stop: int) -> int:
    """How much a list that ends before `end`, and began before `start`, loses."""
    return max(0, min(stop, end) - start)


def closings(ops: Sequence[Op]) -> list[int]:
    """How many blocks end before each op and, last, behind all of them; an empty block ends
    right behind its op."""
    count = [0] * (len(ops) + 1)
    for index, op in enumerate(ops):
        if has_block(op):
            count[index + 1 + op.span] += 1
    return count


def unbroken(ops: Sequence[Op]) -> frozenset[int]:
    """The ops right behind which no other may be put: it would be in a list of two threads."""
    return frozenset(
        place
        for index, op in enumerate(ops)
        if isinstance(op, Threads)
        for place in range(index, index + op.span)
    )


def divisions(ops: Sequence[Op]) -> frozenset[int]:
    """Where a second list begins: before which ops, or behind all of them."""
    return frozenset(i + 1 + op.first for i, op in enumerate(ops) if isinstance(op, Threads))
