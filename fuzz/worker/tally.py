"""The counters of a search, from where they are counted to where they are read."""

from __future__ import annotations

from collections import Counter

import msgspec


class Tally(msgspec.Struct):
    """Totals since a worker started, or of all workers of a campaign. A field is all that a new
    counter needs: it travels, is summed over workers, and stands in the statistics.

    `compared_legs`: cases in which legs were held against each other where the model said
    nothing; `retold`: tellings of cases otherwise that were held against the first.
    `interrupted`: pairs of a stranger's kind and a block of a kernel that it interrupted.
    `not_judged`: by leg, executions whose verdict stopped before the last op;
    `unjudged`: the same by leg and reason, as `LEG: REASON`. `kept`, `cleared`: by leg, how often
    bits that may vanish did not, or did.
    """

    cases: int = 0
    discarded: int = 0
    divergences: int = 0
    infra_errors: int = 0
    restarts: int = 0
    collapsed_sets: int = 0
    compared_legs: int = 0
    retold: int = 0
    features: int = 0
    interrupted: int = 0
    executions: Counter[str] = msgspec.field(default_factory=Counter)
    kept: Counter[str] = msgspec.field(default_factory=Counter)
    cleared: Counter[str] = msgspec.field(default_factory=Counter)
    not_judged: Counter[str] = msgspec.field(default_factory=Counter)
    unjudged: Counter[str] = msgspec.field(default_factory=Counter)
    rules: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another worker's totals. Workers find the same features, so of those the most is
        what there is."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, max(mine, theirs) if name in _SHARED else mine + theirs)


_SHARED = frozenset({"features", "interrupted"})
