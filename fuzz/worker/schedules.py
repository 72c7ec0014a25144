"""When strangers strike: the blocks of kernels that they interrupted, and delays aimed at those
that few did."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus.case import Case
from corpus.ops import Disturb, Threads
from corpus.wire import DELAY_LIMIT, Stranger
from fuzz.generate.pairs import one
from fuzz.generate.strangers import SHARE as DISTURBED

POOL, FEW = 256, 4
"""Cases that are remembered, and how many are compared for each choice."""
AIMED = DISTURBED / 2
"""How many cases are one of those with another delay: half of those that have a stranger."""
NARROWEST, WIDEST = 4, 14
"""By how much a delay is changed: 2 to the power of these, in ns. A block takes some tens, a
whole entry into the guest some ten thousand."""


def struck(case: Case, interrupted: Mapping[str, Sequence[int]]) -> Iterator[Hashable]:
    """Which kind of stranger interrupted which block, as features of a case; `interrupted`: by
    leg, the blocks after which one came. Of a case without strangers that tells nothing: a
    clock ticks in each."""
    kinds = {Stranger(op.by).name for op in case.ops if isinstance(op, Disturb)}
    if any(isinstance(op, Threads) for op in case.ops):
        kinds.add("THREADS")
    for kind in sorted(kinds):
        for leg, blocks in interrupted.items():
            for block in blocks:
                yield "interrupted", kind, leg, block


@dataclass(slots=True)
class _Parent:
    case: Case
    met: Sequence[Hashable]
    children: int = 0


class Schedules:
    """Counts what was interrupted, and remembers the cases that were first or rarest."""

    def __init__(self) -> None:
        self._seen: Counter[Hashable] = Counter()
        self._pool: list[_Parent] = []

    def note(self, case: Case, met: Sequence[Hashable]) -> int:
        """A case was run, and its strangers met this (`struck`); returns how much of it none had
        met before."""
        if not met:
            return 0
        new = sum(feature not in self._seen for feature in met)
        self._seen.update(met)
        parent = _Parent(case, met)
        if len(self._pool) < POOL:
            self._pool.append(parent)
            return new
        least = min(range(POOL), key=lambda at: self._worth(self._pool[at]))
        if self._worth(self._pool[least]) < self._worth(parent):
            self._pool[least] = parent
        return new

    @property
    def begun(self) -> bool:
        """Whether any stranger struck in a kernel so far."""
        return bool(self._pool)

    def _worth(self, parent: _Parent) -> float:
        """How rare what it met is by now, the less the more children it has."""
        return sum(1 / self._seen[feature] for feature in parent.met) / (1 + parent.children)

    def aimed(self, rng: random.Random) -> Case | None:
        """A case that met something rare, with one of its delays a little longer or shorter."""
        if not self._pool:
            return None
        chosen = max((one(rng, self._pool) for _ in range(FEW)), key=self._worth)
        chosen.children += 1
        ops = list(chosen.case.ops)
        at, op = one(rng, [(i, o) for i, o in enumerate(ops) if isinstance(o, Disturb | Threads)])
        by = int(2 ** rng.uniform(NARROWEST, WIDEST)) * rng.choice((-1, 1))
        ops[at] = replace(op, after=min(max(0, op.after + by), DELAY_LIMIT))
        return replace(chosen.case, ops=tuple(ops))
