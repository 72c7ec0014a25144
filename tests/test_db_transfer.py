"""A bucket or a database as a file: whole again elsewhere, and never half of it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_db_store import KVM, MODEL, ORIGINAL, RECORD, SIGNATURE

from db import blocks
from db.filters import BucketFilter
from db.records import (
    CellRecord,
    Earlier,
    IncidentRecord,
    MuteRecord,
    Refused,
    RetestRecord,
    Status,
)
from db.schema import REVISION
from db.store import Store
from db.transfer.form import MAGIC, Content, pack, unpack

OTHER = replace(RECORD, signature=replace(SIGNATURE, register_class="p"))


def filled(url: str) -> Store:
    """A database with something in every table."""
    store = Store.open(url)
    campaign = store.begin_campaign(7, [MODEL, KVM], {"time": "2m"})
    first = store.add_finding(campaign, replace(RECORD, preceding=(Earlier(ORIGINAL, True),)))
    second = store.add_finding(campaign, OTHER)
    store.add_finding(campaign, replace(OTHER, minimal=ORIGINAL))
    store.add_note(first.bucket_id, "a note", "ada")
    store.set_status(second.bucket_id, Status.CONFIRMED, "ada")
    store.mute(MuteRecord("no.such.rule", "*", "why not"), "ada")
    store.add_retest(first.finding_id, [RetestRecord("kvm:6.12", 1, 1, leg=KVM)])
    store.set_matrix(first.finding_id, [CellRecord("kvm:6.12", "shows", "it does", KVM)])
    store.propose_same(second.bucket_id, first.bucket_id, "alike", "a test")
    store.add_incident(campaign, IncidentRecord("kvm:6.12", "panic", "f", "log", ORIGINAL))
    store.set_functions(campaign, "kvm:6.12", [blocks.FunctionRecord(0, 64, "f", "a.c")])
    store.add_reached(campaign, "kvm:6.12", [blocks.ReachedRecord(ORIGINAL, 5, [0, 4])])
    store.end_campaign(campaign, {"cases": 3}, "time")
    return store


def told(store: Store) -> list[object]:
    """All that a person can read of a database, without the numbers that differ elsewhere."""
    found: list[object] = []
    for bucket in store.buckets(BucketFilter(moved=True)):
        notes = tuple(replace(note, id=0) for note in bucket.notes)
        found.append(
            (
                replace(bucket, id=0, notes=notes),
                [
                    (
                        replace(store.finding(line.id), id=0, campaign_id=0, bucket_id=0),
                        store.traces(line.id),
                    )
                    for line in store.finding_lines(bucket.id)
                ],
                store.signatures(bucket.id),
                [replace(one, finding_id=0) for one in store.matrix(bucket.id)],
                [replace(one, finding_id=0, campaign_id=0) for one in store.retests(bucket.id)],
            )
        )
    return found


def others(store: Store) -> list[object]:
    """The rest of it."""
    return [
        [replace(one, id=0) for one in store.campaigns()],
        [replace(one, id=0, campaign_id=0) for one in store.incidents()],
        store.coverage(),
        [replace(one, id=0) for one in store.mutes()],
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    with filled(f"sqlite:///{tmp_path_factory.mktemp('full')}/t.db") as store:
        return store.export()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/empty.db") as store:
        yield store


def test_a_database_is_whole_again_elsewhere(tmp_path: Path, empty: Store) -> None:
    with filled(f"sqlite:///{tmp_path}/full.db") as full:
        data = full.export()
        done = empty.import_(data, "x", "ada")
        assert told(empty) == told(full)
        assert others(empty) == others(full)
        assert [e.action for e in empty.history()] == [
            "import",
            *(e.action for e in full.history()),
        ]
        assert done.rows["findings"] == 3
        again = empty.import_(data, "x", "ada")
        assert again.rows == {}
        assert told(empty) == told(full)
        assert len(empty.kin(1)) == 1


def test_every_table_is_in_the_test(exported: bytes) -> None:
    assert [name for name, rows in unpack(exported, "x").tables.items() if not rows] == ["samples"]


def test_numbers_are_others_where_there_is_something_already(tmp_path: Path, empty: Store) -> None:
    campaign = empty.begin_campaign(1, [MODEL], {})
    mine = replace(SIGNATURE, rule="mine")
    for number in range(3):
        signature = replace(mine, register_class=str(number))
        empty.add_finding(campaign, replace(RECORD, signature=signature))
    before = told(empty)
    with filled(f"sqlite:///{tmp_path}/full.db") as full:
        theirs = told(full)
        data = full.export()
    empty.import_(data, "x")
    after = told(empty)
    assert all(one in after for one in (*before, *theirs))
    assert len(after) == len(before) + len(theirs)
    status = next(e for e in empty.history() if e.action == "status")
    (bucket,) = status.after
    number = int(bucket.removeprefix("bucket "))
    assert empty.bucket(number).status is Status.CONFIRMED
    empty.undo(status.id)
    assert empty.bucket(number).status is Status.NEW


def test_a_bucket_goes_into_a_database_that_knows_it(tmp_path: Path, empty: Store) -> None:
    campaign = empty.begin_campaign(1, [MODEL, KVM], {})
    mine = empty.add_finding(campaign, RECORD).bucket_id
    other = empty.add_finding(campaign, OTHER).bucket_id
    empty.merge(mine, [other])
    empty.set_status(mine, Status.KNOWN)
    with filled(f"sqlite:///{tmp_path}/full.db") as full:
        data = full.export(2)
    done = empty.import_(data, "x", "ada")
    assert done.buckets == (mine,)  # where its signature leads here
    bucket = empty.bucket(mine)
    assert (bucket.status, bucket.count) == (Status.KNOWN, 4)
    assert bucket.votes["kvm:6.12"]["deviated"] == 4
    empty.undo()
    assert empty.bucket(mine).count == 2
    assert [line.gone for line in empty.finding_lines(mine)] == [False, False, True, True]


def test_an_import_can_be_undone_and_redone(exported: bytes, empty: Store) -> None:
    empty.import_(exported, "x", "ada")
    whole = told(empty)
    undo = empty.undo()
    assert empty.buckets() == ()
    empty.undo(undo.id)
    assert told(empty) == whole


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused(exported: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(exported) - 1))
    end = data.draw(st.integers(start, len(exported)))
    put = data.draw(st.binary(max_size=20))
    damaged = exported[:start] + put + exported[end:]
    if damaged == exported:
        return
    with pytest.raises(Refused, match=r"f\.x (is no export|is damaged)") as caught:
        unpack(damaged, "f.x")
    assert "\n" not in str(caught.value)


def altered(exported: bytes, table: str, **values: Any) -> bytes:
    """The file with a row's columns changed, and a digest that is right again."""
    content = unpack(exported, "x")
    content.tables[table][0].update(values)
    return pack(content.what, content.tables)


@pytest.mark.parametrize(
    ("table", "values", "sentence"),
    [
        ("buckets", {"status": "odd"}, "row 1 of buckets has an unknown status 'odd'"),
        ("buckets", {"count": "many"}, "row 1 of buckets has no count that could be"),
        ("buckets", {"count": True}, "row 1 of buckets has no count that could be"),
        ("buckets", {"last_seen": 3}, "row 1 of buckets has no last_seen that could be"),
        ("buckets", {"more": 1}, "row 1 of buckets has a column too many or too few: more"),
        ("findings", {"bucket_id": 77}, "row 1 of findings refers to buckets 77, which is not"),
        ("findings", {"bucket_id": None}, "row 1 of findings has no bucket_id that could be"),
        ("cases", {"id": "0" * 16}, "refers to cases|under a wrong name"),
        ("traces", {"packed": b"odd"}, "row 1 of traces is a trace that cannot be read"),
    ],
)
def test_a_file_with_a_right_digest_and_wrong_content_changes_nothing(
    exported: bytes, empty: Store, table: str, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        empty.import_(altered(exported, table, **values), "f.x")
    assert empty.buckets(BucketFilter(moved=True)) == ()
    assert empty.campaigns() == ()


def _wrapped(content: Content) -> bytes:
    body = zlib.compress(msgspec.msgpack.encode(content))
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (Content(2, REVISION, "9", "B1", {}), "was written by a newer vcpufuzz"),
        (Content(1, "9999", "9", "B1", {}), "was written by a newer vcpufuzz"),
        (Content(1, "0003", "0", "B1", {}), "was written by an older vcpufuzz"),
        (Content(1, REVISION, "0", "B1", {"bookmarks": []}), "holds a table 'bookmarks'"),
    ],
)
def test_versions_are_told_apart(content: Content, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        unpack(_wrapped(content), "f.x")
