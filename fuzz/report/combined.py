"""Combinations as people look at them: per pair of factors, what was met together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import msgspec
import numpy as np
from numpy.typing import NDArray

from fuzz.generate.facts import CONTROLS, FACTORS, NAMES, fact

EXAMPLES = 3


class Combined(msgspec.Struct, frozen=True):
    """Two factors: of the pairs of their values that were each met, how many were met
    together and then looked at, and examples of those that never were."""

    first: str
    second: str
    met: int
    possible: int
    missing: list[str]


def combined(met: NDArray[np.bool_]) -> list[Combined]:
    """Per pair of factors, the least complete first."""
    either: NDArray[np.bool_] = np.array(met | met.T)
    alone: NDArray[np.bool_] = np.asarray(either.any(axis=1))
    rows = list(_rows(either, alone))
    return sorted(rows, key=lambda row: (row.met / row.possible, -row.possible))


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
            missing = [
                f"{_value(ours[i])} with {_value(theirs[j])}" for i, j in np.argwhere(~block)
            ]
            met = int(block.sum())
            yield Combined(first, second, met, block.size, missing[:EXAMPLES])


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
