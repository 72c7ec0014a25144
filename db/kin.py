"""Buckets that probably have one cause: proposed by a machine, settled by a person or a retest."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db import lifecycle
from db import records as r
from db import schema as s
from db.edits import Change, now

PROPOSED, CONFIRMED, REJECTED = "proposed", "confirmed", "rejected"


def propose(db: Session, bucket: s.Bucket, other: s.Bucket, reason: str, source: str) -> int:
    """Note that `bucket` is probably the same as `other`, and why; return the id. What was
    settled stays so."""
    if bucket.id == other.id:
        raise r.Refused(f"bucket {bucket.id} is the same as itself, of course")
    row = _between(db, bucket.id, other.id)
    if row is None:
        row = s.Kinship(
            bucket_id=bucket.id,
            other_id=other.id,
            reason=reason,
            source=source,
            state=PROPOSED,
            created=now(),
        )
        db.add(row)
    elif row.state == PROPOSED:
        row.reason, row.source = reason, source
    db.flush()
    return row.id


def settle(db: Session, bucket: s.Bucket, other: s.Bucket, same: bool, actor: str) -> None:
    """Say that two buckets are the same, which merges `bucket` into `other`, or are not.
    Raises Refused if nothing proposes that."""
    row = _between(db, bucket.id, other.id)
    if row is None:
        raise r.Refused(f"nothing says that bucket {bucket.id} is the same as {other.id}")
    change = Change(db, "same" if same else "different", actor)
    change.concerns(bucket.id, other.id)
    change.set(row, state=CONFIRMED if same else REJECTED)
    change.write()
    if same:
        lifecycle.merge(db, other, [bucket], actor)


def of(db: Session, bucket_id: int) -> list[s.Kinship]:
    """What a bucket is probably the same as, and what is probably the same as it."""
    mine = or_(s.Kinship.bucket_id == bucket_id, s.Kinship.other_id == bucket_id)
    return list(db.scalars(select(s.Kinship).where(mine).order_by(s.Kinship.id)))


def _between(db: Session, one: int, other: int) -> s.Kinship | None:
    either = or_(
        (s.Kinship.bucket_id == one) & (s.Kinship.other_id == other),
        (s.Kinship.bucket_id == other) & (s.Kinship.other_id == one),
    )
    return db.scalars(select(s.Kinship).where(either).order_by(s.Kinship.id)).first()
