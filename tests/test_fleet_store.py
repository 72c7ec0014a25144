"""A slice is delivered once, whatever arrives twice; a store has one fleet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from postgres import postgres
from test_db_store import KVM, MODEL, ORIGINAL, RECORD, SIGNATURE

from db import fleet
from db.blocks import FunctionRecord, ReachedRecord
from db.filters import BucketFilter
from db.queries import SampleView
from db.records import (
    CellRecord,
    IncidentRecord,
    NotFound,
    Refused,
    RetestRecord,
    Status,
    StoredFinding,
)
from db.store import Store
from db.work import Delivery, Sighting, SliceRecord, State, Told, Wish

pytestmark = pytest.mark.long

SLICE = SliceRecord("a" * 64, "campaign", "kvm:6.12", {"legs": ["model", "kvm:6.12"], "seed": 3})
OTHER = replace(RECORD, signature=replace(SIGNATURE, register_class="p"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as running:
        yield running.url


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        with Store.open(f"sqlite:///{tmp_path}/t.db") as opened:
            yield opened
        return
    from sqlalchemy import create_engine, text  # noqa: PLC0415

    url = request.getfixturevalue("server")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    with Store.open(url) as opened:
        yield opened


def told() -> Told:
    """A campaign with something of everything."""
    return Told(
        seed=3,
        legs=(MODEL, KVM),
        options={"seconds": 5.0},
        statistics={"cases": 9},
        reason="time",
        findings=[RECORD, OTHER],
        known={OTHER.signature.digest: ("some.case", "It is known.")},
        again={SIGNATURE: 4},
        akin=[(OTHER.signature, SIGNATURE, "alike")],
        incidents=[IncidentRecord("kvm:6.12", "panic", "f", "log", ORIGINAL)],
        functions={"kvm:6.12": [FunctionRecord(0, 64, "f", "a.c")]},
        reached={"kvm:6.12": [ReachedRecord(ORIGINAL, 5, [0, 4])]},
        samples=[SampleView(1000, {"cases": 4})],
    )


def findings(store: Store) -> int:
    return sum(len(store.finding_lines(one.id)) for one in store.buckets(BucketFilter()))


def test_what_a_slice_tells_is_kept_as_if_the_campaign_had_told_it(store: Store) -> None:
    assert store.plan_slices([SLICE]) == 1
    store.begin_slice(SLICE.id)
    done = store.deliver(SLICE.id, "w", Delivery(told(), counts={"cases": 9}))
    assert [one.new_bucket for one in done.stored] == [True, True]
    assert done.buckets == 1
    first, second = (store.bucket(one.bucket_id) for one in done.stored)
    assert (first.count, first.status) == (5, Status.NEW)
    assert (second.count, second.status) == (1, Status.KNOWN)
    assert [note.text for note in second.notes] == ["It is known."]
    assert len(store.kin(second.id)) == 1
    (campaign,) = store.campaigns()
    assert campaign.statistics == {"cases": 9}
    assert campaign.options == {"seconds": 5.0, "slice": SLICE.id}
    assert campaign.ended is not None
    assert len(store.incidents()) == 1
    assert store.coverage()[0].reached[0].blocks == (0, 4)
    assert store.samples(campaign.id) == (SampleView(1000, {"cases": 4}),)
    (view,) = store.finished_slices()
    assert (view.state, view.worker, view.campaign_id) == (State.DONE, "w", campaign.id)
    assert view.counts == {"cases": 9, "buckets": 1}


def test_a_second_delivery_changes_nothing(store: Store) -> None:
    store.plan_slices([SLICE])
    first = store.deliver(SLICE.id, "w", Delivery(told()))
    before = store.buckets(BucketFilter()), store.campaigns(), store.incidents()
    assert store.deliver(SLICE.id, "other", Delivery(told())) == first
    assert store.sight(SLICE.id, Sighting(3, (MODEL, KVM), RECORD)) is None
    assert (store.buckets(BucketFilter()), store.campaigns(), store.incidents()) == before


def test_what_was_seen_on_the_way_is_kept_and_counts_once(store: Store) -> None:
    store.plan_slices([SLICE])
    store.begin_slice(SLICE.id)
    seen = store.sight(SLICE.id, Sighting(3, (MODEL, KVM), RECORD))
    assert isinstance(seen, StoredFinding)
    # The slice is begun anew, and comes to the same by another case.
    store.put_back(said="a worker was lost")
    store.begin_slice(SLICE.id)
    other_case = replace(RECORD, minimal=ORIGINAL)
    assert store.sight(SLICE.id, Sighting(3, (MODEL, KVM), other_case)) is None
    done = store.deliver(SLICE.id, "w", Delivery(told()))
    assert done.stored[0] == seen
    assert len(done.stored) == 2
    assert done.buckets == 1
    assert findings(store) == 2
    assert len(store.campaigns()) == 1


def test_a_delivery_says_which_buckets_are_new_and_which_came_back(store: Store) -> None:
    before = store.add_finding(store.begin_campaign(1, [MODEL, KVM], {}), RECORD)
    store.set_status(before.bucket_id, Status.FIXED, was=Status.NEW)
    again = replace(SLICE, id="b" * 64)
    store.plan_slices([SLICE, again])
    one = store.deliver(SLICE.id, "w", Delivery(told())).stored
    assert [(each.new_bucket, each.regressed) for each in one] == [(False, True), (True, False)]
    assert one[0].bucket_id == before.bucket_id
    two = store.deliver(again.id, "w", Delivery(told())).stored
    assert [(each.new_bucket, each.regressed) for each in two] == [(False, False)] * 2


def test_what_a_failed_slice_had_found_stays(store: Store) -> None:
    store.plan_slices([SLICE])
    store.begin_slice(SLICE.id)
    store.sight(SLICE.id, Sighting(3, (MODEL, KVM), RECORD))
    store.fail_slice(SLICE.id, "no such luck")
    assert findings(store) == 1
    assert store.campaigns()[0].reason == "failed"
    assert [(one.state, one.slices) for one in store.slice_counts()] == [(State.FAILED, 1)]


def test_slices_are_planned_once_and_the_urgent_ones_first(store: Store) -> None:
    urgent = replace(SLICE, id="b" * 64, priority=5)
    assert store.plan_slices([SLICE, urgent]) == 2
    assert store.plan_slices([SLICE, urgent]) == 0
    assert [one.id for one in store.waiting_slices(9)] == [urgent.id, SLICE.id]
    store.begin_slice(urgent.id)
    assert [one.id for one in store.waiting_slices(9)] == [SLICE.id]
    assert {one.attempts for one in store.unfinished_slices()} == {0, 1}
    assert store.put_back([SLICE.id]) == 0
    assert store.put_back([urgent.id], "lost", attempt=False) == 1
    assert {one.attempts for one in store.unfinished_slices()} == {0}
    with pytest.raises(NotFound):
        store.begin_slice("c" * 64)


def test_a_retest_a_matrix_and_a_smaller_case_come_with_the_slice(store: Store) -> None:
    campaign = store.begin_campaign(7, [MODEL, KVM], {})
    found = store.add_finding(campaign, RECORD)
    store.plan_slices([SLICE])
    smaller = replace(RECORD, minimal=ORIGINAL)
    delivery = Delivery(
        finding=found.finding_id,
        retests=(RetestRecord("kvm:6.12", 0, 3, leg=KVM),),
        cells=(CellRecord("kvm:6.12", "passes", "", KVM),),
        smaller=smaller,
    )
    store.deliver(SLICE.id, "w", delivery)
    bucket = store.bucket(found.bucket_id)
    assert bucket.status is Status.FIXED  # by the retest: a smaller case is no sighting
    assert [one.tried for one in store.retests(bucket.id)] == [3]
    assert [one.outcome for one in store.matrix(bucket.id)] == ["passes"]
    assert (bucket.count, bucket.votes["kvm:6.12"]["deviated"]) == (1, 1)
    assert len(store.finding_lines(bucket.id)) == 2


def test_a_smaller_case_of_another_bucket_is_a_finding_of_its_own(store: Store) -> None:
    campaign = store.begin_campaign(7, [MODEL, KVM], {})
    found = store.add_finding(campaign, RECORD)
    store.plan_slices([SLICE])
    moved = replace(RECORD.signature, rule=f"{RECORD.signature.rule}-other")
    smaller = replace(RECORD, minimal=ORIGINAL, signature=moved)
    store.deliver(SLICE.id, "w", Delivery(finding=found.finding_id, smaller=smaller))
    assert len(store.finding_lines(found.bucket_id)) == 1
    (new,) = [bucket for bucket in store.buckets() if bucket.id != found.bucket_id]
    assert (new.signature, new.count) == (moved, 1)
    (line,) = store.finding_lines(new.id)
    assert store.finding(line.id).minimal == ORIGINAL
    assert store.finding(line.id).campaign_id == campaign


def test_a_store_has_one_fleet(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.fleet() is None
    with pytest.raises(NotFound, match="no fleet"):
        store.wish(Wish.STOP)
    store.lead("one", "host:1", "local:2", {})
    with pytest.raises(Refused, match="another fleet works on this store: host:1"):
        store.lead("two", "host:2", "local:2", {})
    assert store.beat("one", {"workers": []}) is Wish.RUN
    store.wish(Wish.DRAIN)
    assert store.beat("one", {}, {"reported": 3}) is Wish.DRAIN
    monkeypatch.setattr(fleet, "GONE", timedelta(0))
    assert store.lead("two", "host:2", "local:2", {}) == {"reported": 3}
    with pytest.raises(Refused, match="taken this store over"):
        store.beat("one", {})
    store.leave("two", {})
    view = store.fleet()
    assert view is not None
    assert (view.beat, view.wish) == (None, Wish.RUN)
