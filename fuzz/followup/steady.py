"""What is chance while the clock runs, where the clock goes by instructions.

Where strangers strike and threads meet, a finding shows in some runs only, and a minimiser that
asks chance takes many runs and keeps what it need not. On a leg whose clock goes by instructions
the same delay does the same again. So such a finding is made small there: a delay is sought that
shows it there, the case is minimised, and then a delay is sought that shows it on the leg itself,
which is what is kept; the one that shows it there is told. That leg is booted for it, and only for
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TypeAlias

from corpus.blocks import has_block
from corpus.case import Case
from corpus.ops import Disturb, Threads
from corpus.wire import Stranger
from fuzz.followup.minimise import backwards
from fuzz.followup.surer import TIMES, Told, ways
from fuzz.followup.suspicion import Shown, Suspicion
from fuzz.followup.window import ENOUGH, delays_about, timing_of, with_delay
from fuzz.oracle.attribution import akin, alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.kvm import legname
from targets.legs import open_leg
from targets.transport import TransportError

ICOUNT = 4
"""The clock in which things come again costs about twice the time."""
COUNTED_RUNS = 20
"""How often a finding is run to tell how often it shows, with either clock, at most."""
SURE_RUNS = 5
"""What comes again shows in each of so many."""
BOOTS = 2
"""In how many fresh machines: what is by chance so in one of them from its boot on is in all of its
runs."""
TRIES = 3
"""Delays of a case that show it in SURE_RUNS runs, of which more runs are counted, at most."""
FEW = 16
"""Delays that are tried of a case that is done many times in a row, which takes as much longer."""
MOST_BROKEN = 5
"""How often a machine may break by instructions, where what is sought did not show."""
ALIKE_RUNS = 2
"""What seldom comes again shows in one of so many: what a kernel does in the background is chance.
"""
RUNS_EACH = 20
"""For each of these a minimiser may make so many runs: where those are dear, they are few."""
RESTARTS = 3
"""How often it is run where each time that it shows costs a restart, be that after a line in the
kernel's log alone: twenty of them took longer than all else."""

Shows: TypeAlias = Callable[[Case], bool]
"""Whether a case shows it."""
StandIns: TypeAlias = Callable[[str, Case], Iterable[AbstractContextManager[Target | None]]]
"""From a leg's name, and a case, to the legs that may stand in for it, under its name, one after
the other; None for one that cannot be had."""


def no_stand_ins(_name: str, _case: Case) -> Iterable[AbstractContextManager[Target | None]]:
    """No leg has its like with another clock."""
    return ()


def stand_ins(name: str, case: Case) -> Iterator[AbstractContextManager[Target | None]]:
    """Legs of the lab on a machine whose clock goes by instructions, while they are wanted."""
    return (_opened(steady, name) for steady in steady_names(name, case))


@contextmanager
def _opened(steady: str, name: str) -> Iterator[Target | None]:
    try:
        leg = open_leg(steady)
    except TransportError:
        yield None
        return
    with leg:
        leg.name = name
        yield leg


def steady_names(name: str, case: Case) -> list[str]:
    """The legs like `name` whose clock goes by instructions, the most like it first; none if it is
    no leg of the lab, or has such a clock itself. QEMU then runs its CPUs in turn, each until a
    timer is due. Where two threads did not meet in that way they may on one CPU, where the second
    comes before the first when its time is there."""
    if not name.startswith("kvm:") or not legname.is_lab(name):
        return []
    spec = legname.parse(name)
    if spec.icount is not None:
        return []
    moves = any(isinstance(op, Disturb) and op.by == Stranger.MOVE for op in case.ops)
    meet = any(isinstance(op, Threads) for op in case.ops)
    cpus = [spec.smp, *([1] if meet and not moves and spec.smp > 1 else [])]
    return [replace(spec, icount=ICOUNT, smp=smp).name for smp in cpus]


@dataclass(frozen=True, slots=True)
class Often:
    """In how many of how many runs something shows."""

    seen: int
    runs: int

    @property
    def part(self) -> float:
        """Of the runs."""
        return self.seen / self.runs

    def __str__(self) -> str:
        return f"{self.seen} of {self.runs}"


@dataclass(frozen=True, slots=True)
class Steadied:
    """What came of it: what is left, where that is less, and what it is a suspicion of; what showed
    it by instructions, if anything did, and how often, in which telling, or why nothing did."""

    shown: Shown | None
    suspicion: Suspicion
    there: Shown | None = None
    small: Told | None = None
    often: Often | None = None
    why: str = ""

    @property
    def again(self) -> bool:
        """Whether it shows by instructions."""
        return self.there is not None

    def told(self, running: Often, kept: Case) -> str:
        """How often it shows with either clock: `running` of the case that is `kept`."""
        seen = f"shows in {running} runs with the clock running"
        if self.small is None:
            return f"{seen}, {self.why}"
        times = _told_times(kept, self.small.case)
        if times is None:
            return f"{seen}, and another case in {self.often} by instructions"
        after = ",".join(map(str, delays(self.small.case)))
        when = f", after={after}" if after else ""
        row = self.small.row if times == 1 else f", done {_times(self.small.times)}"
        return f"{seen}, and in {self.often} by instructions{when}{row}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times in a row"


def _told_times(kept: Case, small: Case) -> int | None:
    """How often in a row a case does what another one does once, but for delays; None: it does
    something else."""
    return next((n for n in (1, *TIMES) if _shape(Told(small, n).whole) == _shape(kept)), None)


def _shape(case: Case) -> Case:
    ops = (replace(op, after=0) if has_block(op) else op for op in case.ops)
    return replace(case, ops=tuple(ops))


class _Breaks(Exception):
    """By instructions it shows something else, which breaks the machine."""


class _Counting:
    """Runs of tellings on a leg whose clock goes by instructions."""

    def __init__(self, suspicion: Suspicion, steady: Everywhere) -> None:
        self._suspicion, self._steady = suspicion, steady
        self._shows = self._broke = 0
        self.akin: list[Diverge] = []
        """What else it showed that is about the same."""

    def once(self, told: Told) -> bool:
        """Whether one shows it. Raises _Breaks, if all that shows is something else."""
        name, case = self._suspicion.name, told.whole
        verdict = self._steady.judge_one(case, name, self._steady.leg(name).run(case))
        shows = alike(verdict, self._suspicion.verdict)
        self._shows += shows
        if not shows and akin(verdict, self._suspicion.verdict):
            self.akin.append(verdict)
        self._broke += not shows and isinstance(verdict, Diverge) and verdict.fault is not None
        if self._broke >= MOST_BROKEN and not self._shows:
            raise _Breaks(f"{verdict.fault}" if isinstance(verdict, Diverge) else "")
        return shows

    def surely(self, told: Told) -> bool:
        """Whether one shows it each time."""
        return all(self.once(told) for _ in range(SURE_RUNS))

    def seldom(self, told: Told) -> bool:
        """Whether one shows it at all."""
        return any(self.once(told) for _ in range(ALIKE_RUNS))

    def counted(self, told: Told) -> Often:
        """How often one shows it, in fresh machines: in one of them its runs are much alike."""
        runs = _worth(self._suspicion)
        if self._suspicion.restarts:
            return often(self._suspicion, told.whole, self._steady, runs)
        seen = 0
        for part in shares(runs):
            self._steady.leg(self._suspicion.name).restart()
            seen += often(self._suspicion, told.whole, self._steady, part).seen
        return Often(seen, runs)


def steadied(
    suspicion: Suspicion,
    legs: Everywhere,
    steady: Everywhere,
    minimise: Callable[[Suspicion, Shows], None],
    seen: bool = True,
) -> Steadied:
    """Make the case of `suspicion` small on `steady`, if it shows there, so that it still shows on
    `legs`; `minimise` asks of ever smaller cases whether they show it. Few runs tell, where runs
    are alike; what never showed on `legs` again is sought on `steady` alone. Raises
    TransportError."""
    counting = _Counting(suspicion, steady)
    try:
        sure = surest_of(ways(suspicion.case), counting.surely, counting.counted)
        if sure is None:
            suspicion, counting, sure = _akin(suspicion, counting, steady)
        there = sure or next(relocations(Told(suspicion.case), counting.seldom), None)
    except _Breaks as why:
        return Steadied(None, suspicion, why=f"and by instructions its machine breaks: {why}")
    settled = suspicion.settle(there.whole, steady) if there else None
    if there is None or settled is None:
        return Steadied(None, suspicion, why="and at no delay by instructions")
    smaller = [there]

    def comes_again(case: Case) -> bool:
        told = smaller[0].at(case)
        if not (counting.surely if sure else counting.seldom)(told):
            return False
        smaller.append(told)
        return True

    minimise(suspicion.at(replace(settled, case=there.case)), comes_again)
    small = last_sure(smaller, counting.counted) if sure else smaller[-1]
    if _worth(suspicion) >= COUNTED_RUNS:
        small = centred(suspicion, small, steady)
    small, steadily = fewest(small, counting.counted)
    by_instructions = suspicion.settle(small.whole, steady) or settled
    shown = _here(suspicion, small.case, legs) if seen else None
    return Steadied(shown, suspicion, by_instructions, small, steadily)


def _akin(
    suspicion: Suspicion, counting: _Counting, steady: Everywhere
) -> tuple[Suspicion, _Counting, Told | None]:
    """What is about the same and shows surely, where there is such: what spoils one register of
    some spoils another one in other company."""
    for verdict in counting.akin[:1]:
        other = suspicion.akin(verdict)
        if other:
            found = _Counting(other, steady)
            sure = surest_of(ways(other.case), found.surely, found.counted)
            if sure:
                return other, found, sure
    return suspicion, counting, None


def _here(suspicion: Suspicion, small: Case, legs: Everywhere) -> Shown | None:
    """The small case with a delay that shows it while the clock runs, done as often in a row as it
    takes, if that does."""
    hints = delays(suspicion.case)
    for times in (1, TIMES[1], TIMES[-1]):
        told = Told(small, times)
        moved = relocations(told, lambda each: suspicion.shows(each.whole, legs), hints)
        here = next(moved, None)
        shown = suspicion.settle(here.whole, legs) if here else None
        if shown:
            return shown
    return None


def surest_of(
    tellings: Iterable[Told], surely: Callable[[Told], bool], counted: Callable[[Told], Often]
) -> Told | None:
    """Of tellings, with a delay at which `surely` says so, the first that shows it in nearly all
    runs, or the one that shows it in most."""
    best: tuple[float, Told] | None = None
    for telling in tellings:
        for there in islice(relocations(telling, surely), TRIES):
            part = counted(there).part
            if best is None or part > best[0]:
                best = part, there
            if part >= ENOUGH:
                return there
    return best[1] if best else None


def last_sure(smaller: Sequence[Told], counted: Callable[[Told], Often]) -> Told:
    """Of cases, each of which came of the one before it, the last that shows it in nearly all runs,
    as far as steps back tell that double: few runs each do not keep a case from becoming rarer
    little by little. Where none does, the one that shows it in most."""
    best: tuple[float, Told] | None = None
    for told in backwards(smaller):
        part = counted(told).part
        if best is None or part > best[0]:
            best = part, told
        if part >= ENOUGH:
            break
    assert best is not None
    return best[1]


def fewest(told: Told, counted: Callable[[Told], Often]) -> tuple[Told, Often]:
    """The case, done as few times in a row as show it in nearly all runs, or as show it in most;
    and how often they do."""
    best: tuple[Told, Often] | None = None
    for times in (1, *TIMES):
        other = replace(told, times=times)
        if best and other.whole == best[0].whole:
            break
        often = counted(other)
        if best is None or often.part > best[1].part:
            best = other, often
        if often.part >= ENOUGH:
            break
    assert best is not None
    return best


def centred(suspicion: Suspicion, told: Told, steady: Everywhere) -> Told:
    """The case with delays far from where it would show no more. Raises TransportError."""
    verdict, case = suspicion.verdict, told.case
    for at, op in enumerate(case.ops):
        if not has_block(op):
            continue
        timing = timing_of(steady, case, at, verdict, COUNTED_RUNS, SURE_RUNS, told.as_told)
        if timing:
            case = with_delay(case, at, timing.delay)
    return told.at(case)


def shares(runs: int) -> list[int]:
    """How many of so many runs are made in each of a few fresh machines."""
    return [runs - runs // BOOTS * (BOOTS - 1), *[runs // BOOTS] * (BOOTS - 1)]


def delays(case: Case) -> list[int]:
    """Of its strangers and second threads, in ns."""
    return [op.after for op in case.ops if has_block(op)]


def relocations(
    told: Told, shows: Callable[[Told], bool], hints: Sequence[int] = ()
) -> Iterator[Told]:
    """The case with delays of one of its strangers, or its second thread, that show it, about the
    `hints`, in ns, and what it is."""
    case = told.case
    for at, op in enumerate(case.ops):
        if not has_block(op):
            continue
        most = None if told.times <= TIMES[0] else FEW
        about = (islice(delays_about(hint), most) for hint in (*hints, op.after))
        each = dict.fromkeys(chain.from_iterable(about))
        yield from filter(shows, (told.at(with_delay(case, at, delay)) for delay in each))


def often(suspicion: Suspicion, case: Case, legs: Everywhere, runs: int = 0) -> Often:
    """In how many runs a case shows it; 0: of as many as are worth their time. Raises
    TransportError."""
    runs = runs or _worth(suspicion)
    name, leg = suspicion.name, legs.leg(suspicion.name)
    verdicts = (legs.judge_one(case, name, leg.run(case)) for _ in range(runs))
    return Often(sum(alike(verdict, suspicion.verdict) for verdict in verdicts), runs)


def _worth(suspicion: Suspicion) -> int:
    """How many runs it is worth to tell how often it shows."""
    return RESTARTS if suspicion.restarts else min(COUNTED_RUNS, suspicion.runs // RUNS_EACH)
