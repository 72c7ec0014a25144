"""Findings that were run again, the matrix of all legs, and what follows from both."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import kin, lifecycle
from db import records as r
from db import schema as s
from db.edits import now
from db.sightings import leg_row

ENOUGH = 3
"""Times in a row that every leg which deviated has to pass before a bucket counts as fixed, at
the least."""
LUCK = 0.05
"""How likely it may be that what shows by chance passes so often without being fixed."""


def add(
    db: Session,
    bucket: s.Bucket,
    finding_id: int,
    records: Sequence[r.RetestRecord],
    campaign_id: int | None = None,
    enough: int = ENOUGH,
) -> r.Retested:
    """Note how legs did when a finding was run again. A fixed bucket that shows returns; one
    whose every deviating leg has passed `enough` times in a row is fixed, or more often where the
    finding shows by chance. Together with what its kin did, that may tell whether they are the
    same."""
    bucket.retested = now()
    finding = db.get_one(s.Finding, finding_id)
    enough = _enough((finding.reproduced, finding.attempts), enough)
    votes = lifecycle.votes_of(db, bucket.id)
    shown = False
    for record in records:
        leg = leg_row(db, record.leg) if record.leg else None
        db.add(
            s.Retest(
                bucket_id=bucket.id,
                finding_id=finding_id,
                campaign_id=campaign_id,
                leg_name=record.name,
                leg_id=leg.id if leg else None,
                seen=record.seen,
                tried=record.tried,
                said=record.said,
                created=bucket.retested,
            )
        )
        if not record.tried:
            continue
        bucket.reproduced += record.seen
        bucket.attempts += record.tried
        vote = votes.get(record.name)
        if vote is None:
            vote = votes[record.name] = lifecycle.add_vote(
                db, bucket.id, record.name, leg.id if leg else None
            )
        if record.seen:
            shown = True
            vote.passes = 0
            vote.deviated += 1
            vote.leg_id = leg.id if leg else vote.leg_id
        elif record.judged:
            vote.passes += record.tried
    returned = shown and bucket.status == r.Status.FIXED.value
    if returned:
        lifecycle.reopen(db, bucket)
    fixed = bool(not shown and _passes(votes, enough) and bucket.status in r.OPEN)
    if fixed:
        lifecycle.close(db, bucket, _releases(records))
    db.flush()
    settled = kin.weigh(db, bucket, enough)
    return r.Retested(fixed, returned, r.Status(bucket.status), tuple(settled))


def _enough(reproduced: tuple[int, int], least: int) -> int:
    """How many passes tell that a finding is fixed that showed so often of so many times. One that
    never showed again passes whatever was mended: none do."""
    shown, tried = reproduced
    if shown >= tried:
        return least
    if not shown:
        return sys.maxsize
    return max(least, math.ceil(math.log(LUCK) / math.log(1 - shown / tried)))


def _passes(votes: Mapping[str, s.Vote], enough: int) -> bool:
    affected = [vote for vote in votes.values() if vote.deviated]
    return bool(affected) and all(vote.passes >= enough for vote in affected)


def _releases(records: Sequence[r.RetestRecord]) -> str:
    """The kernels that passed, for `fixed in`."""
    found = {
        record.leg.fingerprint.get("release", "")
        for record in records
        if record.leg and record.tried and not record.seen
    }
    return ", ".join(sorted(found - {""}))[:200]


def due(db: Session, before: datetime, limit: int) -> list[int]:
    """Buckets that are open, can be run again, and were last so before a moment: those that
    nobody ran again for longest first."""
    query = (
        select(s.Bucket.id)
        .where(s.Bucket.status.in_([status.value for status in (*r.OPEN, r.Status.FIXED)]))
        .where(s.Bucket.retested.is_(None) | (s.Bucket.retested < before))
        .order_by(s.Bucket.retested.is_not(None), s.Bucket.retested, s.Bucket.id)
        .limit(limit)
    )
    return list(db.scalars(query))


def set_matrix(
    db: Session, bucket: s.Bucket, finding_id: int, cells: Sequence[r.CellRecord]
) -> None:
    """Keep how each leg did with a bucket's case; what other legs did before stays."""
    query = select(s.Cell).where(s.Cell.bucket_id == bucket.id)
    there = {cell.leg_name: cell for cell in db.scalars(query)}
    for record in cells:
        leg = leg_row(db, record.leg) if record.leg else None
        cell = there.get(record.name)
        if cell is None:
            cell = s.Cell(bucket_id=bucket.id, leg_name=record.name)
            db.add(cell)
        cell.finding_id = finding_id
        cell.leg_id = leg.id if leg else None
        cell.outcome, cell.said, cell.created = record.outcome, record.said, now()
