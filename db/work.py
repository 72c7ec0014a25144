"""What a fleet's slices are, what they bring, and who leads the fleet: frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from db.blocks import FunctionRecord, ReachedRecord
from db.queries import SampleView
from db.records import (
    CellRecord,
    FindingRecord,
    IncidentRecord,
    LegRecord,
    RetestRecord,
    SignatureRecord,
    StoredFinding,
)


class State(StrEnum):
    """How far a slice is."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # as often as is tried


class Wish(StrEnum):
    """What is wished of a fleet."""

    RUN = "run"
    DRAIN = "drain"  # finish what runs, begin nothing, end
    STOP = "stop"  # end


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """A slice to be done. `id`: the digest of what it is; `leg`: for which it counts; of the
    `priority`, higher goes first."""

    id: str
    kind: str
    leg: str
    spec: Mapping[str, Any]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SliceView:
    """A slice as read."""

    id: str
    kind: str
    leg: str
    spec: Mapping[str, Any]
    priority: int
    state: State
    attempts: int
    worker: str
    said: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    campaign_id: int | None
    counts: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(slots=True)
class Told:
    """What a campaign said to a store, free of a store's numbers, so that it can be said again
    to another one. `known`: by signature, which record of a known defect explains it, and what
    that says; `akin`: signatures of a later and an earlier bucket that are probably the same,
    and why."""

    seed: int = 0
    legs: tuple[LegRecord, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    findings: list[FindingRecord] = field(default_factory=list)
    known: dict[str, tuple[str, str]] = field(default_factory=dict)
    again: dict[SignatureRecord, int] = field(default_factory=dict)
    akin: list[tuple[SignatureRecord, SignatureRecord, str]] = field(default_factory=list)
    incidents: list[IncidentRecord] = field(default_factory=list)
    functions: dict[str, Sequence[FunctionRecord]] = field(default_factory=dict)
    reached: dict[str, list[ReachedRecord]] = field(default_factory=dict)
    samples: list[SampleView] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding on its way while its slice still runs: the legs of the campaign, and what
    explains it if it is known."""

    seed: int
    legs: tuple[LegRecord, ...]
    finding: FindingRecord
    known: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that a slice brings to the store. `retests`, `cells`, `smaller`, `note`: of the finding
    of that number, and its bucket."""

    told: Told | None = None
    finding: int = 0
    retests: tuple[RetestRecord, ...] = ()
    cells: tuple[CellRecord, ...] = ()
    smaller: FindingRecord | None = None
    note: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the slice of a delivery found in all, whenever that was kept, and how many buckets of
    it nobody knew."""

    stored: tuple[StoredFinding, ...]
    buckets: int


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet of a store as read. `beat`: when it was last there, None once it has ended."""

    holder: str
    process: str
    address: str
    started: datetime
    beat: datetime | None
    wish: Wish
    options: Mapping[str, Any]
    told: Mapping[str, Any]
    memory: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SliceCount:
    """How many slices there are of a kind and leg in a state."""

    kind: str
    leg: str
    state: State
    slices: int
