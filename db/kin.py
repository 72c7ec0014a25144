"""Buckets that probably have one cause: proposed by a machine, settled by a person or a retest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db import lifecycle
from db import records as r
from db import schema as s
from db.edits import AUTOMATIC, Change, now

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


def weigh(db: Session, bucket: s.Bucket, enough: int) -> list[r.Settled]:
    """Settle what retests of a bucket and of its kin tell. Legs count on which both deviated, and
    on which both were last run again as the very same: where both passed often enough, they were
    fixed together; where one still shows and the other passed, they are two."""
    settled = []
    for row in of(db, bucket.id):
        if row.state != PROPOSED:
            continue
        one, other = db.get_one(s.Bucket, row.bucket_id), db.get_one(s.Bucket, row.other_id)
        told = set(_told(_again(db, one.id, enough), _again(db, other.id, enough)))
        if len(told) != 1 or r.Status.DUPLICATE.value in (one.status, other.status):
            continue
        (same,) = told
        settle(db, one, other, same, AUTOMATIC)
        settled.append(r.Settled(one.id, other.id, same))
    return settled


_Again = Mapping[str, tuple[int | None, bool | None]]
"""By leg that deviated: which one it was when it last ran again, and whether it passed often
enough, as another than it had deviated as; None if it neither did nor showed."""


def _again(db: Session, bucket_id: int, enough: int) -> _Again:
    found: dict[str, tuple[int | None, bool | None]] = {}
    query = select(s.Retest).where(s.Retest.bucket_id == bucket_id, s.Retest.tried > 0)
    for retest in db.scalars(query.order_by(s.Retest.id)):
        found[retest.leg_name] = retest.leg_id, False if retest.seen == retest.tried else None
    votes = lifecycle.votes_of(db, bucket_id)
    for name, (leg, shows) in list(found.items()):
        if name not in votes or not votes[name].deviated:
            del found[name]
        elif shows is None and votes[name].passes >= enough and leg != votes[name].leg_id:
            found[name] = leg, True
    return found


def _told(one: _Again, other: _Again) -> Iterator[bool]:
    """By leg, whether the two are the same."""
    for name in sorted(one.keys() & other.keys()):
        (leg, passed), (same_leg, also) = one[name], other[name]
        if leg is None or leg != same_leg or passed is None or also is None:
            continue
        if passed or also:  # where both show, nothing is told
            yield passed == also


def proposed(db: Session) -> list[s.Kinship]:
    """Every proposal that nobody settled."""
    query = select(s.Kinship).where(s.Kinship.state == PROPOSED).order_by(s.Kinship.id)
    return list(db.scalars(query))


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
