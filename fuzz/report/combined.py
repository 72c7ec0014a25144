"""Combinations as people look at them: per pair of factors, what was met together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import msgspec
import numpy as np
from numpy.typing import NDArray

from corpus import registers as regs
from fuzz.generate.facts import CONTROLS, FACTORS, NAMES, fact
from fuzz.generate.pairs import (
    EFFECTIVE,
    FORM_INDEX,
    LENGTHS_AND_NONE,
    LONGEST,
    NUMBER,
    REGISTER_INDEX,
    Met,
    of_core,
)

EXAMPLES = 3


class Combined(msgspec.Struct, frozen=True):
    """Two factors: of the pairs of their values that were each met, how many were met
    together and then looked at, and examples of those that never were."""

    first: str
    second: str
    met: int
    possible: int
    missing: list[str]


def combined(met: Met) -> list[Combined]:
    """Per pair of factors, and per part of the core, the least complete first."""
    either: NDArray[np.bool_] = np.array(met.pairs | met.pairs.T)
    alone: NDArray[np.bool_] = np.asarray(either.any(axis=1))
    rows = [*_rows(either, alone), *_of_core(met.core)]
    return sorted(rows, key=lambda row: (row.met / max(row.possible, 1), -row.possible))


def _rows(either: NDArray[np.bool_], alone: NDArray[np.bool_]) -> Iterator[Combined]:
    for first, second in combinations_with_replacement(FACTORS, 2):
        ours, theirs = (
            [place for value in FACTORS[factor] if alone[place := fact(factor, value)]]
            for factor in (first, second)
        )
        if first == second:
            yield from _within(first, ours, either)
        elif ours and theirs:
            block = either[np.ix_(ours, theirs)]
            examples = np.argwhere(~block)[:EXAMPLES]
            missing = [f"{_value(ours[i])} with {_value(theirs[j])}" for i, j in examples]
            met = int(block.sum())
            yield Combined(first, second, met, block.size, missing)


def _of_core(core: NDArray[np.bool_]) -> Iterator[Combined]:
    forms, sets = of_core(core)
    lengths = ("no SVE", *(str(vq) for vq in range(1, LENGTHS_AND_NONE)))
    parts = (
        ("longest VL", forms[:, LONGEST:EFFECTIVE], lengths),
        ("effective VL", forms[:, EFFECTIVE:NUMBER], lengths),
        ("first operand", forms[:, NUMBER:], tuple(str(n) for n in range(32))),
    )
    for second, block, values in parts:
        yield _block("instruction run", tuple(FORM_INDEX), second, values, block)
    names = tuple(regs.name_of(reg) for reg in REGISTER_INDEX)
    yield _block("register set", names, "longest VL", lengths, sets)


def _block(
    first: str,
    rows: tuple[str, ...],
    second: str,
    columns: tuple[str, ...],
    block: NDArray[np.bool_],
) -> Combined:
    """Of the values that were each met."""
    ours, theirs = np.flatnonzero(block.any(axis=1)), np.flatnonzero(block.any(axis=0))
    part = block[np.ix_(ours, theirs)]
    examples = np.argwhere(~part)[:EXAMPLES]
    missing = [f"{rows[ours[i]]} with {columns[theirs[j]]}" for i, j in examples]
    return Combined(first, second, int(part.sum()), part.size, missing)


_ONE_AT_A_TIME = frozenset(
    {"call", "number", "buffer", "longest VL", "effective VL", "mode", "op before", "life"}
)
"""Factors of which an op has one value only."""


def _within(factor: str, places: list[int], either: NDArray[np.bool_]) -> Iterator[Combined]:
    if factor in _ONE_AT_A_TIME or len(places) < 2:
        return
    block = either[np.ix_(places, places)]
    upper = np.triu_indices(len(places), 1)
    missing = [
        f"{_value(places[i])} with {_value(places[j])}"
        for i, j in zip(*upper, strict=True)
        if not block[i, j]
    ]
    possible = len(upper[0])
    yield Combined(factor, factor, possible - len(missing), possible, missing[:EXAMPLES])


def _value(place: int) -> str:
    factor, value = NAMES[place]
    if isinstance(value, tuple):
        word, rest = value
        return f"{word}{' fails' if rest is True else '' if rest is False else f' errno {rest}'}"
    if factor in CONTROLS and isinstance(value, int):
        return f"bit {value.bit_length() - 1}"
    return str(value)
