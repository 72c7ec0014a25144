"""Rows into a database that may hold some of them already, under other numbers.

What is there stays as it is: a row is known by what it says (`_SAME`), never by its number, so
that importing a file twice adds nothing. Inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult, Table, insert, select
from sqlalchemy.orm import Session

from db import edits, lifecycle, mutes
from db import records as r
from db import schema as s
from db.edits import Change
from db.schema import Base
from db.transfer.form import Content

_SAME: dict[str, tuple[str, ...]] = {
    "legs": ("name", "digest"),
    "campaigns": ("started", "seed"),
    "campaign_legs": ("campaign_id", "leg_id"),
    "samples": ("campaign_id", "after_ms"),
    "cases": ("id",),
    "buckets": ("digest",),
    "signatures": ("digest",),
    "votes": ("bucket_id", "name"),
    "findings": ("campaign_id", "created", "minimal_id", "signature"),
    "preceding": ("finding_id", "position"),
    "traces": ("finding_id", "leg_id"),
    "incidents": ("campaign_id", "created", "leg", "kind", "place"),
    "notes": ("bucket_id", "created", "author"),
    "mutes": ("created", "author", "rule", "legs"),
    "retests": ("bucket_id", "finding_id", "leg_name", "created"),
    "cells": ("bucket_id", "leg_name"),
    "kinships": ("bucket_id", "other_id"),
    "audit": ("created", "actor", "action"),
    "audit_buckets": ("audit_id", "bucket_id"),
    "code_maps": ("digest",),
    "leg_code": ("leg_id",),
    "reached": ("campaign_id", "leg_id", "case_id", "after_ms"),
}
"""Table -> the columns by which a row is the same as one that is there."""

_LAST = ("audit", "audit_buckets")

_HIDDEN = {"findings": "gone", "notes": "withdrawn", "mutes": "withdrawn"}
"""Tables whose rows an undone import hides, and the flag that does."""

_REFERS = {
    "buckets": {"duplicate_of": "buckets"},
    "audit": {"undoes": "audit", "undone_by": "audit"},
}
"""References that are no foreign keys, since they may point forward."""


def enter(db: Session, content: Content, actor: str) -> r.Imported:
    """Enter what is not there yet, as one change that can be undone."""
    entry = _Entry(db, content, Change(db, "import", actor))
    return entry.run()


class _Entry:
    def __init__(self, db: Session, content: Content, change: Change) -> None:
        self._db, self._content, self._change = db, content, change
        self._new: dict[str, dict[Any, Any]] = defaultdict(dict)  # table -> number -> number here
        self._added: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._had = self._buckets_by_signature()

    def run(self) -> r.Imported:
        # The audit log tells of rows of all other tables.
        for table in sorted(Base.metadata.sorted_tables, key=lambda t: t.name in _LAST):
            for row in self._content.tables.get(table.name, ()):
                self._enter(table, row)
        self._refer()
        self._count()
        self._db.flush()
        self._change.write(f"import of {self._content.what}")
        mutes.refresh(self._db)
        return r.Imported(
            self._content.what,
            {name: len(rows) for name, rows in self._added.items() if rows},
            tuple(sorted({self._new["buckets"][old] for old in self._new["buckets"]})),
        )

    def _buckets_by_signature(self) -> dict[int, int]:
        """Buckets of the file -> those here that their signatures lead to."""
        here = {
            row.digest: row.bucket_id
            for row in self._db.execute(select(s.Signature.digest, s.Signature.bucket_id))
        }
        rows = self._content.tables.get("signatures", ())
        return {row["bucket_id"]: here[row["digest"]] for row in rows if row["digest"] in here}

    def _enter(self, table: Table, old: Mapping[str, Any]) -> None:
        row = self._translated(table, old)
        keys = [column.name for column in table.primary_key.columns]
        own = keys[0] if len(keys) == 1 else None
        there = self._there(table, old, row)
        if there is not None:
            if own:
                self._new[table.name][old[own]] = there[own]
            return
        if own == "id" and table.name != "cases":
            del row["id"]
        if table.name == "buckets":
            # While this is undone, it holds nothing and is not listed.
            row |= {"status": r.Status.DUPLICATE.value, "muted_by": None, "count": 0}
            row["duplicate_of"] = None
        done = self._db.execute(insert(table).values(row))
        if own:
            assert isinstance(done, CursorResult)
            (number,) = done.inserted_primary_key or (old[own],)
            self._new[table.name][old[own]] = number
            self._note(table.name, number, old)
        self._added[table.name].append({**old, **row, **({own: number} if own else {})})

    def _translated(self, table: Table, old: Mapping[str, Any]) -> dict[str, Any]:
        """The row with the numbers that what it refers to has here."""
        row = dict(old)
        for column in table.columns:
            for reference in column.foreign_keys:
                if row[column.name] is not None:
                    target = reference.column.table.name
                    row[column.name] = self._new[target][row[column.name]]
        for name in _REFERS.get(table.name, ()):
            row[name] = None
        if table.name == "audit":
            row |= {side: self._renamed(old[side]) for side in ("before", "after")}
        return row

    def _renamed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that an entry of the audit log changed, by the keys that rows have
        here."""
        found = {}
        for key, columns in changes.items():
            new = edits.renamed(key, self._new)
            if new is None or not isinstance(columns, dict):
                # It tells of rows that are not here: under that key nobody undoes it.
                found[f"imported {key}"] = columns
                continue
            found[new] = {
                name: self._new["buckets"].get(value, value)
                if name in ("bucket_id", "duplicate_of", "other_id")
                else value
                for name, value in columns.items()
            }
        return found

    def _there(self, table: Table, old: Mapping[str, Any], row: Mapping[str, Any]) -> Any:
        if table.name == "buckets" and old["id"] in self._had:
            return {"id": self._had[old["id"]]}
        same = [table.c[name] == row[name] for name in _SAME[table.name]]
        found = self._db.execute(select(*table.primary_key.columns).where(*same)).first()
        return None if found is None else found._mapping

    def _note(self, table: str, number: int, old: Mapping[str, Any]) -> None:
        """Remember a row that is new, so that undoing hides it."""
        flag = _HIDDEN.get(table)
        if flag and not old[flag]:
            made = self._db.get(edits.kind_of_table(table), number)
            assert made is not None
            self._change.made(made, flag)

    def _refer(self) -> None:
        """References of the audit log forward, now that all numbers are known."""
        table, names = Base.metadata.tables["audit"], _REFERS["audit"]
        numbers = self._new["audit"]
        added = {row["id"] for row in self._added.get("audit", ())}
        for old in self._content.tables.get("audit", ()):
            values = {name: numbers.get(old[name]) for name in names}
            if numbers[old["id"]] in added and any(values.values()):
                here = table.c.id == numbers[old["id"]]
                self._db.execute(table.update().where(here).values(values))

    def _count(self) -> None:
        """Counts: new buckets as they were, those that were here plus what is new to them."""
        fresh = {row["id"] for row in self._added.get("buckets", ())}
        for old in self._content.tables.get("buckets", ()):
            bucket = self._db.get(s.Bucket, self._new["buckets"][old["id"]])
            assert bucket is not None
            findings = [
                row for row in self._added.get("findings", ()) if row["bucket_id"] == bucket.id
            ]
            if bucket.id in fresh:
                target = self._new["buckets"].get(old["duplicate_of"])
                self._change.set(
                    bucket, status=old["status"], count=old["count"], duplicate_of=target
                )
            elif findings:
                self._add(bucket, findings)

    def _add(self, bucket: s.Bucket, findings: list[dict[str, Any]]) -> None:
        self._change.set(
            bucket,
            count=bucket.count + len(findings),
            reproduced=bucket.reproduced + sum(row["reproduced"] for row in findings),
            attempts=bucket.attempts + sum(row["attempts"] for row in findings),
            first_seen=min(bucket.first_seen, *(row["created"] for row in findings)),
            last_seen=max(bucket.last_seen, *(row["created"] for row in findings)),
        )
        added = {row["name"] for row in self._added.get("votes", ())}
        for name, vote in lifecycle.votes_of(self._db, bucket.id).items():
            deviated = sum(name in row["deviating"] for row in findings)
            if deviated and name not in added:
                self._change.set(vote, deviated=vote.deviated + deviated)
