"""The only module that touches atheris's insides: features become libFuzzer counters.

A feature is any hashable fact about an execution (a rule that was used, an errno of an
op in a state, a choice taken, a kernel block). Each gets a counter of its own, taken
from a block reserved before fuzzing starts; when the block is full, new features share
counters by hash.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

COUNTERS = 1 << 14
BLOCKS = 1 << 16
"""Counters for kernel blocks, of all legs together."""

SOURCES = ("model", "rules", "kernel", "semantic", "pairs", "schedules")
"""What a search may be steered by: the model's branches, the rules that it used, blocks of the
kernels, how ops ended in which part of a life and what choices a leg made, combinations, and
which block which stranger interrupted."""
USUAL = tuple(source for source in SOURCES if source != "model")
"""What steers where nobody says otherwise. The model's branches brought nothing that was seen: of
100 drawn defects as many were found with them as without (`vcpufuzz bench --ablation`)."""


class Feedback:
    """Reports features of the case being executed to libFuzzer, as far as they are of one of
    `sources`. Branches of instrumented modules are gathered until then: they are features,
    too, and libFuzzer is told of each once per case."""

    def __init__(self, sources: Sequence[str] = SOURCES) -> None:
        import atheris  # noqa: PLC0415 (starts libFuzzer's runtime: only workers want that)

        self.sources = frozenset(sources)
        self._atheris: Any = atheris
        self._branches: list[int] = []
        self._gather = self._branches.append
        self._branches_seen: set[int] = set()
        self._listen()
        self._counters = [atheris._reserve_counter() for _ in range(COUNTERS)]
        self._index: dict[Hashable, int] = {}
        self._blocks: BlockCounters | None = None

    def _listen(self) -> None:
        """Take the place of the function that tells libFuzzer of a branch: instrumented code looks
        it up each time. atheris.Fuzz puts another one there, and the one before tells nobody."""
        self._trace: Callable[[int], None] = self._atheris._trace_branch
        self._installed = self._gather if "model" in self.sources else self._trace
        self._atheris._trace_branch = self._installed

    @property
    def seen(self) -> int:
        """Distinct features so far."""
        branches = len(self._branches_seen)
        return len(self._index) + branches + (self._blocks.seen if self._blocks else 0)

    def report(self, features: Iterable[Hashable]) -> int:
        """Count each feature once for the current case; return how many are new."""
        if self._atheris._trace_branch is not self._installed:
            self._listen()
        new = self._report_branches() if "model" in self.sources else 0
        for feature in features:
            index = self._index.get(feature)
            if index is None:
                new += 1
                index = len(self._index)
                self._index[feature] = index
            self._trace(self._counters[index % COUNTERS])
        return new

    def _report_branches(self) -> int:
        taken = set(self._branches)
        self._branches.clear()
        new = taken - self._branches_seen
        self._branches_seen |= new
        for branch in sorted(taken):
            self._trace(branch)
        return len(new)

    def report_blocks(self, leg: str, blocks: Sequence[int]) -> Sequence[int]:
        """Count each kernel block of the current case once; return those new on `leg`."""
        if self._blocks is None:
            # Not before the first case: this loads libFuzzer, which looks for custom mutators
            # only while it is loaded, and atheris.Fuzz provides those first.
            self._blocks = BlockCounters()
        return self._blocks.count(leg, blocks)


class BlockCounters:
    """Kernel blocks as libFuzzer counters. A case has thousands of them, too many to go
    through Python one by one: libFuzzer reads an array that numpy writes."""

    def __init__(self) -> None:
        import atheris.core_with_libfuzzer  # noqa: PLC0415

        runtime = ctypes.CDLL(atheris.core_with_libfuzzer.__file__)
        self._counters = np.zeros(BLOCKS, np.uint8)
        # libFuzzer wants (address, flags) per counter and tells blocks apart by the address.
        self._places = np.zeros((BLOCKS, 2), np.uintp)
        self._places[:, 0] = np.arange(1, BLOCKS + 1)
        for init, table in (
            (runtime["__sanitizer_cov_8bit_counters_init"], self._counters),
            (runtime["__sanitizer_cov_pcs_init"], self._places),
        ):
            begin = table.ctypes.data
            init(ctypes.c_void_p(begin), ctypes.c_void_p(begin + table.nbytes))
        self._numbers: dict[str, np.ndarray] = {}
        self.seen = 0

    def count(self, leg: str, blocks: Sequence[int]) -> Sequence[int]:
        """Mark `blocks` as reached; return those that `leg` had not reached before."""
        places = np.asarray(blocks, np.uint32) >> 2  # instructions are 4 bytes
        if not places.size:
            return ()
        numbers = self._numbers_of(leg, int(places.max()))
        fresh = places[numbers[places] == 0]
        if fresh.size:
            numbers[fresh] = np.arange(self.seen + 1, self.seen + 1 + fresh.size)
            self.seen += fresh.size
        self._counters[numbers[places] % BLOCKS] = 1
        return array("I", (fresh << 2).astype(np.uint32).tobytes())

    def _numbers_of(self, leg: str, highest: int) -> np.ndarray:
        """Per instruction of a leg's kernel, the number of the block there, or 0."""
        numbers = self._numbers.get(leg)
        if numbers is None or len(numbers) <= highest:
            # Zeros that nobody touches cost no memory.
            grown = np.zeros(max(1 << 23, highest * 2), np.uint32)
            if numbers is not None:
                grown[: len(numbers)] = numbers
            self._numbers[leg] = numbers = grown
        return numbers
