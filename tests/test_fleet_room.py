"""Slices go where they can be done, and nobody waits for a worker that is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fleetkit import ABLE, LEG, Hands, Led, Shaky
from hypothesis import given
from hypothesis import strategies as st
from test_db_store import KVM, MODEL, RECORD

from db.work import Delivery, State, Wish
from fuzz.fleet import fleet as fleet_module
from fuzz.fleet.cluster import Helper
from fuzz.fleet.room import Demand, Room
from fuzz.fleet.slices import Kind, demand

KVM_LEG = "kvm:6.12:vhe"
LEGS = ("model", LEG, KVM_LEG)
SMALL = {"memory": 2048.0}
LAB, PLAIN = Helper("lab", 1, ABLE), Helper("plain", 1, SMALL)

wanted = st.lists(st.sampled_from([demand([LEG]), demand([KVM_LEG])]), max_size=6)
workers = st.lists(st.sampled_from([LAB, PLAIN, replace(LAB, slots=2)]), max_size=4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Shaky]:
    with Shaky.open(str(tmp_path / "t.db")) as opened:
        yield opened


def led(store: Shaky, folder: Path, *helpers: Helper) -> Led:
    made = Led(store, Hands(list(helpers)), folder, legs=LEGS)
    made.fleet._next_look = float("inf")
    return made


def said(fleet: Led) -> list[str]:
    return [fields["leg"] for event, fields in fleet.said if event == "no worker serves"]


def test_what_takes_little_leaves_the_lab_to_what_needs_it() -> None:
    room = Room([LAB, PLAIN], [demand([LEG])])
    assert room.has(demand([KVM_LEG]))
    assert room.take(demand([KVM_LEG]))
    assert not room.has({})
    assert room.serves(demand([KVM_LEG]))
    assert not Room([PLAIN], []).serves(demand([KVM_LEG]))
    assert not Room([LAB, PLAIN], [demand([LEG]), demand([KVM_LEG])]).has({})


@given(workers, wanted)
def test_no_more_is_taken_than_there_is(helpers: list[Helper], demands: list[Demand]) -> None:
    room = Room(helpers, [])
    taken = [one for one in demands if room.take(one)]
    assert len(taken) <= sum(helper.slots for helper in helpers)
    assert sum(one.get("lab", 0) for one in taken) <= sum("lab" in h.offers for h in helpers)
    assert all(room.serves(one) for one in taken)
    assert room.has({}) == (len(taken) < sum(helper.slots for helper in helpers))


def test_one_lab_of_ten_slots_does_not_leave_the_others_idle(store: Shaky, tmp_path: Path) -> None:
    fleet = led(store, tmp_path, LAB, *[PLAIN] * 9)
    fleet.fill()
    assert Counter(one.leg for one in fleet.hands.given.values()) == {LEG: 9, KVM_LEG: 1}
    assert len(store.unfinished_slices()) == 10


def test_a_leg_that_nobody_serves_is_told_of_once(store: Shaky, tmp_path: Path) -> None:
    fleet = led(store, tmp_path, PLAIN)
    fleet.fill()
    fleet.hands.there = [PLAIN] * 2
    fleet.fill()
    assert said(fleet) == [KVM_LEG]
    assert {one.leg for one in fleet.hands.given.values()} == {LEG}
    fleet.hands.there = [LAB, PLAIN, PLAIN]
    fleet.fill()
    fleet.hands.there = [PLAIN] * 4
    fleet.fill()
    assert said(fleet) == [KVM_LEG] * 2


def test_who_drains_does_not_wait_for_a_worker_that_is_gone(
    store: Shaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = led(store, tmp_path, LAB, PLAIN)
    fleet.fill()
    kvm, other = sorted(fleet.hands.given.values(), key=lambda one: one.leg, reverse=True)
    assert (kvm.leg, other.leg) == (KVM_LEG, LEG)
    fleet.hands.there = [PLAIN]
    store.wish(Wish.DRAIN)
    monkeypatch.setattr(fleet_module, "GONE_S", 0.0)
    fleet.hands.heard = [fleet.done(other, Delivery(counts={"cpu_seconds": 1.0}))]
    fleet.fleet._lead()
    (view,) = store.slices([kvm.id])
    assert view.state is State.PLANNED
    assert kvm.id not in fleet.hands.given


def test_who_runs_waits_for_a_while(
    store: Shaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = led(store, tmp_path, LAB)
    fleet.fleet.dispatch.fresh[KVM_LEG] = {"a" * 16: None}
    fleet.fill()
    fleet.hands.there = [PLAIN]
    fleet.fill()
    (merge,) = fleet.hands.of(Kind.MERGE)
    monkeypatch.setattr(fleet_module, "GONE_S", 0.0)
    fleet.fleet.dispatch.fresh[LEG] = {"b" * 16: None}
    fleet.hands.there = [PLAIN] * 2
    fleet.fill()
    assert [one.leg for one in fleet.hands.of(Kind.MERGE)] == [LEG]
    assert store.slices([merge.id])[0].state is State.PLANNED


def test_retests_that_wait_are_no_more_than_may_run(store: Shaky, tmp_path: Path) -> None:
    fleet = led(store, tmp_path, LAB)
    campaign = store.begin_campaign(1, [MODEL, KVM], {})
    for word in ("p", "z", "ffr"):
        signature = replace(RECORD.signature, register_class=word)
        store.add_finding(campaign, replace(RECORD, signature=signature))
    for _ in range(3):
        fleet.fleet._next_look = 0.0
        fleet.fill()
    assert len(fleet.hands.of(Kind.RETEST)) == 1
    assert len(store.waiting_slices(9, Kind.RETEST)) == 1


def test_a_merge_that_nobody_can_do_blocks_no_other(store: Shaky, tmp_path: Path) -> None:
    fleet = led(store, tmp_path, LAB)
    fresh = fleet.fleet.dispatch.fresh
    fresh[KVM_LEG] = dict.fromkeys(("a" * 16, "b" * 16))
    merge = fleet.fleet.dispatch.merge([], lambda _: True)
    assert merge is not None
    store.plan_slices([merge])
    fresh[LEG] = {"c" * 16: None}
    fleet.hands.there = [PLAIN]
    fleet.fill()
    (order,) = fleet.hands.of(Kind.MERGE)
    assert order.leg == LEG
    fleet.hands.there = [LAB] * 2
    fleet.fill()
    assert fleet.hands.of(Kind.MERGE) == [order]  # one at a time
    result = {"snapshot": "s" * 64, "cases": 1}
    fleet.hear(fleet.done(order, Delivery(counts={}, result=result)))
    fleet.hands.there = [LAB] * 3
    fleet.fill()
    (later,) = [one for one in fleet.hands.of(Kind.MERGE) if one is not order]
    assert (later.id, later.spec["snapshot"]) == (merge.id, "s" * 64)
