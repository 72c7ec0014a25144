"""What a slice brought that no slice of the fleet had brought before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.blocks import ReachedRecord
from db.work import Told
from fuzz.campaign.combinations import met


class Novelty:
    """What the fleet has seen: combinations by leg under test, and blocks by kernel."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self._blocks: dict[str, set[int]] = {}

    def pairs(self, leg: str, statistics: Mapping[str, Any]) -> int:
        """How many pairs, and triples of the core, of a campaign's statistics are new; they are not
        afterwards."""
        told = met(statistics.get("combinations", {}))
        if told is None:
            return 0
        new = 0
        for name, table in zip(told._fields, told, strict=True):
            seen = self._met.setdefault((leg, name), np.zeros_like(table))
            new += int((table & ~seen).sum())
            seen |= table
        return new

    def blocks(self, kernel: str, blocks: Iterable[int]) -> list[int]:
        """The new ones of a kernel's blocks; they are not afterwards."""
        seen = self._blocks.setdefault(kernel, set())
        new = [block for block in dict.fromkeys(blocks) if block not in seen]
        seen.update(new)
        return new

    def of(self, leg: str, told: Told) -> tuple[Told, dict[str, int]]:
        """What a campaign told, with blocks only where they are new, and how much that is. A
        kernel is known by its leg's fingerprint."""
        kernels = {record.name: record.digest for record in told.legs}
        reached: dict[str, list[ReachedRecord]] = {}
        count = 0
        for name, records in told.reached.items():
            for record in records:
                new = self.blocks(kernels.get(name, name), record.blocks)
                if new:
                    count += len(new)
                    reached.setdefault(name, []).append(replace(record, blocks=new))
        brought = {"pairs": self.pairs(leg, told.statistics), "blocks": count}
        return replace(told, reached=reached), brought
