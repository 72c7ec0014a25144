"""Numbers over time as the points of an SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from db.queries import Day, SampleView

WIDTH, HEIGHT = 600, 120
"""Units of a drawing, which the browser stretches."""
MOST_POINTS = 300
"""More would draw over each other."""

Point = tuple[float, float]
"""Seconds since the begin, and a value."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: `points` as SVG wants them, and the last and the largest value."""

    name: str
    points: str
    last: float
    most: float


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over the same seconds, each as high as the largest of `curves`."""

    title: str
    curves: tuple[Curve, ...]
    seconds: float
    most: float


PLOTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Coverage", (("blocks", "kernel blocks"), ("rules", "rules"))),
    ("Features", (("features", "features"), ("corpus", "cases in the corpus"))),
    ("Findings", (("divergences", "divergences"), ("buckets", "buckets"), ("new_buckets", "new"))),
)
"""Title -> the totals of a sample that it shows, and what they are called."""


def plots(samples: Sequence[SampleView]) -> tuple[Plot, ...]:
    """All plots of a campaign; none without two samples."""
    if len(samples) < 2:
        return ()
    made = [_plot(title, _series(samples, rows)) for title, rows in PLOTS]
    rate = {"cases/s": _rates(_points(samples, "cases"))}
    return (*made[:2], _plot("Cases per second", rate), *made[2:])


def _series(
    samples: Sequence[SampleView], rows: Sequence[tuple[str, str]]
) -> dict[str, list[Point]]:
    found = {name: _points(samples, key) for key, name in rows}
    return {name: points for name, points in found.items() if points}


def _points(samples: Sequence[SampleView], key: str) -> list[Point]:
    return [
        (one.after_ms / 1000, value)
        for one in samples
        if (value := _number(one.totals, key)) is not None
    ]


def _number(totals: Mapping[str, Any], key: str) -> float | None:
    value = totals.get(key)
    return float(value) if isinstance(value, int | float) else None


def _rates(points: Sequence[Point]) -> list[Point]:
    """How fast a total grew between samples."""
    return [
        (late, max(0.0, (more - less) / (late - early)))
        for (early, less), (late, more) in pairwise(points)
        if late > early
    ]


def _plot(title: str, series: Mapping[str, Sequence[Point]]) -> Plot:
    seconds = max((points[-1][0] for points in series.values() if points), default=0.0) or 1.0
    most = max((value for points in series.values() for _, value in points), default=0.0)
    curves = tuple(
        Curve(name, _drawn(points, seconds, most or 1.0), points[-1][1], max(v for _, v in points))
        for name, points in series.items()
        if points
    )
    return Plot(title, curves, seconds, most)


def _drawn(points: Sequence[Point], seconds: float, most: float) -> str:
    return " ".join(
        f"{WIDTH * at / seconds:.1f},{HEIGHT - HEIGHT * value / most:.1f}"
        for at, value in thinned(points)
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """The same curve with few enough points, the last one always among them."""
    step = -(-len(points) // MOST_POINTS) or 1
    kept = list(points[::step])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def stairs(curve: Sequence[tuple[int, int]]) -> Plot:
    """Kernel blocks over time: (milliseconds, blocks so far)."""
    points = [(at / 1000, float(blocks)) for at, blocks in curve]
    return _plot("Kernel blocks", {"blocks": points})


@dataclass(frozen=True, slots=True)
class Bar:
    """A day: where its bar stands, and how high, in units of the drawing."""

    day: str
    findings: int
    new_buckets: int
    x: float
    width: float
    height: float
    new_height: float


def bars(days: Sequence[str], found: Sequence[Day]) -> tuple[Bar, ...]:
    """A bar for each of `days`, oldest first, those on which nothing was found, too. Findings
    and new buckets have scales of their own."""
    by_day = {one.day: one for one in found}
    ordered = [by_day.get(day, Day(day, 0, 0)) for day in days]
    most = max((one.findings for one in ordered), default=0) or 1
    most_new = max((one.new_buckets for one in ordered), default=0) or 1
    step = WIDTH / max(1, len(ordered))
    return tuple(
        Bar(
            *(one.day, one.findings, one.new_buckets, round(step * place, 1), round(0.8 * step, 1)),
            _height(one.findings, most, HEIGHT / 2),
            _height(one.new_buckets, most_new, HEIGHT / 2),
        )
        for place, one in enumerate(ordered)
    )


def _height(value: int, most: int, room: float) -> float:
    """A bar of something is seen, however small it is."""
    return round(max(1.5, room * value / most), 1) if value else 0.0
