"""Rows out of a database: those of one bucket with all they need, or all there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from db import schema as s
from db.schema import Base
from db.transfer.form import Rows

_MANY = 500

_OF_THIS_STORE = {s.FleetRow.__tablename__, s.SliceRow.__tablename__}
"""Tables that say who is at work on this very store, which is not so elsewhere."""


def database(db: Session) -> Rows:
    """Every row of every table of what was found and decided."""
    return {
        table.name: [dict(row._mapping) for row in db.execute(select(table))]
        for table in Base.metadata.sorted_tables
        if table.name not in _OF_THIS_STORE
    }


def bucket(db: Session, bucket_id: int) -> Rows:
    """A bucket, its findings, and what those refer to: cases, traces, legs and campaigns."""
    taken: Rows = {}

    def take(table: Any, column: Any, keys: Iterable[Any]) -> list[dict[str, Any]]:
        plain: Table = table if isinstance(table, Table) else table.__table__
        found = list(_where(db, plain, column, keys))
        taken.setdefault(plain.name, []).extend(found)
        return found

    take(s.Bucket, s.Bucket.id, [bucket_id])
    take(s.Signature, s.Signature.bucket_id, [bucket_id])
    take(s.Note, s.Note.bucket_id, [bucket_id])
    votes = take(s.Vote, s.Vote.bucket_id, [bucket_id])
    findings = take(s.Finding, s.Finding.bucket_id, [bucket_id])
    numbers = [row["id"] for row in findings]
    retests = take(s.Retest, s.Retest.bucket_id, [bucket_id])
    cells = take(s.Cell, s.Cell.bucket_id, [bucket_id])
    # A retest may be of a finding that moved elsewhere since.
    elsewhere = {row["finding_id"] for row in (*retests, *cells)} - set(numbers)
    for name, rows in (("retests", retests), ("cells", cells)):
        taken[name] = [row for row in rows if row["finding_id"] not in elsewhere]
    traces = take(s.TraceRow, s.TraceRow.finding_id, numbers)
    preceding = take(s.PrecedingRow, s.PrecedingRow.finding_id, numbers)
    campaigns = {row["campaign_id"] for row in (*findings, *retests)} - {None}
    take(s.Campaign, s.Campaign.id, campaigns)
    links = take(s.campaign_legs, s.campaign_legs.c.campaign_id, campaigns)
    legs = {row["leg_id"] for row in (*votes, *retests, *cells, *traces, *links)} - {None}
    take(s.Leg, s.Leg.id, legs)
    cases = {row[name] for row in findings for name in ("minimal_id", "original_id")}
    cases |= {row["case_id"] for row in (*traces, *preceding)}
    take(s.CaseRow, s.CaseRow.id, cases)
    return taken


def _where(db: Session, table: Table, column: Any, keys: Iterable[Any]) -> Iterator[dict[str, Any]]:
    wanted = sorted(keys)
    for start in range(0, len(wanted), _MANY):
        query = select(table).where(column.in_(wanted[start : start + _MANY]))
        yield from (dict(row._mapping) for row in db.execute(query))
