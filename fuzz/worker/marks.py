"""Features of cases where no libFuzzer wants to know them: counted, and new ones told."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence

SOURCES = ("rules", "kernel", "semantic", "pairs")
"""What can be told without libFuzzer: branches of the model are counted by its instruments."""


class Marks:
    """As `Feedback`, for engines that are told only how much was new."""

    def __init__(self, sources: Sequence[str] = SOURCES) -> None:
        self.sources = frozenset(sources) & frozenset(SOURCES)
        self._features: set[Hashable] = set()
        self._blocks: dict[str, set[int]] = {}
        self.latest = 0
        """New features and blocks of the case reported last."""

    @property
    def seen(self) -> int:
        """Distinct features so far."""
        return len(self._features) + sum(map(len, self._blocks.values()))

    def report(self, features: Iterable[Hashable]) -> int:
        """Count each feature of a case; return how many are new."""
        new = set(features) - self._features
        self._features |= new
        self.latest = len(new)
        return len(new)

    def report_blocks(self, leg: str, blocks: Sequence[int]) -> Sequence[int]:
        """Count kernel blocks of the same case; return those new on `leg`."""
        seen = self._blocks.setdefault(leg, set())
        new = sorted(set(blocks) - seen)
        seen.update(new)
        self.latest += len(new)
        return array("I", new)
