"""What stops verdicts before the last op, from a campaign's statistics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why verdicts stop on one leg: `count` executions, a `share` of all on that leg; the text
    of one `example`, or nothing."""

    leg: str
    why: str
    count: int
    share: float
    example: str


@dataclass(frozen=True, slots=True)
class LegUnjudged:
    """How many executions of a leg were not judged to their end, and why."""

    leg: str
    executions: int
    not_judged: int
    reasons: tuple[Stopped, ...]

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.not_judged / self.executions if self.executions else 0.0


def unjudged(statistics: Mapping[str, object]) -> list[LegUnjudged]:
    """Per leg, the one with most of it first; nothing where a campaign did not count it."""
    executions, counts = _map(statistics, "executions"), _map(statistics, "not_judged")
    reasons, examples = _map(statistics, "unjudged"), _map(statistics, "unjudged_examples")
    found = []
    for leg, count in counts.items():
        total = int(executions.get(leg, 0))
        by_reason = reasons.get(leg, {})
        rows = tuple(
            Stopped(leg, why, int(n), int(n) / total if total else 0.0, examples.get(why, ""))
            for why, n in sorted(by_reason.items(), key=lambda item: -item[1])
        )
        found.append(LegUnjudged(leg, total, int(count), rows))
    return sorted(found, key=lambda one: (-one.share, one.leg))


def _map(statistics: Mapping[str, object], name: str) -> dict[str, Any]:
    value = statistics.get(name)
    return value if isinstance(value, dict) else {}
