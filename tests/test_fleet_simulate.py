"""A simulated fleet does what arithmetic says, and is full where it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fuzz.fleet.simulate import Costs, capacity, simulate, sizes

COSTS = Costs(
    slice_s=300.0,
    cpu_s=290.0,
    scheduler_s=0.002,
    leader_s=0.01,
    store_s=0.05,
    fetched=1e6,
    sent=1e5,
)
BRINGS = {"a": {"buckets": 0, "blocks": 100, "pairs": 100}, "b": {"blocks": 0, "pairs": 0}}


def test_a_small_fleet_is_busy_with_slices_alone() -> None:
    found = simulate(COSTS, 10, BRINGS)
    assert found.busy["workers"] > 0.95
    assert found.busy["leader"] < 0.01
    assert found.slices_per_s == pytest.approx(10 / 300, rel=0.1)
    assert found.fetched_per_s == pytest.approx(found.slices_per_s * 1e6)
    assert found.writes_per_s == pytest.approx(3 * found.slices_per_s)
    assert found.delay_s < 1.0
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["a"] > found.shares["b"] > 0.2


def test_what_is_slow_is_full_first_and_workers_wait_for_it() -> None:
    slow = replace(COSTS, store_s=2.0)
    full = capacity(slow)
    assert full["leader"] < full["scheduler"]
    below = simulate(slow, round(0.5 * full["leader"]), BRINGS)
    above = simulate(slow, round(3 * full["leader"]), BRINGS)
    assert below.busy["workers"] > 0.95
    assert above.busy["leader"] > 0.95
    assert above.busy["workers"] < 0.5
    assert above.delay_s > 60 > below.delay_s


def test_the_same_seed_is_the_same_fleet() -> None:
    one, two = (simulate(COSTS, 50, BRINGS, 1.0, seed=4) for _ in range(2))
    assert replace(one, plan_ms=0.0) == replace(two, plan_ms=0.0)


def test_sizes_grow_tenfold() -> None:
    assert sizes(1000) == [1, 10, 100, 1000]
    assert sizes(3) == [1, 3]
