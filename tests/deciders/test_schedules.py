"""What strangers interrupted: told of cases that have some, counted, and aimed at."""

from __future__ import annotations

import random

from corpus.case import Case
from corpus.ops import Disturb, Init, Run, Threads
from corpus.wire import DELAY_LIMIT, Stranger
from fuzz.generate.strangers import Beside
from fuzz.worker.schedules import POOL, WIDEST, Schedules, struck
from fuzz.worker.steering import Steering

SIGNAL = Disturb(Stranger.SIGNAL, 5000)


def disturbed(*ops: Disturb | Threads) -> Case:
    return Case((Init(0, 1), *ops, Run(0)))


def test_what_was_interrupted_is_told_by_kind_leg_and_block() -> None:
    case = disturbed(SIGNAL, Disturb(Stranger.SOFTIRQ, 1), Disturb(Stranger.SIGNAL, 2))
    assert list(struck(case, {"a": [4, 8], "b": []})) == [
        ("interrupted", "SIGNAL", "a", 4),
        ("interrupted", "SIGNAL", "a", 8),
        ("interrupted", "SOFTIRQ", "a", 4),
        ("interrupted", "SOFTIRQ", "a", 8),
    ]
    threads = disturbed(Threads(100, 1, 1))
    assert list(struck(threads, {"b": [4]})) == [("interrupted", "THREADS", "b", 4)]


def test_the_clock_of_a_case_without_strangers_is_none() -> None:
    assert not list(struck(disturbed(), {"a": [4, 8]}))


def test_new_is_what_no_case_met_before() -> None:
    schedules = Schedules()
    assert not schedules.begun
    assert schedules.note(disturbed(), ()) == 0
    assert not schedules.begun
    assert schedules.note(disturbed(SIGNAL), ("a", "b")) == 2
    assert schedules.begun
    assert schedules.note(disturbed(SIGNAL), ("b", "c")) == 1
    assert schedules.note(disturbed(SIGNAL), ("b", "c")) == 0


def test_nothing_met_nothing_aimed_at() -> None:
    assert Schedules().aimed(random.Random(1)) is None


def test_one_delay_of_a_remembered_case_is_moved_a_little() -> None:
    schedules = Schedules()
    case = disturbed(SIGNAL, Disturb(Stranger.SOFTIRQ, 20))
    schedules.note(case, ("a",))
    rng, moved = random.Random(1), []
    for _ in range(300):
        made = schedules.aimed(rng)
        assert made is not None
        assert len(made.ops) == len(case.ops)
        differ = [(a, b) for a, b in zip(made.ops, case.ops, strict=True) if a != b]
        assert len(differ) <= 1  # none where a delay cannot get shorter
        for new, old in differ:
            assert isinstance(new, Disturb)
            assert isinstance(old, Disturb)
            assert abs(new.after - old.after) <= 2**WIDEST
            assert 0 <= new.after <= DELAY_LIMIT
            assert new.by == old.by
            moved.append(new.after - old.after)
    assert min(moved) < 0 < max(moved)
    assert min(map(abs, moved)) < 100
    assert max(map(abs, moved)) > 5000


def test_what_few_met_is_aimed_at_first_and_forgotten_last() -> None:
    schedules = Schedules()
    rare = disturbed(Disturb(Stranger.MOVE, 777))
    schedules.note(rare, ("rare",))
    for delay in range(3 * POOL):
        schedules.note(disturbed(Disturb(Stranger.SIGNAL, delay)), ("often",))
    rng = random.Random(2)
    kinds = [made.ops[1].by for _ in range(POOL) if (made := schedules.aimed(rng))]  # type: ignore[attr-defined]
    assert Stranger.MOVE in kinds


def test_steering_aims_only_where_it_may() -> None:
    aimed = disturbed(Disturb(Stranger.SIGNAL, 4321))

    class Sure(Schedules):
        def aimed(self, rng: random.Random) -> Case:
            return aimed

    def share(beside: Beside, met: tuple[str, ...], by_schedules: bool = True) -> float:
        steering = Steering(3, by_schedules=by_schedules, schedules=Sure())
        steering.schedules.note(disturbed(SIGNAL), met)
        return sum(steering.child(0.0, beside) is aimed for _ in range(600)) / 600

    signals = Beside((Stranger.SIGNAL,))
    assert 0.05 < share(signals, ("a",)) < 0.15
    assert share(Beside(threads=True), ("a",)) > 0.05
    assert share(signals, ("a",), by_schedules=False) == 0
    assert share(signals, ()) == 0
    assert share(Beside(), ("a",)) == 0
