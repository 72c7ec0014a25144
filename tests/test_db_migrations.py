"""A database of every schema that was ever released opens, with all that was in it."""

from __future__ import annotations

import hashlib
import lzma
import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from corpus import tracecode
from db.filters import BucketFilter
from db.migrate import config
from db.records import Status
from db.schema import REVISION
from db.store import Store

KEPT = sorted((Path(__file__).parent / "databases").glob("*.db.xz"))


def unpacked(packed: Path, folder: Path) -> Path:
    """A kept database as the file it was."""
    path = folder / packed.name.removesuffix(".xz")
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path


def test_a_database_of_every_older_schema_is_kept() -> None:
    revisions = {one.revision for one in ScriptDirectory.from_config(config()).walk_revisions()}
    assert {path.name.partition(".")[0] for path in KEPT} == revisions - {REVISION}


@pytest.mark.parametrize("packed", KEPT, ids=lambda path: path.name)
def test_it_migrates_and_loses_nothing(packed: Path, tmp_path: Path) -> None:
    path = unpacked(packed, tmp_path)
    old = sqlite3.connect(path)
    before = {
        row[0]: row[1:]
        for row in old.execute("SELECT id, status, count, title, last_seen FROM buckets")
    }
    returned = _returned(old)
    counts = {
        table: old.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("findings", "traces", "notes", "audit", "cases", "legs")
    }
    endings = _endings(old)
    old.close()
    with Store.open(str(path)) as store:
        found = {bucket.id: bucket for bucket in store.buckets(BucketFilter(moved=True))}
        assert found.keys() == before.keys()
        for number, bucket in found.items():
            status, count, title, last_seen = before[number]
            assert (bucket.count, bucket.title) == (count, title)
            assert f"{bucket.last_seen:%Y-%m-%d %H:%M:%S}" == last_seen[:19]
            assert (bucket.returned is not None) == (number in returned)
            new = {"regressed": "new", "ignored": "wontfix"}.get(status, status)
            assert bucket.status == Status(new)
            assert store.bucket_of(bucket.signature) == bucket
            assert bucket.suspect == "mutant"
            for finding in store.findings(number):
                assert (
                    finding.minimal.id == hashlib.sha256(finding.minimal.encoded).hexdigest()[:16]
                )
        read = [
            view.trace
            for bucket in sorted(found)
            for line in store.finding_lines(bucket)
            for view in store.traces(line.id)
        ]
        assert sorted((trace.ending.value, trace.log) for trace in read) == sorted(endings)
        assert any(trace.observations for trace in read)
        regressed = next(b for b in found.values() if b.returned)
        assert [entry.action for entry in store.audit(regressed.id)] == ["status", "status"]
        undone = store.undo(store.audit(regressed.id)[-1].id)
        assert undone.after == {f"bucket {regressed.id}": {"status": "fixed"}}
        store.campaigns()
        store.incidents()
        store.coverage()
    with sqlite3.connect(path) as new_db:
        assert new_db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert new_db.execute("PRAGMA foreign_key_check").fetchall() == []
        for table, number in counts.items():
            now = new_db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            assert now - (table == "audit") == number


def _returned(old: sqlite3.Connection) -> set[int]:
    """Buckets that were fixed and seen again: once a status, later a moment."""
    columns = {row[1] for row in old.execute("PRAGMA table_info(buckets)")}
    says = "returned IS NOT NULL" if "returned" in columns else "status = 'regressed'"
    return {row[0] for row in old.execute(f"SELECT id FROM buckets WHERE {says}")}


def _endings(old: sqlite3.Connection) -> list[tuple[str, str]]:
    """How each trace ended: once in columns, later in what is packed."""
    if any(row[1] == "ending" for row in old.execute("PRAGMA table_info(traces)")):
        return old.execute("SELECT ending, log FROM traces ORDER BY id").fetchall()
    packed = old.execute("SELECT packed FROM traces ORDER BY id")
    traces = [tracecode.unpack(row[0]) for row in packed]
    return [(trace.ending.value, trace.log) for trace in traces]
