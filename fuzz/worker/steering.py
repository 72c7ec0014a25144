"""What cases are made of: parents that brought something new, and what was least combined.

All that is random comes from one seed, and parents are remembered here. So on legs that
always do the same, the same seed makes the same cases, whatever libFuzzer does meanwhile.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from corpus.case import Case
from corpus.trace import Trace
from fuzz.generate import el2
from fuzz.generate.mutate import crossed_cases, fresh, mutated_case
from fuzz.generate.pairs import Gain, Pairs, one
from fuzz.generate.strangers import NOTHING, Beside, sometimes
from fuzz.generate.strangers import SHARE as DISTURBED
from fuzz.worker.schedules import AIMED, Schedules

POOL = 1024
"""Parents that are remembered."""
FEW = 4
"""Parents that are compared for each choice."""
FRESH, CROSSED = 0.45, 0.15
"""How often a case is new, and how often it is made of two parents."""
NEAR, NEAREST = 0.4, 256
"""How often a case is made of one that came to what the search is to look at most closely, and
how many of those are remembered."""


@dataclass(slots=True)
class _Parent:
    case: Case
    gain: Gain
    features: float
    """New ones, apart from pairs."""
    judged: float = 1.0
    """On what share of the legs it was judged to its end."""
    children: int = 0


@dataclass(slots=True)
class Steering:
    """Counts combinations, remembers the cases that brought something new, makes others."""

    seed: int = 1
    by_pairs: bool = True
    """Whether combinations steer; they are counted in any case."""
    by_schedules: bool = True
    """Whether delays are aimed at what was rarely interrupted; that is counted in any case."""
    schedules: Schedules = field(default_factory=Schedules)
    pairs: Pairs = field(default_factory=Pairs)
    _pool: list[_Parent] = field(default_factory=list)
    _near: list[_Parent] = field(default_factory=list)
    _given: list[tuple[Case, Trace, float, float]] | None = field(default_factory=list)
    """Cases run before the first was made here: the corpus, in whatever order it was read."""
    _rng: random.Random = field(init=False)
    _digest: Any = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._digest = hashlib.sha256()

    @property
    def sequence(self) -> str:
        """Names the sequence of all cases: those of the corpus in order of their ids, then
        the others as they were run. 16 hexadecimal digits."""
        self._begin()
        found: str = self._digest.hexdigest()[:16]
        return found

    def note(
        self,
        case: Case,
        traces: Iterable[Trace],
        features: int,
        near: float = 0.0,
        judged: float = 1.0,
    ) -> None:
        """A case was run; `features`: how many of other kinds none had shown before; `near`: how
        rare what it came to is of what the search is to look at most closely
        (`fuzz.worker.focus`); `judged`: on what share of the legs it was judged to its end."""
        trace = next(iter(traces), Trace(()))
        if self._given is not None:
            self._given.append((case, trace, near, judged))
            return
        self._take(case, trace, features, near, judged)

    def _begin(self) -> None:
        """The corpus is read."""
        given, self._given = self._given, None
        for case, trace, near, judged in sorted(given or (), key=lambda one: one[0].id):
            self._take(case, trace, 1, near, judged)

    def _take(self, case: Case, trace: Trace, features: int, near: float, judged: float) -> None:
        self._digest.update(case.encoded)
        if near:
            self._remember_near(_Parent(case, Gain(), near))
        gain = self.pairs.add(case, trace)
        if not self.by_pairs:
            gain = Gain()
        if not gain.new and not features:
            return
        parent = _Parent(case, gain, features, judged)
        if len(self._pool) < POOL:
            self._pool.append(parent)
            return
        places = [int(self._rng.random() * POOL) for _ in range(FEW)]
        self._pool[min(places, key=lambda at: self._worth(self._pool[at]))] = parent

    def _remember_near(self, parent: _Parent) -> None:
        if len(self._near) < NEAREST:
            self._near.append(parent)
            return
        least = min(range(NEAREST), key=lambda at: _rarity(self._near[at]))
        if _rarity(self._near[least]) < _rarity(parent):
            self._near[least] = parent

    def _worth(self, parent: _Parent) -> float:
        """How rare what a parent brought is by now, the less the more children it has, and the
        less of it is judged: its children mostly come to the same that ends all judging."""
        brought = self.pairs.rarity_of(parent.gain) + parent.features
        return brought * parent.judged**2 / (1 + parent.children)

    def _parent(self) -> Case:
        few = [one(self._rng, self._pool) for _ in range(FEW)]
        chosen = max(few, key=self._worth)
        chosen.children += 1
        return chosen.case

    def child(self, el2_share: float = el2.SHARE, beside: Beside = NOTHING) -> Case:
        """The next case; `el2_share`: how many of the new ones have EL2; `beside`: what can
        go on beside it."""
        self._begin()
        rng, share = self._rng, DISTURBED
        if self.by_schedules and beside.others and self.schedules.begun:
            if rng.random() < AIMED and (aimed := self.schedules.aimed(rng)):
                return aimed
            share = (DISTURBED - AIMED) / (1 - AIMED)
        return sometimes(rng, self._child(el2_share), beside, share)

    def _child(self, el2_share: float) -> Case:
        rng = self._rng
        if self._near and rng.random() < NEAR:
            chosen = max((one(rng, self._near) for _ in range(FEW)), key=_rarity)
            chosen.children += 1
            return mutated_case(chosen.case, rng)
        roll = rng.random()
        if not self._pool or roll < FRESH:
            return fresh(rng, self.pairs if self.by_pairs else None, el2_share)
        if roll < FRESH + CROSSED:
            return crossed_cases(self._parent(), self._parent(), rng)
        return mutated_case(self._parent(), rng)


def _rarity(parent: _Parent) -> float:
    """How rare what it came to was, the less the more children it has."""
    return parent.features / (1 + parent.children)
