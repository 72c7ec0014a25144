"""Whatever fails under a fleet, nothing that it was told of is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fleetkit import ABLE, LEG, Hands, Led, Shaky, campaign_told
from test_db_store import KVM, MODEL, RECORD

from db.work import Delivery, Sighting, State
from fuzz.fleet import fleet as fleet_module
from fuzz.fleet.cluster import Ended, Helper, Sighted
from fuzz.fleet.dispatch import Asked, Dispatch
from fuzz.fleet.heads import Head, Listed
from fuzz.fleet.slices import Kind, campaign, make
from fuzz.fleet.watch import Watch, trial


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shaky]:
    monkeypatch.setattr(fleet_module, "AGAIN_S", 0.0)
    with Shaky.open(str(tmp_path / "t.db")) as opened:
        yield opened


@pytest.fixture
def led(store: Shaky, tmp_path: Path) -> Led:
    return Led(store, Hands([Helper("w", 1, ABLE)]), tmp_path)


def test_a_slice_that_failed_while_the_store_did_is_tried_again(led: Led) -> None:
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.store.fails = {"put_back": 1}
    led.hear(Ended(order.id, said="it broke"))
    assert led.states() == {order.id: State.PLANNED}
    for _ in range(2):
        led.fill()
        led.store.fails = {"fail_slice": 1}
        led.hear(Ended(order.id, said="it broke"))
    assert led.states()[order.id] is State.FAILED
    assert led.fleet.dispatch.resting == [LEG]


@pytest.mark.parametrize("after", [False, True])
def test_a_slice_that_was_begun_for_nobody_is_given_later(led: Led, after: bool) -> None:
    led.store.fails, led.store.after = {"begin_slice": 1}, after
    led.fill()
    assert led.hands.given == {}
    led.fill()
    (order,) = led.hands.given.values()
    assert [(one.id, one.attempts) for one in led.store.unfinished_slices()] == [(order.id, 1)]


def test_a_merge_that_the_store_did_not_take_is_planned_later(led: Led) -> None:
    led.fleet.dispatch.fresh[LEG] = {"a" * 16: None}
    led.store.fails = {"plan_slices": 1}
    led.fleet._next_look = float("inf")
    led.fill()
    assert led.hands.given == {}
    led.fill()
    assert [one.spec["fresh"] for one in led.hands.of(Kind.MERGE)] == [["a" * 16]]
    led.fill()
    assert len(led.hands.given) == 1  # one at a time


@pytest.mark.parametrize("name", ["deliver", "bucket", "plan_slices"])
def test_a_delivery_is_kept_in_mind_until_all_of_it_is_stored(led: Led, name: str) -> None:
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.store.fails, led.store.after = {name: 1}, True
    led.hear(led.done(order, campaign_told()))
    assert led.store.fails == {name: 0}
    assert led.fleet.new_buckets == 1
    assert led.fleet.done == {"campaign": 1}
    assert len(led.fleet.dispatch.history) == 1
    assert [event for event, _ in led.said].count("new bucket") == 1
    assert led.planned() == ["matrix", "minimise"]


def test_a_merge_whose_answer_got_lost_leaves_its_snapshot(led: Led) -> None:
    led.fleet.dispatch.fresh[LEG] = {"a" * 16: None}
    led.fleet._next_look = float("inf")
    led.fill()
    (order,) = led.hands.of(Kind.MERGE)
    led.store.fails, led.store.after = {"deliver": 1}, True
    result = {"snapshot": "s" * 64, "cases": 4}
    led.hear(led.done(order, Delivery(counts={}, result=result)))
    assert led.fleet.dispatch.snapshot == "s" * 64
    assert led.fleet.dispatch.fresh[LEG] == {}


def test_a_merge_that_failed_is_not_planned_by_the_next_fleet(led: Led, tmp_path: Path) -> None:
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.hear(led.done(order, campaign_told()))
    led.fleet._next_look = float("inf")
    led.fill()
    (merge,) = led.hands.of(Kind.MERGE)
    led.store.fail_slice(merge.id, "it broke")
    led.store.put_back()
    after = Led(led.store, Hands([]), tmp_path)
    after.fleet.dispatch.recall()
    assert after.fleet.dispatch.fresh[LEG] == {}


def test_a_merge_that_cannot_be_planned_blocks_no_other(led: Led) -> None:
    led.fleet._next_look = float("inf")
    fresh = led.fleet.dispatch.fresh
    fresh[LEG], fresh["model"] = dict.fromkeys(("a" * 16, "b" * 16)), {"c" * 16: None}
    led.fill()
    (order,) = led.hands.of(Kind.MERGE)
    led.store.fail_slice(order.id, "it broke")
    led.fleet._on_way.clear()
    for _ in range(2):
        led.fill()
    assert led.planned() == ["merge"]


def test_what_a_sighting_asks_for_is_planned_when_its_slice_ends(led: Led) -> None:
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.store.fails = {"plan_slices": 1}
    led.hear(Sighted(order.id, Sighting(1, (MODEL, KVM), RECORD)))
    assert led.planned() == []
    smaller = replace(RECORD, minimal=RECORD.original)
    led.hear(Sighted(order.id, Sighting(1, (MODEL, KVM), smaller)))
    led.hear(led.done(order, campaign_told()))
    assert led.planned() == ["matrix", "minimise"]
    assert led.fleet.new_buckets == 1


def test_what_follows_a_bucket_is_planned_once_whatever_is_found_meanwhile(led: Led) -> None:
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.hear(Sighted(order.id, Sighting(1, (MODEL, KVM), RECORD)))
    assert led.planned() == ["matrix", "minimise"]
    other = replace(RECORD, minimal=RECORD.minimal, deviating=("kvm:6.12", "model"))
    led.store.add_finding(led.store.campaigns()[0].id, other)
    led.hear(led.done(order, campaign_told()))
    assert led.planned() == ["matrix", "minimise"]


def test_a_new_kernel_that_the_store_did_not_take_is_tried_later(
    store: Shaky, tmp_path: Path
) -> None:
    from test_fleet_watch import AtOnce  # noqa: PLC0415

    versions = ["1", "2"]
    executor: Executor = AtOnce()
    now = datetime(2027, 3, 1, tzinfo=UTC)

    def ask() -> Listed:
        version = versions.pop(0)
        origin = {"release": "6.12", "version": version}
        return Listed((Head("6.12", version, "kvm:6.12:vhe", origin),))

    watch = Watch(store, ask, lambda: now, executor, lambda _: None, lambda *_, **__: None)
    led = Led(store, Hands([]), tmp_path, watch)
    led.beat()
    watch.memory.next_look = now
    store.fails = {"plan_slices": 1}
    led.beat()
    assert led.planned() == []
    led.beat()
    assert led.planned() == ["campaign", "replay"]
    fleet = store.fleet()
    assert fleet is not None
    assert fleet.memory["watch"]["heads"] == {"6.12": "2"}


def test_a_retest_that_is_stuck_does_not_hold_up_the_others(led: Led) -> None:
    campaign = led.store.begin_campaign(1, [MODEL, KVM], {})
    other = replace(RECORD, signature=replace(RECORD.signature, register_class="p"))
    for record in (RECORD, other):
        led.store.add_finding(campaign, record)
    (first,) = led.fleet.dispatch.retests(1)
    led.store.plan_slices([first])
    led.store.fail_slice(first.id, "it broke")
    (second,) = led.fleet.dispatch.retests(1)
    assert first.spec["bucket"] != second.spec["bucket"]
    led.store.plan_slices([second])
    assert list(led.fleet.dispatch.retests(1)) == []


def test_what_follows_a_new_kernel_brings_it_along_and_leaves_nothing_to_merge(led: Led) -> None:
    head = Head("6.12", "6.12.80-1", KVM.name, {"release": "6.12", "version": "6.12.80-1"})
    _, searched = trial(head, 60.0)
    led.store.plan_slices([searched])
    led.fleet._next_look = float("inf")
    led.fill()
    (order,) = led.hands.of(Kind.CAMPAIGN)
    led.hear(led.done(order, campaign_told()))
    led.hands.there = [Helper("w", 8, ABLE)]
    led.fill()
    for kind in (Kind.MINIMISE, Kind.MATRIX):
        (follow_up,) = [one for one in led.store.unfinished_slices() if one.kind == kind]
        assert follow_up.spec["origin"] == order.spec["origin"]
    assert led.hands.of(Kind.MERGE) == []
    after = Dispatch(led.store, Asked(("model", LEG)))
    after.recall()
    assert not any(after.fresh.values())
    searching = Dispatch(led.store, Asked(("model", KVM.name)))
    searching.recall()
    assert list(searching.fresh[KVM.name]) == ["a" * 16]


def test_trouble_with_the_store_is_over_when_it_answers(led: Led) -> None:
    led.store.fails = {"beat": 1}
    for _ in range(3):
        led.beat()
    fleet = led.store.fleet()
    assert fleet is not None
    assert fleet.told["trouble"] == ""


def test_only_a_campaign_ends_the_rest_of_a_leg(led: Led) -> None:
    dispatch = led.fleet.dispatch
    dispatch.failed(campaign(LEG, ("model", LEG), 1, 1.0, ""))
    dispatch.delivered(make(Kind.RETEST, LEG, {}), Delivery())
    assert dispatch.resting == [LEG]
    delivery = Delivery(counts={"cpu_seconds": 1.0})
    dispatch.delivered(campaign(LEG, ("model", LEG), 2, 1.0, ""), delivery)
    assert dispatch.resting == []


def test_who_hears_without_end_ends_when_it_is_time(led: Led) -> None:
    heard = 0

    def always(_: float) -> Ended:
        nonlocal heard
        heard += 1
        assert heard < 10_000_000
        return Ended("nobody's")

    led.hands.next = always  # type: ignore[assignment]
    led.hands.there = []
    led.fleet._seconds = 0.1
    led.fleet._lead()


def test_attempts_are_counted_whoever_leads(led: Led, tmp_path: Path) -> None:
    for _ in range(2):
        led.fill()
        (order,) = led.hands.of(Kind.CAMPAIGN)
        led.hear(Ended(order.id, said="it broke"))
    after = Led(led.store, Hands([Helper("w", 1, ABLE)]), tmp_path)
    after.fill()
    assert list(after.hands.given) == [order.id]
    after.hear(Ended(order.id, said="it broke"))
    assert after.states() == {order.id: State.FAILED}


def test_a_fleet_ends_when_it_is_asked_to_although_its_store_is_gone(led: Led) -> None:
    led.store.fails = {"beat": 1000}
    led.fleet._seconds = float("inf")
    say = led.fleet._say

    def ask(event: str, **fields: object) -> None:
        say(event, **fields)
        if len(led.said) == 3:
            led.fleet._stop.number = 15

    led.fleet._say = ask
    led.fleet._lead()
    assert [event for event, _ in led.said] == ["store fails"] * 3
