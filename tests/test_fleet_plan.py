"""Which leg is next: what brings most has most, and none falls below its floor."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.fleet.plan import HALF, WEIGHTS, Rate, Yield, next_legs, rates, shares, worth
from fuzz.fleet.slices import Kind, arms, campaign, demand, make, servable

LEGS = ["a", "b", "c"]

legs = st.sampled_from(LEGS)
brought = st.fixed_dictionaries({kind: st.integers(0, 10**6) for kind in WEIGHTS})
histories = st.lists(st.builds(Yield, legs, st.floats(0.1, 1e4), brought), max_size=40)
floors = st.floats(0, 1)


@given(histories, floors)
def test_shares_are_whole_and_keep_the_floor(history: list[Yield], floor: float) -> None:
    due = shares(rates(LEGS, history), floor)
    assert sum(due.values()) == pytest.approx(1)
    assert min(due.values()) >= floor / len(LEGS) - 1e-9


@given(histories)
def test_worth_does_not_depend_on_the_unit_of_a_kind(history: list[Yield]) -> None:
    larger = [
        Yield(one.leg, one.cpu_seconds, {**one.brought, "pairs": 1000 * one.brought["pairs"]})
        for one in history
    ]
    assert worth(rates(LEGS, larger)) == pytest.approx(worth(rates(LEGS, history)))


@given(histories, st.integers(0, 60))
def test_as_many_legs_as_were_asked_for_and_none_that_rests(
    history: list[Yield], count: int
) -> None:
    chosen = next_legs(LEGS, history, {}, count, resting=["b"])
    assert len(chosen) == count
    assert "b" not in chosen


def test_where_all_rest_there_is_nothing_to_do() -> None:
    assert next_legs(LEGS, [], {}, 3, resting=LEGS) == []


def _simulated(rounds: int, floor: float) -> Counter[str]:
    """Slices by leg, where `a` brings a thousand pairs a time and the others nothing."""
    history: list[Yield] = []
    for _ in range(rounds):
        (leg,) = next_legs(LEGS, history, {}, 1, floor=floor)
        history.append(Yield(leg, 60.0, {"pairs": 1000 if leg == "a" else 0}))
    return Counter(one.leg for one in history)


def test_what_brings_most_has_most_and_the_rest_its_floor() -> None:
    found = _simulated(300, floor=0.3)
    assert found["a"] == pytest.approx(300 * 0.8, abs=20)
    assert found["b"] == pytest.approx(300 * 0.1, abs=10)
    assert _simulated(300, floor=1.0)["a"] == pytest.approx(100, abs=5)


def test_a_leg_that_was_never_tried_is_tried_at_once() -> None:
    history = [Yield("a", 600.0, {"buckets": 9}), Yield("b", 600.0, {"buckets": 1})]
    assert next_legs(LEGS, history, {}, 1) == ["c"]


def test_what_is_on_its_way_counts_as_done() -> None:
    chosen = next_legs(LEGS, [], {"a": 5, "b": 5}, 4)
    assert chosen == ["c"] * 4


def test_a_rare_bucket_counts_more_than_many_pairs() -> None:
    lately = rates(
        ["a", "b"], [Yield("a", 60.0, {"pairs": 10**6}), Yield("b", 60.0, {"buckets": 1})]
    )
    assert worth(lately)["b"] > worth(lately)["a"]


def test_old_merit_fades() -> None:
    history = [Yield("a", 60.0, {"buckets": 8}), *[Yield("a", 60.0)] * HALF]
    assert rates(["a"], history)["a"].brought["buckets"] == pytest.approx(4)
    assert Rate().per_hour("buckets") == 0


def test_the_same_work_has_the_same_name() -> None:
    one = campaign("emulator:keep", ("model", "emulator:keep"), 7, 60.0, "")
    assert one == campaign("emulator:keep", ("model", "emulator:keep"), 7, 60.0, "")
    assert one.id != campaign("emulator:keep", ("model", "emulator:keep"), 8, 60.0, "").id
    assert make(Kind.MERGE, "a", {"x": 1, "y": 2}) == make(Kind.MERGE, "a", {"y": 2, "x": 1})


def test_each_leg_is_searched_with_the_references() -> None:
    assert arms(["model", "emulator:keep", "kvm:6.12:vhe"]) == {
        "emulator:keep": ("model", "emulator:keep"),
        "kvm:6.12:vhe": ("model", "kvm:6.12:vhe"),
    }
    assert arms(["model"]) == {"model": ("model",)}


def test_a_leg_says_what_a_worker_must_have() -> None:
    assert demand(["model"]).keys() == {"memory"}
    assert demand(["model", "kvm:6.12:vhe"])["lab"] == 1
    assert demand(["kvm:native"]).keys() == {"memory", "arm64-kvm"}
    assert demand(["kvm:tcp=host:7"]).keys() == {"memory"}


def test_no_slice_asks_for_the_lab_and_a_machine_s_own_kvm_at_once() -> None:
    assert servable(["model", "kvm:6.12:vhe", "kvm:native", "kvm:tcp=host:7"]) == [
        ("model", "kvm:6.12:vhe", "kvm:tcp=host:7"),
        ("model", "kvm:native", "kvm:tcp=host:7"),
    ]
    assert servable(["model", "kvm:native"]) == [("model", "kvm:native")]
    assert servable(["model", "emulator:keep"]) == [("model", "emulator:keep")]
    assert servable([]) == [()]
