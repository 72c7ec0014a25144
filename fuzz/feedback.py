"""The only module that touches atheris's insides: features become libFuzzer counters.

A feature is any hashable fact about an execution (a rule that was used, an errno of an
op in a state, a choice taken, a kernel block). Each gets a counter of its own, taken
from a block reserved before fuzzing starts; when the block is full, new features share
counters by hash.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

COUNTERS = 1 << 14


class Feedback:
    """Reports features of the case being executed to libFuzzer."""

    def __init__(self) -> None:
        import atheris  # noqa: PLC0415 (starts libFuzzer's runtime: only workers want that)

        self._trace = atheris._trace_branch
        self._counters = [atheris._reserve_counter() for _ in range(COUNTERS)]
        self._index: dict[Hashable, int] = {}

    @property
    def seen(self) -> int:
        """Distinct features so far."""
        return len(self._index)

    def report(self, features: Iterable[Hashable]) -> int:
        """Count each feature once for the current case; return how many are new."""
        new = 0
        for feature in features:
            index = self._index.get(feature)
            if index is None:
                new += 1
                index = len(self._index)
                self._index[feature] = index
            self._trace(self._counters[index % COUNTERS])
        return new
