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
from functools import partial
from typing import TypeAlias

from corpus.blocks import has_block
from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.system import HVC_LOOP, WFI_LOOP
from corpus.isa.table import insn
from corpus.ops import Disturb, Run, Threads
from corpus.wire import Stranger
from fuzz.followup.minimise import backwards
from fuzz.followup.suspicion import Shown, Suspicion
from fuzz.followup.window import found, timing_of, with_delay
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
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
ENOUGH = 0.95
"""In which part of the runs something has to show, that no other way to show it is sought."""
ALIKE_RUNS = 2
"""What seldom comes again shows in one of so many: what a kernel does in the background is chance.
"""
ROUNDS = 300
"""Calls to its hypervisor that a guest makes before and after all else: they take longer than QEMU
lets one CPU run."""
LATER_NS = 8_000_000
"""From when on the second of them runs then, about: in the middle of the first one's calls."""
SCALES = (1, 0.4, 0.16)
"""By how much sooner a stranger has to come where the same takes less time by that clock, about."""
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
    """What came of it: what is left, where that is less, how often it shows, and whether it did by
    instructions."""

    shown: Shown | None
    told: str
    again: bool


def steadied(
    suspicion: Suspicion,
    legs: Everywhere,
    steady: Everywhere,
    minimal: Callable[[Suspicion, Shows], Case],
) -> Steadied:
    """Make the case of `suspicion` small on `steady`, if it shows there, so that it still shows on
    `legs`; `minimal` is the smallest case that it finds of those that show it. Few runs tell, where
    runs are alike. Raises TransportError."""

    def once(case: Case) -> bool:
        return bool(often(suspicion, case, steady, 1).seen)

    def surely(case: Case) -> bool:
        return all(once(case) for _ in range(SURE_RUNS))

    def seldom(case: Case) -> bool:
        return any(once(case) for _ in range(ALIKE_RUNS))

    def comes_again(case: Case) -> bool:
        if not (surely if sure else seldom)(case):
            return False
        smaller.append(case)
        return True

    counted = partial(often, suspicion, legs=steady)
    sure = there = surest_of(ways(suspicion.case), surely, counted)
    there = there or relocated(suspicion.case, seldom)
    if there is None:
        return Steadied(None, _told(often(suspicion, suspicion.case, legs)), again=False)
    settled = suspicion.settle(there, steady)
    smaller = [there]
    small = minimal(suspicion.at(settled), comes_again) if settled else there
    if _worth(suspicion) >= COUNTED_RUNS:
        small = centred(suspicion, last_sure(smaller, counted) if sure else small, steady)
    here = relocated(small, lambda case: suspicion.shows(case, legs))
    shown = suspicion.settle(here, legs) if here else None
    kept = here if here and shown else suspicion.case
    told = _told(often(suspicion, kept, legs), often(suspicion, small, steady), delays(small))
    return Steadied(shown, told, again=True)


def surest_of(
    cases: Iterable[Case], surely: Shows, counted: Callable[[Case], Often]
) -> Case | None:
    """Of cases, with a delay at which `surely` says so, the first that shows it in nearly all runs,
    or the one that shows it in most."""
    best: tuple[float, Case] | None = None
    for case in cases:
        there = relocated(case, surely)
        if there is None:
            continue
        part = counted(there).part
        if best is None or part > best[0]:
            best = part, there
        if part >= ENOUGH:
            break
    return best[1] if best else None


def last_sure(smaller: Sequence[Case], counted: Callable[[Case], Often]) -> Case:
    """Of cases, each of which came of the one before it, the last that shows it in nearly all runs,
    as far as steps back tell that double: few runs each do not keep a case from becoming rarer
    little by little. Where none does, the one that shows it in most."""
    best: tuple[float, Case] | None = None
    for case in backwards(smaller):
        part = counted(case).part
        if best is None or part > best[0]:
            best = part, case
        if part >= ENOUGH:
            break
    assert best is not None
    return best[1]


def centred(suspicion: Suspicion, case: Case, steady: Everywhere) -> Case:
    """The case with delays far from where it would show no more. Raises TransportError."""
    verdict = suspicion.verdict
    for at, op in enumerate(case.ops):
        if not has_block(op):
            continue
        timing = timing_of(steady, case, at, verdict, COUNTED_RUNS, SURE_RUNS)
        if timing:
            case = with_delay(case, at, timing.delay)
    return case


def delays(case: Case) -> list[int]:
    """Of its strangers and second threads, in ns."""
    return [op.after for op in case.ops if has_block(op)]


def given_time(case: Case) -> Iterator[Case]:
    """The case, and where guests run at once those in which they make calls before and after all
    else, and do so in place of waiting, too: QEMU changes CPUs at few moments, and each has to be
    in its run at some of them. A guest that waits is put, and has nothing to lose."""
    told = [case]
    yield case
    for waits in (True, False):
        timed = _with_calls(case, waits)
        if timed not in told:
            told.append(timed)
            yield timed


def _with_calls(case: Case, waits: bool) -> Case:
    """The case with calls around what guests do that run at once, which `waits` or does not."""
    leads = {
        place
        for at, op in enumerate(case.ops)
        if isinstance(op, Threads) and 0 < op.first < op.span
        for place in (at + 1, at + 1 + op.first)
    }
    calls = insn(HVC_LOOP, ROUNDS)
    ops = list(case.ops)
    for at in leads:
        op = ops[at]
        if isinstance(op, Run):
            code = [each for each in op.program if waits or each.form.name != WFI_LOOP]
            ops[at] = replace(op, program=(calls, *code[: MAX_PROGRAM - 2], calls))
    if ops == list(case.ops):
        return case
    for at, op in enumerate(ops):
        if isinstance(op, Threads):
            ops[at] = replace(op, after=max(op.after, LATER_NS))
    return replace(case, ops=tuple(ops))


def in_company(case: Case) -> Iterator[Case]:
    """The case with a thread on the same CPU around its strangers, if there is none: while the
    clock runs, the kernel's own threads come at any time."""
    strangers = [at for at, op in enumerate(case.ops) if isinstance(op, Disturb)]
    threads = any(isinstance(op, Disturb) and op.by == Stranger.THREAD for op in case.ops)
    if not strangers or threads or len(case.ops) == MAX_OPS:
        return
    at = strangers[0]
    for scale in SCALES:
        ops = [replace(op, after=int(op.after * scale)) if has_block(op) else op for op in case.ops]
        first = ops[at]
        assert isinstance(first, Disturb)
        thread = replace(first, by=Stranger.THREAD, span=1 + first.span)
        yield replace(case, ops=(*ops[:at], thread, *ops[at:]))


def ways(case: Case) -> Iterator[Case]:
    """In which cases what one shows is sought where the clock goes by instructions."""
    yield from given_time(case)
    yield from in_company(case)


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
    runs = runs or _worth(suspicion)
    name, leg = suspicion.name, legs.leg(suspicion.name)
    verdicts = (legs.judge_one(case, name, leg.run(case)) for _ in range(runs))
    return Often(sum(alike(verdict, suspicion.verdict) for verdict in verdicts), runs)


def _worth(suspicion: Suspicion) -> int:
    """How many runs it is worth to tell how often it shows."""
    return RESTARTS if suspicion.restarts else min(COUNTED_RUNS, suspicion.runs // RUNS_EACH)


def _told(running: Often, counting: Often | None = None, after: Sequence[int] = ()) -> str:
    by_instructions = "at no delay by instructions"
    if counting:
        by_instructions = f"in {counting} by instructions"
    if after:
        by_instructions += f", after={','.join(map(str, after))}"
    return f"shows in {running} runs with the clock running, and {by_instructions}"
