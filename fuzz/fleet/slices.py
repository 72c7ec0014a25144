"""What a slice of work is: its kinds, its name, and what a worker must have for it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from db.work import SliceRecord
from targets.kind import KINDS as LEG_KINDS
from targets.kvm.legname import is_lab
from targets.legs import kind_of


class Kind(StrEnum):
    """What is done in a slice."""

    CAMPAIGN = "campaign"  # search for a while
    MERGE = "merge"  # take what brings something new into the corpus
    RETEST = "retest"  # does a finding still show?
    MINIMISE = "minimise"  # a smaller case of a finding
    MATRIX = "matrix"  # how a finding does on every leg
    BISECT = "bisect"  # which commit broke it?
    REPLAY = "replay"  # do kept cases do as recorded?


PRIORITY = {
    Kind.CAMPAIGN: 0,
    Kind.BISECT: 5,
    Kind.MATRIX: 10,
    Kind.MINIMISE: 15,
    Kind.RETEST: 20,
    Kind.MERGE: 30,
    Kind.REPLAY: 40,
}
"""Which kind goes first; a campaign of a kernel that has just appeared is asked for with more."""

SOON = 35
"""The priority of a campaign that somebody waits for."""

MEMORY_MB = {"kvm": 1600, "emulator": 900, "mutant": 700, "model": 700}
"""What a slice with a leg of that kind may take, with all that it starts."""


@dataclass(frozen=True, slots=True)
class Order:
    """A slice as a worker gets it. `finding`: the one that it is about, pickled as the store
    gives it, or nothing; `corpus`: the URL of the corpus; `program`: the version of vcpufuzz that
    asks."""

    id: str
    kind: str
    leg: str
    spec: Mapping[str, Any]
    corpus: str = ""
    finding: Any = None
    program: str = ""


def make(
    kind: Kind,
    leg: str,
    spec: Mapping[str, Any],
    priority: int | None = None,
    key: Sequence[str | int] = (),
) -> SliceRecord:
    """A slice by its content: the same work has the same id. `key`: what it is known by instead,
    where the same work may be put otherwise later."""
    content = [kind.value, *key] if key else [kind.value, leg, spec]
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(plain.encode()).hexdigest()
    return SliceRecord(digest, kind, leg, spec, PRIORITY[kind] if priority is None else priority)


def campaign(
    leg: str, legs: Sequence[str], seed: int, seconds: float, snapshot: str, **more: Any
) -> SliceRecord:
    """A search with a seed, which begins with the corpus of a snapshot; with "" from the seeds."""
    spec = {"legs": list(legs), "seed": seed, "seconds": seconds, "snapshot": snapshot}
    priority = SOON if more else None
    return make(Kind.CAMPAIGN, leg, spec | more, priority)


def arms(legs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By leg under test, the legs of its slices: references take part in all. Where there are
    only references, the first of them is under test."""
    references = [leg for leg in legs if LEG_KINDS[kind_of(leg)].reference]
    tested = [leg for leg in legs if leg not in references] or references[:1]
    return {leg: tuple(dict.fromkeys((*references, leg))) for leg in tested}


_PLACES = ("lab", "arm64-kvm")
"""Machines of which hardly any worker has both."""


def servable(legs: Sequence[str]) -> list[tuple[str, ...]]:
    """The same legs in parts that a worker can serve: those of the lab apart from those of a
    worker's own KVM. What every worker has is in each."""
    needs = {leg: demand([leg]).keys() & set(_PLACES) for leg in legs}
    places = [place for place in _PLACES if any(place in need for need in needs.values())]
    return [
        tuple(leg for leg in legs if needs[leg] <= {place}) for place in places or ("anywhere",)
    ]


def demand(legs: Sequence[str]) -> dict[str, float]:
    """What a worker must have free, in Dask's terms: `lab` for a machine in QEMU, `arm64-kvm`
    for this machine's own KVM, and `memory` in MB."""
    needed: dict[str, float] = {
        "memory": max((MEMORY_MB[kind_of(leg)] for leg in legs), default=MEMORY_MB["model"])
    }
    for leg in legs:
        if kind_of(leg) == "kvm":
            if leg == "kvm:native":
                needed["arm64-kvm"] = 1
            elif leg == "kvm" or is_lab(leg):
                needed["lab"] = 1
    return needed
