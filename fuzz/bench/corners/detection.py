"""What a hunt found, by the number of predicates and the cases that it took."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import median

import msgspec

from corpus.case import Case
from corpus.text import format_case
from fuzz.bench.corners.draw import Corner
from fuzz.bench.corners.hunt import Plan

Z_95 = 1.959964
"""Standard normal quantile of two-sided bounds at 95 %."""
_STEPS = (1 / 60, 1 / 20, 1 / 6, 1 / 2, 1)
"""Where detection is tabulated, as parts of the budget."""


class Defect(msgspec.Struct, frozen=True):
    """A drawn defect. `found`: per search, after how many cases; None where it was not."""

    index: int
    predicates: int
    guard: str
    wrong: str
    witness: str
    found: list[int | None]


class Rate(msgspec.Struct, frozen=True):
    """Of `defects` with so many predicates, how many were found within `cases`, as a mean of
    the searches, and the bounds of their part at 95 %."""

    predicates: int
    cases: int
    defects: int
    found: float
    low: float
    high: float


class Report(msgspec.Struct, frozen=True):
    """All of it. `cases`: budget of each search; `seconds`: what each took."""

    seed: int
    count: int
    cases: int
    searches: list[int]
    seconds: list[float]
    features: list[int]
    load: float
    rates: list[Rate]
    defects: list[Defect]


def wilson(found: float, tried: int) -> tuple[float, float]:
    """Bounds at 95 % of a probability of which `found` of `tried` is known (Wilson 1927)."""
    if not tried:
        return 0.0, 1.0
    part, square = found / tried, Z_95 * Z_95
    middle = part + square / (2 * tried)
    spread = Z_95 * sqrt(part * (1 - part) / tried + square / (4 * tried * tried))
    whole = 1 + square / tried
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def defect(corner: Corner, found: Sequence[int | None]) -> Defect:
    """A defect as it is reported."""
    return Defect(
        *(corner.index, corner.size, corner.about, corner.wrong.about),
        format_case(Case(corner.witness.ops)),
        list(found),
    )


def found_within(defects: Sequence[Defect], cases: int, searches: int) -> float:
    """How many were found within so many cases, as a mean of the searches."""
    hits = sum(n is not None and n <= cases for d in defects for n in d.found)
    return hits / max(1, searches)


def rates(defects: Sequence[Defect], budget: int, searches: int) -> list[Rate]:
    """Detection by number of predicates at a few numbers of cases."""
    told: list[Rate] = []
    for size in sorted({d.predicates for d in defects}):
        group = [d for d in defects if d.predicates == size]
        for cases in sorted({max(1, round(budget * step)) for step in _STEPS}):
            found = found_within(group, cases, searches)
            bounds = wilson(found, len(group))
            told.append(Rate(size, cases, len(group), round(found, 2), *_rounded(bounds)))
    return told


def _rounded(bounds: tuple[float, float]) -> tuple[float, float]:
    return round(bounds[0], 4), round(bounds[1], 4)


def report(
    plans: Sequence[Plan],
    corners: Sequence[Corner],
    found: Sequence[Mapping[int, int]],
    seconds: Sequence[float],
    features: Sequence[int],
) -> Report:
    """What several searches for the same defects found: `found` is index -> cases, each."""
    defects = [defect(corner, [one.get(corner.index) for one in found]) for corner in corners]
    plan = plans[0]
    return Report(
        seed=plan.seed,
        count=plan.count,
        cases=plan.cases,
        searches=[p.search_seed for p in plans],
        seconds=[round(s, 1) for s in seconds],
        features=list(features),
        load=round(os.getloadavg()[0], 2),
        rates=rates(defects, plan.cases, len(plans)),
        defects=defects,
    )


def median_cases(defects: Sequence[Defect], budget: int) -> float:
    """The median number of cases until a defect is found; those not found count as the budget."""
    return median(budget if n is None else n for d in defects for n in d.found)
