"""Why did the machine break? The case alone, then with what ran before it, in fresh machines.

A machine that serves many cases can break of what an earlier one left behind. So when the
case alone does nothing, the cases before it are run again in order, and the shortest run of
them that still breaks the machine is sought by halves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corpus.case import Case
from corpus.fault import Fault
from corpus.trace import Ending, Trace
from fuzz.followup.suspicion import runs_of
from targets.base import Ran, Target

ALONE_RUNS = 3
HISTORY_RUNS = 2
SECONDS = 45.0
"""For all tries together; each kind of try is made at least once."""

Shows = Callable[[Sequence[Ran]], bool]


@dataclass(frozen=True, slots=True)
class Inquest:
    """What came out: the fault showed again `seen` of `tried` times, after `preceding` in a
    fresh machine (nothing: the case alone does it). If it never showed, `preceding` is all
    that the machine had run. `trace`: the latest one that shows the fault."""

    seen: int
    tried: int
    preceding: tuple[Ran, ...]
    trace: Trace


def inquire(
    leg: Target, case: Case, trace: Trace, preceding: Sequence[Ran], seconds: float = SECONDS
) -> Inquest:
    """Investigate the bad ending `trace` that `case` had on `leg`. Raises TransportError."""
    first = trace.fault
    assert first is not None
    inquiry = _Inquiry(leg, case, trace, first, time.monotonic() + seconds)
    alone = inquiry.count((), ALONE_RUNS * runs_of(case), enough=ALONE_RUNS)
    if alone or not first.of_guest:
        return Inquest(alone, inquiry.tried, (), inquiry.trace)
    everything = tuple(preceding)
    if not everything or not inquiry.count(everything, HISTORY_RUNS, enough=1):
        return Inquest(0, inquiry.tried, everything, trace)
    shortest = shortest_suffix(everything, inquiry.shows_in_time)
    inquiry.tried = 0
    seen = inquiry.count(shortest, ALONE_RUNS - 1)
    # The run that led here showed it, too.
    return Inquest(seen + 1, inquiry.tried + 1, shortest, inquiry.trace)


def shortest_suffix(sequence: tuple[Ran, ...], shows: Shows) -> tuple[Ran, ...]:
    """The shortest end of `sequence` for which `shows` still holds; it holds for all of it.

    What holds for an end is taken to hold for every longer one, which asks log2 times.
    """
    too_short, enough = 0, len(sequence)
    while enough - too_short > 1:
        middle = (too_short + enough) // 2
        if shows(sequence[len(sequence) - middle :]):
            enough = middle
        else:
            too_short = middle
    return sequence[len(sequence) - enough :]


def run_after(leg: Target, preceding: Sequence[Ran], case: Case) -> Trace:
    """The trace of `case` after others in a fresh machine; of an earlier one if that ends
    badly. Raises TransportError."""
    leg.restart()
    for ran in preceding:
        trace = _run(leg, ran)
        if trace.ending is not Ending.OK:
            return trace
    # As in the run that broke: where cases shared VMs, this one did, too.
    return _run(leg, Ran(case, any(ran.shared for ran in preceding)))


def _run(leg: Target, ran: Ran) -> Trace:
    submit = leg.submit_shared if ran.shared else leg.submit
    return leg.collect(submit(ran.case))


@dataclass(slots=True)
class _Inquiry:
    leg: Target
    case: Case
    trace: Trace
    fault: Fault
    deadline: float
    tried: int = 0

    def count(self, preceding: Sequence[Ran], runs: int, enough: int = 0) -> int:
        """How often the fault shows in `runs` tries, fewer when time is up or at `enough`."""
        seen = 0
        for number in range(runs):
            if number and time.monotonic() > self.deadline:
                return seen
            seen += self._shows(preceding)
            if enough and seen >= enough:
                return seen
        return seen

    def shows_in_time(self, preceding: Sequence[Ran]) -> bool:
        """Whether the fault shows; no more when time is up, which keeps what is known."""
        return time.monotonic() <= self.deadline and self._shows(preceding)

    def _shows(self, preceding: Sequence[Ran]) -> bool:
        self.tried += 1
        trace = run_after(self.leg, preceding, self.case)
        if trace.fault is None or not trace.fault.is_like(self.fault):
            return False
        self.trace = trace
        return True
