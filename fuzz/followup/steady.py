"""What is chance while the clock runs, where the clock goes by instructions.

Where strangers strike and threads meet, a finding shows in some runs only, and a minimiser that
asks chance takes many runs and keeps what it need not. On a leg whose clock goes by instructions
the same delay does the same again. So such a finding is made small there: a delay is sought that
shows it there, the case is minimised, and then a delay is sought that shows it on the leg itself,
which is what is kept. That leg is booted for it, and only for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from corpus.blocks import has_block
from corpus.case import Case
from corpus.ops import Disturb, Threads
from corpus.wire import Stranger
from fuzz.followup.suspicion import Shown, Suspicion
from fuzz.followup.window import found, with_delay
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
from targets.base import Target
from targets.kvm import legname
from targets.legs import open_leg
from targets.transport import TransportError

ICOUNT = 4
"""The clock in which things come again costs about twice the time."""
COUNTED_RUNS = 10
"""How often a finding is run to tell how often it shows, with either clock, at most."""
ALIKE_RUNS = 2
"""What comes again shows in one of so many: where a tick of the clock falls is still chance."""
RUNS_EACH = 20
"""For each of these a minimiser may make so many runs: where each costs a restart, they are few."""

Shows: TypeAlias = Callable[[Case], bool]
"""Whether a case shows it."""
StandIn: TypeAlias = Callable[[str, Case], AbstractContextManager[Target | None]]
"""From a leg's name, and a case, to the leg that stands in for it, under its name; None where none
can."""


@contextmanager
def no_stand_in(_name: str, _case: Case) -> Iterator[None]:
    """No leg has its like with another clock."""
    yield None


@contextmanager
def stand_in(name: str, case: Case) -> Iterator[Target | None]:
    """A leg of the lab on a machine whose clock goes by instructions, while it is wanted."""
    steady = steady_name(name, case)
    if steady is None:
        yield None
        return
    try:
        leg = open_leg(steady)
    except TransportError:
        yield None
        return
    with leg:
        leg.name = name
        yield leg


def steady_name(name: str, case: Case) -> str | None:
    """The leg like `name` whose clock goes by instructions; None if it is no leg of the lab, or has
    such a clock itself. QEMU then runs its CPUs in turn, each for a long while, so two threads
    meet on one CPU, where the second comes before the first when its time is there."""
    if not name.startswith("kvm:") or not legname.is_lab(name):
        return None
    spec = legname.parse(name)
    if spec.icount is not None:
        return None
    moves = any(isinstance(op, Disturb) and op.by == Stranger.MOVE for op in case.ops)
    meet = any(isinstance(op, Threads) for op in case.ops)
    return replace(spec, icount=ICOUNT, smp=1 if meet and not moves else spec.smp).name


@dataclass(frozen=True, slots=True)
class Often:
    """In how many of how many runs something shows."""

    seen: int
    runs: int

    def __str__(self) -> str:
        return f"{self.seen} of {self.runs}"


@dataclass(frozen=True, slots=True)
class Steadied:
    """What came of it: what is left, where that is less, and how often it shows."""

    shown: Shown | None
    told: str


def steadied(
    suspicion: Suspicion,
    legs: Everywhere,
    steady: Everywhere,
    minimal: Callable[[Suspicion, Shows], Case],
) -> Steadied:
    """Make the case of `suspicion` small on `steady`, if it shows there, so that it still shows on
    `legs`; `minimal` is the smallest case that it finds of those that show it. Few runs tell, where
    runs are alike. Raises TransportError."""

    def comes_again(case: Case) -> bool:
        return any(often(suspicion, case, steady, 1).seen for _ in range(ALIKE_RUNS))

    there = relocated(suspicion.case, comes_again)
    if there is None:
        return Steadied(None, _told(often(suspicion, suspicion.case, legs), None))
    settled = suspicion.settle(there, steady)
    small = minimal(suspicion.at(settled), comes_again) if settled else there
    here = relocated(small, lambda case: suspicion.shows(case, legs))
    shown = suspicion.settle(here, legs) if here else None
    kept = here if here and shown else suspicion.case
    return Steadied(shown, _told(often(suspicion, kept, legs), often(suspicion, small, steady)))


def relocated(case: Case, shows: Shows) -> Case | None:
    """The case with a delay of one of its strangers, or its second thread, that shows it."""
    for at, op in enumerate(case.ops):
        if not has_block(op):
            continue
        delay = found(partial(_shows_at, case, at, shows), op.after)
        if delay is not None:
            return with_delay(case, at, delay)
    return None


def _shows_at(case: Case, at: int, shows: Shows, delay: int) -> bool:
    return shows(with_delay(case, at, delay))


def often(suspicion: Suspicion, case: Case, legs: Everywhere, runs: int = 0) -> Often:
    """In how many runs a case shows it; 0: of as many as are worth their time. Raises
    TransportError."""
    runs = runs or min(COUNTED_RUNS, suspicion.runs // RUNS_EACH)
    name, leg = suspicion.name, legs.leg(suspicion.name)
    verdicts = (legs.judge_one(case, name, leg.run(case)) for _ in range(runs))
    return Often(sum(alike(verdict, suspicion.verdict) for verdict in verdicts), runs)


def _told(running: Often, counting: Often | None) -> str:
    by_instructions = f"in {counting}" if counting else "at no delay"
    return f"shows in {running} runs with the clock running, and {by_instructions} by instructions"
