"""What a search is to look at most closely: ranges of kernels, such as what a patch changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Ranges = Sequence[tuple[int, int]]
"""(begin, end) in bytes from the start of a kernel's text."""


class Focus:
    """Counts how often each block inside was reached."""

    def __init__(self, ranges: Mapping[str, Ranges]) -> None:
        """`ranges` by leg, ascending and apart from each other."""
        self._bounds = {
            leg: np.asarray([edge for pair in sorted(pairs) for edge in pair], np.uint32)
            for leg, pairs in ranges.items()
        }
        self._seen: dict[tuple[str, int], int] = {}

    def near(self, leg: str, blocks: Sequence[int]) -> float:
        """How rare the blocks inside are that a case came to: the sum, over them, of one through
        how often each was reached with this. 0 if it came to none."""
        bounds = self._bounds.get(leg)
        if bounds is None or not len(bounds) or not len(blocks):
            return 0.0
        places = np.asarray(blocks, np.uint32)
        inside = places[np.searchsorted(bounds, places, side="right") & 1 == 1]
        rarity = 0.0
        for block in inside.tolist():
            count = self._seen.get((leg, block), 0) + 1
            self._seen[leg, block] = count
            rarity += 1 / count
        return rarity
