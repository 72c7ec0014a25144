"""What a worker tells the campaign: one JSON line per event."""

from __future__ import annotations

from collections import Counter

import msgspec

from fuzz.worker.feedback import USUAL
from fuzz.worker.tally import Tally


class LegReady(msgspec.Struct, frozen=True):
    """A leg as the worker opened it."""

    name: str
    kind: str
    fingerprint: dict[str, str]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker's legs are up."""

    legs: list[LegReady]


class Stats(msgspec.Struct, frozen=True, tag=True):
    """Totals since the worker started."""

    tally: Tally


class Exercised(msgspec.Struct, frozen=True, tag=True):
    """Rules, by leg, that this worker holds observations against for the first time."""

    rules: dict[str, list[str]]


class Found(msgspec.Struct, frozen=True, tag=True):
    """A confirmed and minimised divergence (`fuzz.worker.travel`)."""

    record: bytes


class Broke(msgspec.Struct, frozen=True, tag=True):
    """A leg's machine broke, complained or was lost (`fuzz.worker.travel`); `line`: what to tell
    people first."""

    record: bytes
    line: str


class Restarted(msgspec.Struct, frozen=True, tag=True):
    """A leg's machine serves again; `seconds` is how long its start took."""

    leg: str
    seconds: float


class Again(msgspec.Struct, frozen=True, tag=True):
    """A divergence of a kind already reported by this worker was seen again."""

    signature: tuple[str, ...]


class Akin(msgspec.Struct, frozen=True, tag=True):
    """Two buckets of this worker are probably the same: the signature of the later one, that of
    the earlier one, and why."""

    one: tuple[str, ...]
    other: tuple[str, ...]
    reason: str


class Retested(msgspec.Struct, frozen=True, tag=True):
    """A stored finding was run again (`fuzz.worker.travel`)."""

    finding: int
    records: bytes


class Code(msgspec.Struct, frozen=True, tag=True):
    """The functions of a leg's kernel: (offset, size, name, area), ascending."""

    leg: str
    functions: list[tuple[int, int, str, str]]


class Reached(msgspec.Struct, frozen=True):
    """Blocks of a leg's kernel that a case was the first to reach, at a time of the
    monotonic clock."""

    leg: str
    case: bytes
    at: float
    blocks: list[int]


class Coverage(msgspec.Struct, frozen=True, tag=True):
    """What was reached since the last such event."""

    reached: list[Reached]


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """The first case of this worker whose verdict stopped before the last op, and why."""

    why: str
    case: bytes


class Combined(msgspec.Struct, frozen=True, tag=True):
    """Pairs of facts, and triples of the core, that this worker met for the first time: 32-bit
    numbers, little-endian."""

    pairs: bytes
    core: bytes


class Note(msgspec.Struct, frozen=True, tag=True):
    """A line for the event log."""

    text: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot go on: one sentence."""

    reason: str


STOPPED = "stopped"
"""Why a worker is done that was told to end."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """The worker has spent its budget; `sequence` names the cases that it ran, in order."""

    reason: str
    sequence: str = ""


Event = (
    Ready
    | Code
    | Stats
    | Exercised
    | Found
    | Again
    | Akin
    | Retested
    | Broke
    | Restarted
    | Coverage
    | Stopped
    | Combined
    | Note
    | Failed
    | Done
)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Event, dec_hook=lambda _, counts: Counter(counts)).decode


class WorkerConfig(msgspec.Struct, frozen=True):
    """What a worker is to do. `seconds` and `cases`: 0 for no limit. `known`: recorded defects
    leave unjudged what they can spoil; `report_known`: they are reported, too. `due`: a file of
    findings to run again now and then (`fuzz.worker.travel`)."""

    legs: list[str]
    seed: int
    seconds: float
    cases: int
    corpus: str
    flags: list[str] = []
    minimize_seconds: float = 12.0
    known: bool = True
    report_known: bool = True
    kernel_coverage: bool = True
    reuse_vms: bool = False
    feedback: tuple[str, ...] = USUAL
    due: str = ""
    engine: str = "libfuzzer"
    alone: bool = False
    """No other worker writes to the corpus."""
    focus: dict[str, list[tuple[int, int]]] = {}
    """By leg, what to look at most closely (`fuzz.worker.focus`)."""
