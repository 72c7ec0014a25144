"""When has a stranger to strike, that something shows? The range of delays in which it does.

One delay shows a defect by luck. Its window, from the earliest to the latest around it, says
between which instructions the defect lies. Each edge is sought by halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from corpus.blocks import has_block
from corpus.case import Case
from corpus.wire import DELAY_LIMIT
from fuzz.oracle.attribution import alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge, Verdict

FINE_NS = 100
"""An edge is known to so many ns, or to this part of its distance from the delay known to show:"""
FINE_PART = 1 / 64
CHANCE_NS = 2000
"""Where it is chance, a delay is no more exact than this, or than FINE_PART of it."""
GROWTH = 4
"""By which a step away from the delay known to show it is longer than the one before."""
STEPS = 64
"""Delays that are tried where the given one does not show anything, up to a few times that: a power
of two, by which the grid becomes finer."""
SHORTEST_NS = 1000
"""Shorter ones than this are not, but for 0."""
ENOUGH = 0.95
"""In which part of the runs something has to show, that no surer way to show it is sought."""
WINDOWS = 4
"""Windows that are looked into for a delay that shows it so often, at most."""

Shows = Callable[[int], bool]
"""Whether a delay, in ns, shows it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The earliest and the latest delay that showed it, in ns."""

    first: int
    last: int


def window(shows: Shows, at: int, fine: int = FINE_NS) -> Window:
    """The window around the delay `at`, which shows it, as far as it has no gaps that show when one
    goes ever further from there: what takes a guest that comes to the same again and again shows
    in one part of each round. Edges are known to `fine` ns at best."""
    return Window(_furthest(shows, at, 0, fine), _furthest(shows, at, DELAY_LIMIT, fine))


def _furthest(shows: Shows, at: int, limit: int, fine: int) -> int:
    """The furthest delay on the way from `at` to `limit` that shows it, in steps that grow."""
    step = fine
    while at != limit:
        further = min(at + step, limit) if limit > at else max(at - step, limit)
        if not shows(further):
            return _edge(shows, at, further, fine)
        at = further
        step *= GROWTH
    return limit


def _edge(shows: Shows, inside: int, outside: int, fine: int) -> int:
    """The last delay on the way from `inside` to `outside` that shows it."""
    fine = max(fine, int(abs(outside - inside) * FINE_PART))
    while abs(outside - inside) > fine:
        middle = (inside + outside) // 2
        if shows(middle):
            inside = middle
        else:
            outside = middle
    return inside


def found(shows: Shows, hint: int) -> int | None:
    """A delay that shows it: the hint, one of a grid that becomes finer, or one much shorter, for
    with another clock a run may take less time."""
    return next(filter(shows, delays_about(hint)), None)


def delays_about(hint: int) -> Iterator[int]:
    """The hint, a grid that becomes finer, and ever shorter ones, in ns."""
    yield hint
    yield from _grid(hint)
    yield from _shorter(hint)


def _grid(hint: int) -> Iterator[int]:
    """Delays up to a few times the hint, those far from each other first."""
    most = min(DELAY_LIMIT, 4 * max(hint, 100_000))
    step = STEPS
    while step:
        for number in range(step, STEPS + 1, 2 * step):
            yield most * number // STEPS
        step //= 2
    yield 0


def _shorter(hint: int) -> Iterator[int]:
    """Delays ever closer to 0."""
    part = hint // 32
    while part >= SHORTEST_NS:
        yield part * 3 // 2
        yield part
        part //= 2


def with_delay(case: Case, index: int, delay: int) -> Case:
    """The case with another delay of the stranger, or the second thread, at `index`."""
    op = case.ops[index]
    assert has_block(op)
    ops = (*case.ops[:index], replace(op, after=delay), *case.ops[index + 1 :])
    return replace(case, ops=ops)


@dataclass(frozen=True, slots=True)
class Timing:
    """A delay in ns that shows it, in `often` of `runs` runs, and the window around it, in which
    it shows in some at least, or in each."""

    delay: int
    often: int
    runs: int
    window: Window

    @property
    def part(self) -> float:
        """Of the runs."""
        return self.often / self.runs


def surest(counted: Callable[[int], int], runs: int, at: int, around: Window) -> Timing:
    """Of some delays of a window, `at` among them, the one that shows it in most of `runs` runs,
    as `counted` says; one far from the edges, if that shows it nearly each time."""
    eighth = (around.last - around.first) // 8
    eighths = [around.first + number * eighth for number in (4, 2, 6, 3, 5, 1, 7)]
    often: dict[int, int] = {}
    for delay in dict.fromkeys((eighths[0], at, *eighths)):
        often[delay] = counted(delay)
        if often[delay] >= ENOUGH * runs:
            break
    best = max(often, key=often.__getitem__)
    return Timing(best, often[best], runs, around)


def judged_alone(legs: Everywhere, case: Case) -> Verdict:
    """What the only leg does with a case. Raises TransportError."""
    (leg,) = legs.legs
    return legs.judge_one(case, leg.name, leg.run(case))


def timing_of(
    legs: Everywhere,
    case: Case,
    index: int,
    verdict: Diverge,
    runs: int,
    sure: int = 0,
    told: Callable[[Case], Case] = lambda case: case,
) -> Timing | None:
    """When the stranger at `index` has to strike, or the second thread to begin, that the only leg
    does what `verdict` says, in some of `runs` runs, or in each of `sure`; None if it never does.
    The case is run as `told`. Raises TransportError."""
    stranger = case.ops[index]
    assert has_block(stranger)

    def once(delay: int) -> bool:
        return alike(judged_alone(legs, told(with_delay(case, index, delay))), verdict)

    def shows(delay: int) -> bool:
        if sure:
            return all(once(delay) for _ in range(sure))
        return any(once(delay) for _ in range(runs))

    def counted(delay: int) -> int:
        return sum(once(delay) for _ in range(runs))

    seen: list[Timing] = []
    for delay in delays_about(stranger.after):
        if any(one.window.first <= delay <= one.window.last for one in seen) or not shows(delay):
            continue
        fine = FINE_NS if sure else max(CHANCE_NS, int(delay * FINE_PART))
        seen.append(surest(counted, runs, delay, window(shows, delay, fine)))
        # Chance is the same in each of them.
        if not sure or seen[-1].part >= ENOUGH or len(seen) == WINDOWS:
            break
    return max(seen, key=lambda one: one.part, default=None)
