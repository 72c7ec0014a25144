"""Stored kernel coverage, added up per leg, area and function. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.blocks import FunctionRecord, LegCoverage, ReachedView
from targets.kvm.lab.coverage.names import SOURCES

MARKS_S = (1, 10, 60, 600, 3600, 36000)
"""Seconds into a campaign at which its growth is told."""


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """A block: bytes into its function, and where it was first reached."""

    at: int
    campaign_id: int
    case_id: str
    after_ms: int


@dataclass(frozen=True, slots=True)
class FunctionSeen:
    """A function and those of its blocks that were seen, ascending; none: never reached.
    How many blocks it has in all is not known."""

    name: str
    area: str
    size: int
    blocks: tuple[BlockSeen, ...]

    @property
    def first(self) -> BlockSeen | None:
        """The block that was reached first."""
        return min(self.blocks, key=lambda b: (b.campaign_id, b.after_ms), default=None)


@dataclass(frozen=True, slots=True)
class AreaSeen:
    """One part of the source."""

    name: str
    functions: tuple[FunctionSeen, ...]

    @property
    def reached(self) -> int:
        """Functions of which something was seen."""
        return sum(bool(f.blocks) for f in self.functions)

    @property
    def blocks(self) -> int:
        """Blocks seen."""
        return sum(len(f.blocks) for f in self.functions)

    @property
    def never(self) -> list[str]:
        """Names of the functions never reached."""
        return [f.name for f in self.functions if not f.blocks]


@dataclass(frozen=True, slots=True)
class Growth:
    """A campaign's blocks over time: (milliseconds, blocks so far), and how many no earlier
    campaign had reached."""

    campaign_id: int
    curve: tuple[tuple[int, int], ...]
    new: int

    @property
    def blocks(self) -> int:
        """Blocks at the end."""
        return self.curve[-1][1] if self.curve else 0

    def after(self, seconds: float) -> int:
        """Blocks so many seconds into the campaign."""
        index = bisect_right(self.curve, seconds * 1000, key=lambda point: point[0])
        return self.curve[index - 1][1] if index else 0


@dataclass(frozen=True, slots=True)
class LegSeen:
    """One leg; legs whose fingerprints differ but whose kernel's code does not are one."""

    name: str
    release: str
    areas: tuple[AreaSeen, ...]
    growth: tuple[Growth, ...]

    @property
    def functions(self) -> list[FunctionSeen]:
        """Those of every area."""
        return [function for area in self.areas for function in area.functions]

    @property
    def reached(self) -> int:
        """Functions of which something was seen."""
        return sum(area.reached for area in self.areas)

    @property
    def blocks(self) -> int:
        """Blocks seen."""
        return sum(area.blocks for area in self.areas)


def summarise(stored: Iterable[LegCoverage]) -> list[LegSeen]:
    """What the store has, per leg."""
    joined: dict[tuple[str, tuple[FunctionRecord, ...]], tuple[str, list[ReachedView]]] = {}
    for one in stored:
        release = one.leg.fingerprint.get("release", "")
        joined.setdefault((one.leg.name, one.functions), (release, []))[1].extend(one.reached)
    legs = []
    for (name, functions), (release, views) in joined.items():
        views.sort(key=lambda view: (view.campaign_id, view.after_ms))
        first = _first(views)
        legs.append(LegSeen(name, release, _areas(functions, first), _growth(views)))
    return legs


def _first(views: Iterable[ReachedView]) -> dict[int, ReachedView]:
    """Per block, where it was first reached; `views` oldest first."""
    first: dict[int, ReachedView] = {}
    for view in views:
        for block in view.blocks:
            first.setdefault(block, view)
    return first


def _areas(
    functions: Sequence[FunctionRecord], first: Mapping[int, ReachedView]
) -> tuple[AreaSeen, ...]:
    ordered = sorted(first)
    found: dict[str, list[FunctionSeen]] = {area: [] for area in SOURCES}
    for f in functions:
        low, high = (bisect_right(ordered, at - 1) for at in (f.offset, f.offset + f.size))
        blocks = tuple(
            BlockSeen(b - f.offset, first[b].campaign_id, first[b].case_id, first[b].after_ms)
            for b in ordered[low:high]
        )
        found.setdefault(f.area, []).append(FunctionSeen(f.name, f.area, f.size, blocks))
    return tuple(AreaSeen(area, tuple(inside)) for area, inside in found.items() if inside)


def _growth(views: Sequence[ReachedView]) -> tuple[Growth, ...]:
    before: set[int] = set()
    found = []
    for campaign in sorted({view.campaign_id for view in views}):
        mine: set[int] = set()
        curve: dict[int, int] = {}
        for view in views:
            if view.campaign_id == campaign:
                mine.update(view.blocks)
                curve[view.after_ms] = len(mine)
        found.append(Growth(campaign, tuple(curve.items()), len(mine - before)))
        before |= mine
    return tuple(found)


def as_json(leg: LegSeen) -> dict[str, Any]:
    """A leg as plain data, with every block and the case that first reached it."""
    return {
        "leg": leg.name,
        "release": leg.release,
        "functions_known": len(leg.functions),
        "functions_reached": leg.reached,
        "blocks_seen": leg.blocks,
        "areas": [
            {
                "area": area.name,
                "functions_known": len(area.functions),
                "functions_reached": area.reached,
                "blocks_seen": area.blocks,
                "never_reached": area.never,
                "functions": [
                    {
                        "function": f.name,
                        "bytes": f.size,
                        "blocks": [
                            {
                                "offset": b.at,
                                "case": b.case_id,
                                "campaign": b.campaign_id,
                                "after_ms": b.after_ms,
                            }
                            for b in f.blocks
                        ],
                    }
                    for f in area.functions
                    if f.blocks
                ],
            }
            for area in leg.areas
        ],
        "campaigns": [
            {"campaign": g.campaign_id, "blocks": g.blocks, "new": g.new, "curve": g.curve}
            for g in leg.growth
        ],
    }
