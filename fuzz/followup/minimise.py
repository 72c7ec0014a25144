"""Mechanism: keep a change if and only if the case still diverges in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from corpus.case import Case
from fuzz.followup.passes import PASSES, is_simpler

Pass = Callable[[Case], Iterator[Case]]
T = TypeVar("T")


def backwards(smaller: Sequence[T]) -> Iterator[T]:
    """Of cases, each of which came of the one before it, the last, and by steps back that double
    earlier ones, to the first."""
    back = step = 1
    while back < len(smaller):
        yield smaller[-back]
        back += step
        step *= 2
    yield from smaller[:1]


@dataclass(slots=True)
class ShrinkPass:
    """One way to make cases smaller, and what came of it: `calls`, cases that were run for it,
    and `successes`, those that still diverged. A pass that never succeeds costs for nothing."""

    propose: Pass
    calls: int = 0
    successes: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.propose.__name__.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.name} {self.successes}/{self.calls}"


class Minimizer:
    """Runs the passes, cheapest gains first, until none helps or the budget is spent.

    `still` tells whether a candidate diverges as the original does; it is asked at
    most `max_runs` times and not after `seconds` have passed.
    """

    def __init__(self, still: Callable[[Case], bool], max_runs: int, seconds: float) -> None:
        self._still = still
        self._left = max_runs
        self._deadline = time.monotonic() + seconds
        self._tried: set[bytes] = set()
        self.passes = tuple(ShrinkPass(propose) for propose in PASSES)

    @property
    def runs(self) -> int:
        """Cases that were run, by all passes together."""
        return sum(one.calls for one in self.passes)

    def fewer_ops(self, case: Case) -> Case:
        """The same with as few ops as leaving some out comes to: where `minimize` begins."""
        return self._exhaust(case, self.passes[0])

    def minimize(self, case: Case) -> Case:
        """The smallest case found; `case` itself if nothing smaller diverges alike."""
        improved = True
        while improved:
            improved = False
            for one in self.passes:
                smaller = self._exhaust(case, one)
                if smaller is not case:
                    case, improved = smaller, True
        return case

    @property
    def _spent(self) -> bool:
        return self._left <= 0 or time.monotonic() > self._deadline

    def _exhaust(self, case: Case, one: ShrinkPass) -> Case:
        """Apply one pass again and again while it makes progress."""
        progress = True
        while progress:
            progress = False
            for candidate in one.propose(case):
                if self._spent:
                    return case
                if is_simpler(candidate, case) and self._try(candidate, one):
                    case, progress = candidate, True
                    break
        return case

    def _try(self, candidate: Case, one: ShrinkPass) -> bool:
        if candidate.encoded in self._tried:
            return False
        self._tried.add(candidate.encoded)
        self._left -= 1
        one.calls += 1
        shows = self._still(candidate)
        one.successes += shows
        return shows
