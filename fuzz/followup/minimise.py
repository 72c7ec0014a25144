"""Mechanism: keep a change if and only if the case still diverges in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from corpus.case import Case
from fuzz.followup.passes import PASSES, cost

Pass = Callable[[Case], Iterator[Case]]


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
        self.runs = 0

    def minimize(self, case: Case) -> Case:
        """The smallest case found; `case` itself if nothing smaller diverges alike."""
        improved = True
        while improved and not self._spent:
            improved = False
            for propose in PASSES:
                smaller = self._exhaust(case, propose)
                if smaller is not case:
                    case, improved = smaller, True
        return case

    @property
    def _spent(self) -> bool:
        return self._left <= 0 or time.monotonic() > self._deadline

    def _exhaust(self, case: Case, propose: Pass) -> Case:
        """Apply one pass again and again while it makes progress."""
        progress = True
        while progress and not self._spent:
            progress = False
            for candidate in propose(case):
                if self._spent:
                    break
                if cost(candidate) < cost(case) and self._try(candidate):
                    case, progress = candidate, True
                    break
        return case

    def _try(self, candidate: Case) -> bool:
        if candidate.encoded in self._tried:
            return False
        self._tried.add(candidate.encoded)
        self._left -= 1
        self.runs += 1
        return self._still(candidate)
