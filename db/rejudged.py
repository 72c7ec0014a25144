"""Findings that are judged anew: what a changed specification makes of what is stored.

Inside the caller's transaction; all of it is one change, which can be undone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import lifecycle, mutes, sightings
from db import records as r
from db import schema as s
from db.edits import Change, now


def apply(db: Session, judged: Sequence[r.RejudgedRecord], actor: str) -> int:
    """Enter what became of findings; return how many rows that changed something for."""
    change = Change(db, "rejudge", actor)
    touched: dict[int, None] = {}
    changed = 0
    for one in judged:
        finding = sightings.fetch(db, s.Finding, one.finding_id, "finding")
        bucket = sightings.fetch(db, s.Bucket, finding.bucket_id, "bucket")
        touched[bucket.id] = None
        change.concerns(bucket.id)
        if one.outcome is r.Rejudged.GONE:
            change.set(finding, gone=True)
        elif one.outcome is r.Rejudged.BACK:
            change.set(finding, gone=False)
        elif one.outcome is r.Rejudged.MOVED and one.verdict:
            target = _bucket_for(db, change, one.verdict, bucket)
            touched[target.id] = None
            if target is not bucket:
                lifecycle.move(db, change, bucket, target, [finding])
            _rewrite(change, finding, one.verdict)
        elif one.outcome is r.Rejudged.NEW and one.verdict:
            target = _bucket_for(db, change, one.verdict, bucket)
            touched[target.id] = None
            _copy(db, change, finding, target, one.verdict)
        else:
            continue
        changed += 1
    for number in touched:
        _settle(db, change, sightings.fetch(db, s.Bucket, number, "bucket"))
    change.write()
    mutes.refresh(db)
    return changed


def _bucket_for(db: Session, change: Change, verdict: r.JudgedRecord, source: s.Bucket) -> s.Bucket:
    """The bucket of a verdict's signature. One that is made now is, while this change is
    undone, a mere duplicate of where it came from."""
    bucket = sightings.bucket_of(db, verdict.signature)
    if bucket is None:
        bucket = sightings.new_bucket(db, verdict)
        bucket.status, bucket.duplicate_of = r.Status.DUPLICATE.value, source.id
        bucket.suspect = bucket.suspect or source.suspect
        db.flush()
    if bucket.status == r.Status.DUPLICATE.value:
        change.set(bucket, status=r.Status.NEW.value, duplicate_of=None)
    change.concerns(bucket.id)
    return bucket


def _rewrite(change: Change, finding: s.Finding, verdict: r.JudgedRecord) -> None:
    change.set(
        finding,
        gone=False,
        oracle=verdict.signature.oracle,
        rule=verdict.signature.rule,
        signature=verdict.signature.digest,
        culprit=verdict.culprit,
        strict=verdict.strict,
        op_index=verdict.op_index,
        expected=verdict.expected,
        observed=verdict.observed,
        explanation=verdict.explanation,
        deviating=list(verdict.deviating),
    )


def _copy(
    db: Session,
    change: Change,
    finding: s.Finding,
    bucket: s.Bucket,
    verdict: r.JudgedRecord,
) -> None:
    """What the same case and traces show beside that."""
    made = s.Finding(
        campaign_id=finding.campaign_id,
        bucket_id=bucket.id,
        minimal_id=finding.minimal_id,
        original_id=finding.original_id,
        reproduced=0,
        attempts=0,
        created=now(),
        oracle=verdict.signature.oracle,
        rule=verdict.signature.rule,
        signature=verdict.signature.digest,
        culprit=verdict.culprit,
        strict=verdict.strict,
        op_index=verdict.op_index,
        expected=verdict.expected,
        observed=verdict.observed,
        explanation=verdict.explanation,
        deviating=list(verdict.deviating),
        gone=False,
    )
    query = select(s.TraceRow).where(s.TraceRow.finding_id == finding.id)
    traces = list(db.scalars(query))
    made.traces = [
        s.TraceRow(case_id=row.case_id, leg_id=row.leg_id, packed=row.packed) for row in traces
    ]
    db.add(made)
    db.flush()
    change.made(made, "gone")
    change.set(bucket, count=bucket.count + 1)
    votes = lifecycle.votes_of(db, bucket.id)
    for row in traces:
        name = row.leg.name
        vote = votes.get(name) or lifecycle.add_vote(db, bucket.id, name, row.leg_id)
        if name in verdict.deviating:
            change.set(vote, deviated=vote.deviated + 1)
        else:
            change.set(vote, agreed=vote.agreed + 1)


def _settle(db: Session, change: Change, bucket: s.Bucket) -> None:
    """A bucket of which nothing stands that could be judged was the model's doing; one in
    which something stands again is not."""
    traced = select(s.TraceRow.id).where(s.TraceRow.finding_id == s.Finding.id).exists()
    query = select(s.Finding.gone).where(s.Finding.bucket_id == bucket.id, traced)
    gone = list(db.scalars(query))
    whole = bool(gone) and all(gone)
    if whole and bucket.status in r.OPEN:
        change.set(bucket, status=r.Status.MODEL_BUG.value)
    elif gone and not whole and bucket.status == r.Status.MODEL_BUG.value:
        change.set(bucket, status=r.Status.NEW.value)
    elif not gone and bucket.count == 0 and bucket.status in r.OPEN:
        change.set(bucket, status=r.Status.MODEL_BUG.value)
