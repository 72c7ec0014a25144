"""Detection of drawn defects against cases, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from fuzz.bench.corners.detection import Defect, Report, found_within, wilson

POINTS = 60


def _marks(budget: int) -> list[int]:
    """Numbers of cases, evenly on a logarithmic scale."""
    return sorted({round(budget ** (i / POINTS)) for i in range(POINTS + 1)})


def draw_detection(report: Report, form: str) -> bytes:
    """Curves with bands of 95 %, one per number of predicates.
    `form`: svg, png or pdf."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to load)

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    marks = _marks(report.cases)
    for size in sorted({d.predicates for d in report.defects}):
        group: Sequence[Defect] = [d for d in report.defects if d.predicates == size]
        found = [found_within(group, at, len(report.searches)) for at in marks]
        parts = [100 * n / len(group) for n in found]
        bounds = [wilson(n, len(group)) for n in found]
        label = f"{size} predicate{'s' if size > 1 else ''} ({len(group)} defects)"
        (line,) = axes.step(marks, parts, where="post", label=label)
        low, high = ([100 * b[i] for b in bounds] for i in (0, 1))
        axes.fill_between(marks, low, high, step="post", alpha=0.15, color=line.get_color())
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("cases")
    axes.set_ylabel("defects found, %")
    axes.set_title(f"Drawn defects of seed {report.seed}, {len(report.searches)} search(es)")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=form)
    return drawn.getvalue()
