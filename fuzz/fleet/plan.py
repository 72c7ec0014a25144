"""Which leg to search next: what brought most lately, and for every leg its floor. Pure.

Each leg is due a share of the CPU time. A part of it, the floor, is the same for all; the rest
goes by what slices of the leg brought per CPU hour. What that is worth is measured against what
all legs bring, kind by kind, so that a rare bucket is not lost among thousands of pairs. The leg
that lags most behind its share is next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

WEIGHTS = {"buckets": 2.0, "blocks": 1.0, "pairs": 1.0}
"""What a slice may bring that nothing had brought before, and how much each kind counts."""

HALF = 12
"""After so many further slices of a leg, what one brought counts half."""

FLOOR = 0.5
"""The part of the time that is dealt out evenly, unless a user says otherwise."""


@dataclass(frozen=True, slots=True)
class Yield:
    """What a finished slice took and brought."""

    leg: str
    cpu_seconds: float
    brought: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """A leg lately: `cpu_seconds`, faded as what was `brought` by them is."""

    cpu_seconds: float = 0.0
    brought: Mapping[str, float] = field(default_factory=dict)

    def per_hour(self, kind: str) -> float:
        """Of a kind, per CPU hour; 0 before anything was done."""
        return 3600 * self.brought.get(kind, 0.0) / self.cpu_seconds if self.cpu_seconds else 0.0


def rates(legs: Sequence[str], history: Iterable[Yield]) -> dict[str, Rate]:
    """How each leg did lately; `history` begins with the oldest."""
    fade = 0.5 ** (1 / HALF)
    cpu: defaultdict[str, float] = defaultdict(float)
    brought: dict[str, dict[str, float]] = {leg: dict.fromkeys(WEIGHTS, 0.0) for leg in legs}
    for one in history:
        if one.leg not in brought:
            continue
        cpu[one.leg] = cpu[one.leg] * fade + one.cpu_seconds
        for kind in WEIGHTS:
            brought[one.leg][kind] = brought[one.leg][kind] * fade + one.brought.get(kind, 0)
    return {leg: Rate(cpu[leg], brought[leg]) for leg in legs}


def spent(legs: Sequence[str], history: Iterable[Yield]) -> dict[str, float]:
    """CPU seconds that each leg had lately. Here what any leg does lets the past of all fade, or
    one that is seldom searched would be held to a share that it had long ago."""
    fade = 0.5 ** (1 / (HALF * max(1, len(legs))))
    had = dict.fromkeys(legs, 0.0)
    for one in history:
        for leg in had:
            had[leg] *= fade
        if one.leg in had:
            had[one.leg] += one.cpu_seconds
    return had


def worth(lately: Mapping[str, Rate]) -> dict[str, float]:
    """How much of all that is brought per CPU hour each leg brings: adds up to 1."""
    found = dict.fromkeys(lately, 0.0)
    total = 0.0
    for kind, weight in WEIGHTS.items():
        by_leg = {leg: rate.per_hour(kind) for leg, rate in lately.items()}
        whole = sum(by_leg.values())
        if whole:
            total += weight
            for leg, rate in by_leg.items():
                found[leg] += weight * rate / whole
    if not total:
        return {leg: 1 / len(found) for leg in found}
    return {leg: share / total for leg, share in found.items()}


def shares(lately: Mapping[str, Rate], floor: float = FLOOR) -> dict[str, float]:
    """What each leg is due of the CPU time: adds up to 1, and to no less than its part of the
    floor. A leg that was not tried yet is due as much as the best."""
    valued = worth(lately)
    best = max(valued.values(), default=0.0)
    hopeful = {leg: valued[leg] if lately[leg].cpu_seconds else best for leg in lately}
    whole = sum(hopeful.values())
    return {
        leg: floor / len(lately) + (1 - floor) * share / whole for leg, share in hopeful.items()
    }


def next_legs(
    legs: Sequence[str],
    history: Sequence[Yield],
    running: Mapping[str, int],
    count: int,
    resting: Collection[str] = (),
    floor: float = FLOOR,
) -> list[str]:
    """The legs of the next `count` slices. `running`: slices of a leg that are on their way, which
    are taken to cost what slices cost on average; `resting`: legs that cannot be had for now."""
    able = [leg for leg in legs if leg not in resting]
    if not able:
        return []
    lately = [one for one in history if one.leg in able]
    cost = sum(one.cpu_seconds for one in lately) / len(lately) if lately else 1.0
    due = shares(rates(able, lately), floor)
    had = spent(able, lately)
    for leg in able:
        had[leg] += running.get(leg, 0) * cost
    chosen = []
    for _ in range(count):
        whole = sum(had.values()) + cost
        leg = max(able, key=lambda leg: due[leg] * whole - had[leg])
        had[leg] += cost
        chosen.append(leg)
    return chosen
