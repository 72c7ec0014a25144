"""What a case brings, on legs: what a campaign steers by, as a set that can be compared."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence

import numpy as np

from corpus.case import Case
from corpus.trace import Trace
from fuzz.generate.pairs import Pairs
from fuzz.oracle.everywhere import Everywhere
from fuzz.worker.features import features_of, rules_of
from targets.base import Target
from targets.kind import KINDS

SOURCES = ("rules", "semantic", "pairs", "kernel")
"""As `--feedback` calls them; branches of the model have no names that last."""


class Bringing:
    """Runs cases on `legs` and tells their features of the wanted `sources`."""

    def __init__(self, legs: Sequence[Target], sources: Collection[str] = SOURCES) -> None:
        self._everywhere = Everywhere(legs)
        self._legs = [leg for leg in legs if not KINDS[leg.kind].reference] or list(legs)
        self._sources = frozenset(sources)

    def fits(self, case: Case) -> bool:
        """Whether the legs have the vector length that a case takes."""
        return bool(case.ops) and all(case.min_vq <= leg.profile.max_vq for leg in self._legs)

    def of(self, case: Case) -> frozenset[Hashable]:
        """All that a case brings. Raises TransportError."""
        traces: dict[str, Trace] = {}
        blocks: set[Hashable] = set()
        for leg in self._legs:
            traces[leg.name] = leg.run(case)
            blocks.update((leg.name, block) for block in leg.blocks)
        verdicts = {n: self._everywhere.judge_one(case, n, t) for n, t in traces.items()}
        found: set[Hashable] = set()
        if "rules" in self._sources:
            found.update(rules_of(verdicts))
        if "semantic" in self._sources:
            found.update(features_of(case, traces, verdicts))
        if "pairs" in self._sources:
            found.update(_pairs(case, next(iter(traces.values()))))
        if "kernel" in self._sources:
            found |= blocks
        return frozenset(found)


def _pairs(case: Case, trace: Trace) -> Iterator[Hashable]:
    """Combinations, and instruction forms with what they were executed with."""
    pairs = Pairs()
    pairs.add(case, trace)
    for name, table in (("pair", pairs.counts), ("form", pairs.forms)):
        for place in np.flatnonzero(table):
            yield name, int(place)
