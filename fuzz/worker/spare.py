"""What a worker does with a little of its time: run stored findings again whose turn it is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from db.records import FindingView, RetestRecord
from fuzz.oracle.conformance import ENDING

SHARE = 0.05
"""Of a worker's time, at most."""
AGAIN_S = 6 * 3600.0
"""How long a bucket rests until it is run again."""
BREAKS_S = 90.0
"""What has to be left of the time for a case that breaks its machine: it may hang."""


@dataclass(frozen=True, slots=True)
class Due:
    """A finding whose turn it is, and the legs by name on which its bucket shows."""

    finding: FindingView
    legs: tuple[str, ...]


class Spare:
    """Takes `due` findings one after the other, as `run` does, which returns nothing where none
    of the legs is there, and has `tell` say how they did. It never takes more than SHARE of the
    time, nor begins what may outlast `deadline`, a moment of the monotonic clock."""

    def __init__(
        self,
        due: Sequence[Due],
        run: Callable[[Due], Sequence[RetestRecord]],
        tell: Callable[[int, Sequence[RetestRecord]], None],
        deadline: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._tell, self._deadline, self._now = run, tell, deadline, now
        self._began = now()
        self._spent = 0.0
        self._queue = deque((self._began, one) for one in due)

    def turn(self) -> None:
        """Run one again, if there is one and time for it. Raises TransportError."""
        now = self._now()
        if not self._queue or self._spent > SHARE * (now - self._began):
            return
        moment, due = self._queue[0]
        if now < moment:
            return
        self._queue.rotate(-1)
        if due.finding.oracle == ENDING and self._deadline - now < BREAKS_S:
            return
        self._queue[-1] = now + AGAIN_S, due
        records = self._run(due)
        if records:
            self._tell(due.finding.id, records)
        self._spent += self._now() - now
