"""What people decide is kept, is seen in the audit log, and can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_db_store import KVM, MODEL, ORIGINAL, RECORD, SIGNATURE

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending, Observation, Trace
from db.filters import BucketFilter, Order
from db.records import (
    CellRecord,
    FindingRecord,
    LegRecord,
    MuteRecord,
    NotFound,
    RetestRecord,
    Status,
)
from db.store import Store, StoreError

OTHER = replace(RECORD, signature=replace(SIGNATURE, register_class="p"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/t.db") as opened:
        yield opened


@pytest.fixture
def campaign(store: Store) -> int:
    return store.begin_campaign(7, [MODEL, KVM], {})


def state(store: Store) -> list[object]:
    """All that undoing has to bring back, as it is read."""
    wanted = BucketFilter(moved=True)
    return [
        (
            replace(bucket, last_seen=bucket.first_seen),
            [line.id for line in store.finding_lines(bucket.id)],
            store.signatures(bucket.id),
        )
        for bucket in store.buckets(wanted, Order.FIRST_SEEN)
    ]


def test_every_change_is_in_the_log_and_can_be_undone(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    two = store.add_finding(campaign, OTHER).bucket_id
    extra = store.add_finding(campaign, RECORD).finding_id
    store.propose_same(two, one, "its case shows the other, too", "a test")
    acts: list[Callable[[], object]] = [
        lambda: store.set_status(one, Status.FIXED, "ada", fixed_in="6.12.9"),
        lambda: store.add_note(one, "a note", "ada"),
        lambda: store.assign(one, "ada", owner="bob"),
        lambda: store.assign(one, "ada", link="https://example.org/1"),
        lambda: store.mute(MuteRecord("zreg*", "*", "noise"), "ada"),
        lambda: store.unmute(1, "ada"),
        lambda: store.split(one, [extra], actor="ada"),
        lambda: store.merge(one, [two], "ada"),
    ]
    before = [state(store)]
    for act in acts:
        act()
        before.append(state(store))
    assert len(store.history()) == len(acts)
    assert {entry.actor for entry in store.history()} == {"ada"}
    after = before.pop()
    for expected in reversed(before):
        store.undo(actor="eve")
        # The bucket that a split made stays, as an empty duplicate.
        assert [one for one in state(store) if one in expected] == expected
    for entry in [entry for entry in store.history() if entry.undoes]:
        store.undo(entry.id)
    assert state(store) == after


def test_undoing_an_undo_brings_the_change_back(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    two = store.add_finding(campaign, OTHER).bucket_id
    apart = state(store)
    store.merge(one, [two])
    merged = state(store)
    undo = store.undo()
    assert state(store) == apart
    redo = store.undo(undo.id)
    assert state(store) == merged
    with pytest.raises(StoreError, match=f"change {undo.id} is undone already, by change"):
        store.undo(undo.id)
    store.undo(redo.id)
    assert state(store) == apart
    with pytest.raises(NotFound, match="there is no change 99"):
        store.undo(99)


def test_a_change_that_others_built_upon_is_not_undone(store: Store, campaign: int) -> None:
    bucket = store.add_finding(campaign, RECORD).bucket_id
    store.set_status(bucket, Status.CONFIRMED)
    (first,) = store.audit(bucket)
    store.set_status(bucket, Status.KNOWN)
    with pytest.raises(StoreError, match=rf"change {first.id} cannot be undone: bucket 1 was"):
        store.undo(first.id)
    assert store.bucket(bucket).status is Status.KNOWN
    assert len(store.audit(bucket)) == 2


def test_what_is_counted_meanwhile_is_not_undone(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    two = store.add_finding(campaign, OTHER).bucket_id
    store.merge(one, [two])
    store.count_again(SIGNATURE, 5)
    store.undo()
    assert (store.bucket(one).count, store.bucket(two).count) == (6, 1)


def test_a_merge_moves_findings_and_leads_later_ones_there(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    two = store.add_finding(campaign, OTHER).bucket_id
    store.merge(one, [two])
    assert [line.id for line in store.finding_lines(one)] == [1, 2]
    merged = store.bucket(two)
    assert (merged.status, merged.duplicate_of, merged.count) == (Status.DUPLICATE, one, 0)
    assert store.bucket(one).votes["kvm:6.12"]["deviated"] == 2
    later = store.add_finding(campaign, OTHER)
    assert (later.bucket_id, later.new_bucket) == (one, False)
    assert [bucket.id for bucket in store.buckets()] == [one]
    for wrong in ([one], [two]):
        with pytest.raises(StoreError, match=r"cannot be merged with itself|is part of bucket"):
            store.merge(one, wrong)
    with pytest.raises(StoreError, match="bucket 2 is part of bucket 1 now"):
        store.set_status(two, Status.NEW)


def test_a_split_takes_a_signature_along_if_no_finding_of_it_stays(
    store: Store, campaign: int
) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    other = store.add_finding(campaign, OTHER)
    store.merge(one, [other.bucket_id])
    again = store.add_finding(campaign, RECORD).finding_id
    new = store.split(one, [other.finding_id], "another matter")
    assert store.bucket(new).title == "another matter"
    assert store.add_finding(campaign, OTHER).bucket_id == new
    newest = store.split(one, [again])
    assert store.add_finding(campaign, RECORD).bucket_id == one
    assert [line.id for line in store.finding_lines(newest)] == [again]
    with pytest.raises(StoreError, match=f"bucket {one} has no finding {again}"):
        store.split(one, [again])
    with pytest.raises(StoreError, match="nothing would be left"):
        store.split(newest, [again])


def test_a_mute_covers_a_bucket_only_if_it_covers_every_leg(store: Store) -> None:
    old = LegRecord("kvm:6.1:vhe", "kvm", {"release": "6.1.158"})
    new = LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.57"})
    campaign = store.begin_campaign(1, [MODEL, old, new], {})
    trace = RECORD.traces["model"]

    def found(*legs: LegRecord) -> FindingRecord:
        names = tuple(leg.name for leg in legs)
        return replace(RECORD, deviating=names, traces=dict.fromkeys(names, trace))

    bucket = store.add_finding(campaign, found(old)).bucket_id
    store.mute(MuteRecord("zreg*", "kvm:*", "old", low="6.0", high="6.1"))
    assert store.bucket(bucket).muted_by == 1
    assert store.add_finding(campaign, found(old)).muted
    assert not store.add_finding(campaign, found(old, new)).muted
    assert store.bucket(bucket).muted_by is None
    store.unmute(1)
    later = datetime.now(UTC) + timedelta(seconds=0.2)
    store.mute(MuteRecord("zreg*", "*", "for a moment", expires=later))
    assert store.bucket_count(BucketFilter(muted=True)) == 1
    while datetime.now(UTC) < later:
        pass
    assert store.bucket_count(BucketFilter(muted=True)) == 0
    assert store.bucket(bucket).muted_by is None


@pytest.mark.parametrize(
    ("mute", "sentence"),
    [
        (MuteRecord("*", "*", "all"), "would hide all that is ever found"),
        (MuteRecord("a", "*", "b", low="vi"), "'vi' is no version such as 6.12"),
        (MuteRecord("a", "*", "b", expires=datetime(2020, 1, 1, tzinfo=UTC)), "be over already"),
    ],
)
def test_a_mute_that_makes_no_sense(store: Store, mute: MuteRecord, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        store.mute(mute)
    assert store.mutes() == ()


def test_only_passes_of_every_affected_leg_fix_a_bucket(store: Store) -> None:
    legs = [LegRecord(f"kvm:{n}", "kvm", {"release": n}) for n in ("6.1", "6.12")]
    campaign = store.begin_campaign(1, legs, {})
    names = tuple(leg.name for leg in legs)
    record = replace(RECORD, deviating=names, traces=dict.fromkeys(names, RECORD.traces["model"]))
    stored = store.add_finding(campaign, record)
    finding, bucket = stored.finding_id, stored.bucket_id

    def passes(*which: LegRecord, judged: bool = True) -> list[RetestRecord]:
        return [RetestRecord(leg.name, 0, 2, leg=leg, judged=judged) for leg in which]

    assert not store.add_retest(finding, passes(legs[0])).fixed
    assert not store.add_retest(finding, passes(legs[0])).fixed
    assert not store.add_retest(finding, passes(legs[1], judged=False)).fixed
    gone = [RetestRecord("kvm:6.12", 0, 0, "it cannot be had")]
    assert not store.add_retest(finding, gone).fixed
    assert not store.add_retest(finding, passes(legs[1])).fixed  # two of three
    flaky = [RetestRecord("kvm:6.12", 1, 2, leg=legs[1])]
    assert not store.add_retest(finding, flaky).fixed  # begins anew
    assert not store.add_retest(finding, passes(legs[1])).fixed
    done = store.add_retest(finding, passes(legs[1]))
    assert (done.fixed, done.status) == (True, Status.FIXED)
    assert store.bucket(bucket).fixed_in == "6.12"
    back = store.add_retest(finding, flaky)
    assert (back.returned, back.status) == (True, Status.NEW)
    assert store.bucket(bucket).returned is not None
    assert [(one.leg, one.seen, one.tried) for one in store.retests(bucket)][:2] == [
        ("kvm:6.12", 1, 2),
        ("kvm:6.12", 0, 2),
    ]
    wontfix = store.add_finding(campaign, replace(record, signature=OTHER.signature))
    store.set_status(wontfix.bucket_id, Status.WONTFIX)
    for _ in range(2):
        store.add_retest(wontfix.finding_id, passes(*legs))
    assert store.bucket(wontfix.bucket_id).status is Status.WONTFIX


def test_what_was_never_run_again_is_due_first(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD)
    two = store.add_finding(campaign, OTHER)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    store.add_retest(one.finding_id, [RetestRecord("kvm:6.12", 1, 1)])
    assert store.due_for_retest(soon, 9) == (two.bucket_id, one.bucket_id)
    assert store.due_for_retest(datetime.now(UTC) - timedelta(minutes=1), 9) == (two.bucket_id,)
    store.set_status(two.bucket_id, Status.WONTFIX)
    assert store.due_for_retest(soon, 9) == (one.bucket_id,)


def test_a_matrix_keeps_the_last_word_of_each_leg(store: Store, campaign: int) -> None:
    stored = store.add_finding(campaign, RECORD)
    store.set_matrix(stored.finding_id, [CellRecord("a", "shows"), CellRecord("b", "passes")])
    store.set_matrix(stored.finding_id, [CellRecord("b", "absent", "no such kernel")])
    cells = [(cell.leg, cell.outcome, cell.said) for cell in store.matrix(stored.bucket_id)]
    assert cells == [("a", "shows", ""), ("b", "absent", "no such kernel")]


def test_kin_are_proposed_once_and_settled_by_a_person(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    two = store.add_finding(campaign, OTHER).bucket_id
    with pytest.raises(StoreError, match="nothing says that bucket 2 is the same as 1"):
        store.settle_same(two, one, True)
    assert store.propose_same(two, one, "guess", "a") == store.propose_same(one, two, "why", "b")
    ((kin),) = store.kin(one)
    assert (kin.reason, kin.source, kin.state) == ("why", "b", "proposed")
    store.settle_same(two, one, False)
    store.propose_same(two, one, "again", "a")
    assert store.kin(two)[0].state == "rejected"
    store.settle_same(two, one, True)
    assert store.bucket(two).duplicate_of == one
    with pytest.raises(StoreError, match="the same as itself"):
        store.propose_same(one, one, "", "")


OLD, LATER = (LegRecord("kvm:own", "kvm", {"release": release}) for release in ("6.1", "6.13"))
PASSES, SHOWS = (RetestRecord("kvm:own", seen, 3, leg=LATER) for seen in (0, 3))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (PASSES, PASSES, True),
        (PASSES, SHOWS, False),
        (SHOWS, SHOWS, None),
        (PASSES, replace(PASSES, judged=False), None),
        (PASSES, replace(PASSES, leg=replace(LATER, fingerprint={"release": "6.14"})), None),
        (replace(PASSES, leg=OLD), replace(PASSES, leg=OLD), None),  # it merely comes and goes
        (PASSES, RetestRecord("kvm:own", 0, 0, "it cannot be had"), None),
    ],
)
def test_a_retest_on_a_later_kernel_settles_what_is_the_same(
    store: Store, first: RetestRecord, second: RetestRecord, same: bool | None
) -> None:
    campaign = store.begin_campaign(1, [OLD], {})
    trace = RECORD.traces["model"]
    one, two = (
        store.add_finding(campaign, replace(one, deviating=("kvm:own",), traces={"kvm:own": trace}))
        for one in (RECORD, OTHER)
    )
    store.propose_same(two.bucket_id, one.bucket_id, "why", "a test")
    assert store.add_retest(one.finding_id, [first]).settled == ()
    told = store.add_retest(two.finding_id, [second]).settled
    state = {True: "confirmed", False: "rejected", None: "proposed"}[same]
    assert store.kin(two.bucket_id)[0].state == state
    assert len(store.proposals()) == (same is None)
    if same is None:
        assert told == ()
    else:
        assert [(s.bucket_id, s.other_id, s.same) for s in told] == [
            (two.bucket_id, one.bucket_id, same)
        ]
        assert (store.bucket(two.bucket_id).duplicate_of == one.bucket_id) is same


def test_legs_that_never_deviated_settle_nothing(store: Store) -> None:
    campaign = store.begin_campaign(1, [OLD], {})
    trace = RECORD.traces["model"]
    one, two = (
        store.add_finding(campaign, replace(one, deviating=("kvm:own",), traces={"kvm:own": trace}))
        for one in (RECORD, OTHER)
    )
    store.propose_same(two.bucket_id, one.bucket_id, "why", "a test")
    for stored in (one, two):
        done = store.add_retest(stored.finding_id, [replace(PASSES, name="kvm:other")])
        assert done.settled == ()


def test_filters_and_orders(store: Store, campaign: int) -> None:
    one = store.add_finding(campaign, RECORD).bucket_id
    second = store.begin_campaign(8, [MODEL, KVM], {})
    lenient = replace(OTHER, strict=False, explanation="100% of _underscores_ are odd")
    two = store.add_finding(second, lenient).bucket_id
    store.assign(two, owner="Ada")
    store.add_note(one, "Seen on hardware")

    def found(**conditions: object) -> list[int]:
        wanted = BucketFilter(**conditions)  # type: ignore[arg-type]
        ids = [bucket.id for bucket in store.buckets(wanted, Order.FIRST_SEEN)]
        assert store.bucket_count(wanted) == len(ids)
        return ids

    assert found() == [two, one]
    assert found(campaign=campaign) == [one]
    assert found(strict=True) == [one]
    assert found(owner="Ada") == [two]
    assert found(owner="") == [one]
    assert found(leg="kvm:*") == [two, one]
    assert found(leg="model") == []  # it agreed
    assert found(rule="zreg-*-r?n") == [two, one]
    assert found(rule="zreg_after*") == []
    assert found(text="HARDWARE") == [one]
    assert found(text="100% of _u") == [two]
    assert found(text="1000% of") == []
    assert found(suspect="kernel") == [two, one]
    assert found(first_since=datetime.now(UTC) + timedelta(days=1)) == []
    assert [b.id for b in store.buckets(order=Order.WEIGHT)] == [one, two]
    assert [b.id for b in store.buckets(limit=1, offset=1)] == [one]
    (group, other) = store.overview()
    assert {group.strict, other.strict} == {True, False}
    assert store.best_finding(one) == 1


def test_a_trace_is_kept_with_its_fault_and_the_op_that_was_under_way(
    store: Store, campaign: int
) -> None:
    fault = Fault(FaultKind.OOPS, "kvm_arm_set_reg", True, "Oops: 1")
    trace = Trace((Observation(0, 3, b"x"),), Ending.CRASH, "Oops", 2, fault)
    record = replace(RECORD, minimal=ORIGINAL, traces={"kvm:6.12": trace})
    (view,) = store.traces(store.add_finding(campaign, record).finding_id)
    assert (view.trace, view.leg) == (trace, KVM)


def test_a_campaign_that_fell_silent_was_cut_off(
    store: Store, campaign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.update_campaign(campaign, {"cases": 3})
    assert [one.id for one in store.running()] == [campaign]
    assert store.cut_off() == ()
    monkeypatch.setattr("db.queries.SILENT", timedelta(seconds=-1))
    assert [one.id for one in store.cut_off()] == [campaign]
    assert store.running() == ()
    store.end_campaign(campaign, {}, "time")
    assert store.cut_off() == ()
