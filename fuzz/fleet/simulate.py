"""A fleet of any size, simulated: where it saturates. Pure, but for the planner's own time.

Workers take slices as long as they were measured to take; the scheduler and the leader are servers
that do one thing at a time, each for as long as was measured; the real planner says what is next.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fuzz.fleet import plan

SPREAD = 0.1
"""Slices take as long as on average, give or take this part of it."""
BUSY = 0.9
"""A server that is busy for so much of the time is full: what comes to it waits ever longer."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one slice, in seconds: `slice_s` on a worker, of which `cpu_s` of CPU time; `scheduler_s`
    of the scheduler; `leader_s` and `store_s` of the leader, which waits for the store. `fetched`,
    `sent`: bytes from and to the corpus. `writes`: transactions of the store."""

    slice_s: float
    cpu_s: float
    scheduler_s: float
    leader_s: float
    store_s: float
    fetched: float
    sent: float
    writes: float = 3.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a simulated fleet did. `busy`: part of the time, by server, and of the workers on
    average; `delay_s`: from the end of a slice until it is stored, the longest; rates are per
    second; `shares`: of the slices, by leg; `plan_ms`: what a decision of the planner took."""

    workers: int
    slices: int
    busy: Mapping[str, float]
    delay_s: float
    slices_per_s: float
    writes_per_s: float
    fetched_per_s: float
    sent_per_s: float
    shares: Mapping[str, float]
    plan_ms: float


def capacity(costs: Costs) -> dict[str, float]:
    """By server, how many workers it can serve before it is full."""
    servers = {
        "scheduler": costs.scheduler_s,
        "leader": costs.leader_s + costs.store_s,
    }
    return {name: BUSY * costs.slice_s / each for name, each in servers.items() if each > 0}


def simulate(
    costs: Costs,
    workers: int,
    brings: Mapping[str, Mapping[str, int]],
    hours: float = 2.0,
    seed: int = 1,
    floor: float = plan.FLOOR,
) -> Outcome:
    """So many workers for so long. `brings`: what a slice of each leg brings on average, which
    halves with each thousand slices of the leg."""
    chance = random.Random(seed)
    legs = list(brings)
    history: deque[plan.Yield] = deque(maxlen=200)
    running: Counter[str] = Counter()
    done: Counter[str] = Counter()
    free_at = {"scheduler": 0.0, "leader": 0.0}
    worked = {"scheduler": 0.0, "leader": 0.0, "workers": 0.0}
    longest = planned_s = 0.0
    decisions = 0
    end = hours * 3600
    # Workers come within the first slice's time, as they do.
    events = [(chance.uniform(0, costs.slice_s), number, "") for number in range(workers)]
    heapq.heapify(events)

    def serve(server: str, now: float, seconds: float) -> float:
        """When a server that is asked now is done."""
        free_at[server] = max(free_at[server], now) + seconds
        worked[server] += seconds
        return free_at[server]

    while events and events[0][0] < end:
        now, number, leg = heapq.heappop(events)
        if leg:
            stored = serve("leader", serve("scheduler", now, costs.scheduler_s / 2), _of(costs))
            longest = max(longest, stored - now)
            running[leg] -= 1
            done[leg] += 1
            fading = 0.5 ** (done[leg] / 1000)
            brought = {kind: int(amount * fading) for kind, amount in brings[leg].items()}
            history.append(plan.Yield(leg, costs.cpu_s, brought))
            now = stored
        began = time.perf_counter()
        (leg,) = plan.next_legs(legs, history, running, 1, floor=floor)
        planned_s += time.perf_counter() - began
        decisions += 1
        running[leg] += 1
        starts = serve("scheduler", now, costs.scheduler_s / 2)
        takes = costs.slice_s * chance.uniform(1 - SPREAD, 1 + SPREAD)
        worked["workers"] += min(takes, max(0.0, end - starts))
        heapq.heappush(events, (starts + takes, number, leg))
    return _outcome(costs, workers, done, worked, longest, planned_s / max(1, decisions), end)


def _of(costs: Costs) -> float:
    return costs.leader_s + costs.store_s


def _outcome(
    costs: Costs,
    workers: int,
    done: Counter[str],
    worked: Mapping[str, float],
    longest: float,
    plan_s: float,
    end: float,
) -> Outcome:
    slices = done.total()
    rate = slices / end
    busy = {name: min(1.0, seconds / end) for name, seconds in worked.items()}
    busy["workers"] = min(1.0, worked["workers"] / end / workers)
    return Outcome(
        workers=workers,
        slices=slices,
        busy=busy,
        delay_s=longest,
        slices_per_s=rate,
        writes_per_s=rate * costs.writes,
        fetched_per_s=rate * costs.fetched,
        sent_per_s=rate * costs.sent,
        shares={leg: count / slices for leg, count in done.items()} if slices else {},
        plan_ms=plan_s * 1000,
    )


def sizes(workers: int, steps: int = 4) -> Sequence[int]:
    """Fleets of up to so many workers, each ten times as large as the one before."""
    found = {max(1, workers // 10**step) for step in range(steps)}
    return sorted(found)
