"""What people decide about a bucket, and what follows from it. Inside the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import mutes
from db import records as r
from db import schema as s
from db.edits import AUTOMATIC, Change, now


def set_status(
    db: Session,
    bucket: s.Bucket,
    status: r.Status,
    actor: str,
    *,
    fixed_in: str = "",
    was: r.Status | None = None,
) -> None:
    """Move a bucket to another status. Raises Refused for one that was merged away, and for one
    that is not what it `was` when somebody decided."""
    if status is r.Status.DUPLICATE:
        raise r.Refused("a duplicate needs the bucket that it is the same as: merge the two")
    if bucket.status == r.Status.DUPLICATE.value:
        raise r.Refused(
            f"bucket {bucket.id} is part of bucket {bucket.duplicate_of} now: undo that, or split"
            f" bucket {bucket.duplicate_of}"
        )
    if was is not None and bucket.status != was.value:
        raise r.Refused(
            f"bucket {bucket.id} is {bucket.status} by now, no longer {was.value}: look at it again"
        )
    change = Change(db, "status", actor)
    change.set(bucket, status=status.value, returned=None)
    if fixed_in or status is not r.Status.FIXED:
        change.set(bucket, fixed_in=fixed_in)
    change.write()


def reopen(db: Session, bucket: s.Bucket) -> None:
    """A fixed bucket was seen again: it is new, and says that it returned."""
    change = Change(db, "return", AUTOMATIC)
    change.set(bucket, status=r.Status.NEW.value, returned=now())
    change.write()


def close(db: Session, bucket: s.Bucket, fixed_in: str) -> None:
    """Every leg that deviated has passed often enough: it is taken as fixed."""
    change = Change(db, "auto-fix", AUTOMATIC)
    change.set(bucket, status=r.Status.FIXED.value, fixed_in=fixed_in, returned=None)
    change.write()


def assign(
    db: Session, bucket: s.Bucket, actor: str, *, owner: str | None, link: str | None
) -> None:
    """Say who looks after a bucket, or where it is tracked; None leaves it as it is."""
    change = Change(db, "owner" if owner is not None else "link", actor)
    if owner is not None:
        change.set(bucket, owner=owner)
    if link is not None:
        change.set(bucket, link=link)
    change.write()


def add_note(db: Session, bucket: s.Bucket, text: str, actor: str) -> None:
    """Attach a note to a bucket."""
    change = Change(db, "note", actor)
    note = s.Note(
        bucket_id=bucket.id, author=change.actor, created=now(), text=text, withdrawn=False
    )
    db.add(note)
    db.flush()
    change.made(note)
    change.write()


def merge(db: Session, target: s.Bucket, others: Sequence[s.Bucket], actor: str) -> None:
    """Make `others` duplicates of `target`: it gets their findings, and what has their
    signatures from now on. Raises Refused."""
    change = Change(db, "merge", actor)
    for other in others:
        if other.id == target.id:
            raise r.Refused(f"bucket {target.id} cannot be merged with itself")
        for bucket in (target, other):
            if bucket.duplicate_of is not None:
                raise r.Refused(
                    f"bucket {bucket.id} is part of bucket {bucket.duplicate_of} already"
                )
        move(db, change, other, target, None)
        change.set(other, status=r.Status.DUPLICATE.value, duplicate_of=target.id)
        change.concerns(other.id)
    change.concerns(target.id)
    change.write()
    mutes.refresh(db, [target, *others])


def split(
    db: Session, bucket: s.Bucket, finding_ids: Sequence[int], title: str, actor: str
) -> s.Bucket:
    """Move findings of a bucket to a new one. What has their signatures follows them, unless
    findings that stay have them, too. Raises Refused."""
    wanted = sorted(set(finding_ids))
    query = select(s.Finding).where(s.Finding.id.in_(wanted), s.Finding.bucket_id == bucket.id)
    moved = list(db.scalars(query.order_by(s.Finding.id)))
    missing = sorted(set(wanted) - {finding.id for finding in moved})
    if missing:
        raise r.Refused(f"bucket {bucket.id} has no finding {missing[0]}")
    if not moved:
        raise r.Refused("no finding is named that should move")
    everything = select(func.count()).where(s.Finding.bucket_id == bucket.id)
    if db.scalars(everything).one() == len(moved):
        raise r.Refused(f"nothing would be left of bucket {bucket.id}")
    made = _offshoot(db, bucket, moved[0], title)
    change = Change(db, "split", actor)
    change.concerns(bucket.id, made.id)
    move(db, change, bucket, made, moved)
    change.set(made, status=r.Status.NEW.value, duplicate_of=None)
    change.write()
    mutes.refresh(db, [bucket, made])
    return made


def _offshoot(db: Session, bucket: s.Bucket, first: s.Finding, title: str) -> s.Bucket:
    """An empty bucket for what is split off; until the findings move, and when that is undone,
    it is a mere duplicate."""
    query = select(s.Signature).where(s.Signature.digest == first.signature)
    own = db.scalars(query).one_or_none()
    parts = own.parts if own else _parts(bucket)
    record = r.SignatureRecord(*parts)
    serial = (db.scalars(select(func.max(s.Bucket.id))).one() or 0) + 1
    made = s.Bucket(
        digest=hashlib.sha256(f"{record.digest} split {serial}".encode()).hexdigest(),
        signature=record.text,
        oracle=record.oracle,
        op_kind=record.op_kind,
        rule=record.rule,
        register_class=record.register_class,
        vl_relation=record.vl_relation,
        legs=record.legs,
        strict=bucket.strict,
        status=r.Status.DUPLICATE.value,
        duplicate_of=bucket.id,
        title=title or record.title,
        explanation=first.explanation,
        first_seen=first.created,
        last_seen=first.created,
        count=0,
        reproduced=0,
        attempts=0,
        suspect=bucket.suspect,
        owner="",
        link="",
        fixed_in="",
    )
    db.add(made)
    db.flush()
    return made


def _parts(bucket: s.Bucket) -> list[str]:
    return [
        *(bucket.oracle, bucket.op_kind, bucket.rule),
        *(bucket.register_class, bucket.vl_relation, bucket.legs),
    ]


def move(
    db: Session,
    change: Change,
    source: s.Bucket,
    target: s.Bucket,
    findings: Sequence[s.Finding] | None,
) -> None:
    """Move findings, or all that a bucket holds, with their share of its counts."""
    query = select(s.Finding.id).where(s.Finding.bucket_id == source.id).order_by(s.Finding.id)
    ids = [one.id for one in findings] if findings is not None else list(db.scalars(query))
    _move_signatures(db, change, source, target, findings)
    if findings is None:
        share = (source.count, source.reproduced, source.attempts)
    else:
        seen = sum(one.reproduced for one in findings)
        tried = sum(one.attempts for one in findings)
        share = (min(len(ids), source.count), seen, tried)
    _move_votes(db, change, source, target, findings)
    change.set_many("finding", ids, source.id, bucket_id=target.id)
    change.set(
        source,
        count=max(0, source.count - share[0]),
        reproduced=max(0, source.reproduced - share[1]),
        attempts=max(0, source.attempts - share[2]),
    )
    first = min((one.created for one in findings or ()), default=source.first_seen)
    last = max((one.created for one in findings or ()), default=source.last_seen)
    change.set(
        target,
        count=target.count + share[0],
        reproduced=target.reproduced + share[1],
        attempts=target.attempts + share[2],
        first_seen=min(target.first_seen, first),
        last_seen=max(target.last_seen, last),
        strict=target.strict or source.strict,
    )


def _move_signatures(
    db: Session,
    change: Change,
    source: s.Bucket,
    target: s.Bucket,
    findings: Sequence[s.Finding] | None,
) -> None:
    query = select(s.Signature).where(s.Signature.bucket_id == source.id)
    for signature in db.scalars(query.order_by(s.Signature.id)).all():
        if findings is not None:
            mine = {one.id for one in findings if one.signature == signature.digest}
            having = select(s.Finding.id).where(
                s.Finding.bucket_id == source.id, s.Finding.signature == signature.digest
            )
            if not mine or set(db.scalars(having)) - mine:
                continue
        change.set(signature, bucket_id=target.id)


def _move_votes(
    db: Session,
    change: Change,
    source: s.Bucket,
    target: s.Bucket,
    findings: Sequence[s.Finding] | None,
) -> None:
    theirs = votes_of(db, target.id)
    for vote in votes_of(db, source.id).values():
        if findings is None:
            deviated, agreed = vote.deviated, vote.agreed
        else:
            deviated = min(vote.deviated, sum(vote.name in one.deviating for one in findings))
            # Who agreed is not kept by finding: all that were judged and did not deviate.
            agreed = min(vote.agreed, len(findings) - deviated)
        if not deviated and not agreed:
            continue
        other = theirs.get(vote.name) or add_vote(db, target.id, vote.name, vote.leg_id)
        change.set(vote, deviated=vote.deviated - deviated, agreed=vote.agreed - agreed)
        change.set(other, deviated=other.deviated + deviated, agreed=other.agreed + agreed)


def votes_of(db: Session, bucket_id: int) -> dict[str, s.Vote]:
    """A bucket's votes by the leg's name."""
    query = select(s.Vote).where(s.Vote.bucket_id == bucket_id).order_by(s.Vote.name)
    return {vote.name: vote for vote in db.scalars(query)}


def add_vote(db: Session, bucket_id: int, name: str, leg_id: int | None) -> s.Vote:
    """A leg's votes in a bucket, with nothing counted yet."""
    vote = s.Vote(bucket_id=bucket_id, name=name, leg_id=leg_id, deviated=0, agreed=0, passes=0)
    db.add(vote)
    db.flush()
    return vote
