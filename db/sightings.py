"""What becomes of the rows when something is seen: found or made, and counted.

Functions here work inside the caller's transaction and commit nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from corpus.case import Case
from corpus.text import format_case
from db import lifecycle, mutes
from db import records as r
from db import schema as s
from db.edits import now
from db.rows import cut, trace_row
from db.suspects import Suspicion, suspect
from db.types import WORD

Row = TypeVar("Row", bound=s.Base)

KEEP_TRACES = 5
"""Findings per bucket whose traces are kept; later ones keep all but the traces."""


def fetch(db: Session, kind: type[Row], key: int, noun: str) -> Row:
    """The row with that id. Raises NotFound, which names it as a `noun`."""
    row = db.get(kind, key)
    if row is None:
        raise r.NotFound(f"there is no {noun} {key}")
    return row


def bucket_of(db: Session, signature: r.SignatureRecord) -> s.Bucket | None:
    """The bucket that a signature leads to, locked where the server can lock rows."""
    query = (
        select(s.Bucket)
        .join(s.Signature, s.Signature.bucket_id == s.Bucket.id)
        .where(s.Signature.digest == signature.digest)
        .with_for_update(of=s.Bucket)
    )
    return db.scalars(query).one_or_none()


def leg_row(db: Session, leg: r.LegRecord) -> s.Leg:
    """The row of a leg with this very fingerprint, made if there is none."""
    query = select(s.Leg).where(s.Leg.name == leg.name, s.Leg.digest == leg.digest)
    row = db.scalars(query).one_or_none()
    if row is None:
        row = s.Leg(
            name=leg.name, kind=leg.kind, fingerprint=dict(leg.fingerprint), digest=leg.digest
        )
        db.add(row)
        db.flush()
    return row


def case_row(db: Session, case: Case) -> s.CaseRow:
    """The row of a case, made if there is none."""
    row = db.get(s.CaseRow, case.id)
    if row is None:
        row = s.CaseRow(id=case.id, encoded=case.encoded, text=format_case(case))
        db.add(row)
        db.flush()
    return row


def store_finding(db: Session, campaign: s.Campaign, record: r.FindingRecord) -> r.StoredFinding:
    """Enter a finding, its cases and its traces, and count it in its bucket."""
    bucket = bucket_of(db, record.signature)
    is_new = bucket is None
    if bucket is None:
        bucket = new_bucket(db, record)
    elif bucket.status == r.Status.DUPLICATE.value:
        # It was emptied, by a change that was undone: what it stood for is here now.
        bucket.status, bucket.duplicate_of, is_new = r.Status.NEW.value, None, True
    regressed = count(db, bucket, 1)
    bucket.strict = bucket.strict or record.strict
    bucket.reproduced += record.reproduced[0]
    bucket.attempts += record.reproduced[1]
    legs = _legs_by_name(db, campaign, record)
    _vote(db, bucket, record, legs)
    finding = _enter(db, campaign, bucket, record, legs)
    return r.StoredFinding(
        finding_id=finding.id,
        bucket_id=bucket.id,
        new_bucket=is_new,
        regressed=regressed,
        status=r.Status(bucket.status),
        muted=bucket.muted_by is not None,
    )


def store_smaller(db: Session, finding: s.Finding, record: r.FindingRecord) -> None:
    """Enter a finding with a smaller case, beside the one that it was made of: nobody saw anything
    once more. One that belongs in another bucket is a finding of its own."""
    campaign = fetch(db, s.Campaign, finding.campaign_id, "campaign")
    bucket = bucket_of(db, record.signature)
    if bucket is None or bucket.id != finding.bucket_id:
        store_finding(db, campaign, record)
        return
    _enter(db, campaign, bucket, record, _legs_by_name(db, campaign, record))


def _enter(
    db: Session,
    campaign: s.Campaign,
    bucket: s.Bucket,
    record: r.FindingRecord,
    legs: Mapping[str, s.Leg],
) -> s.Finding:
    """The row of a finding, with its cases and its traces."""
    for case in (record.original, record.minimal, *(e.case for e in record.preceding)):
        case_row(db, case)
    finding = s.Finding(
        campaign_id=campaign.id,
        bucket_id=bucket.id,
        minimal_id=record.minimal.id,
        original_id=record.original.id,
        strict=record.strict,
        oracle=record.signature.oracle,
        rule=record.signature.rule,
        op_index=record.op_index,
        expected=record.expected,
        observed=record.observed,
        explanation=record.explanation,
        reproduced=record.reproduced[0],
        attempts=record.reproduced[1],
        deviating=list(record.deviating),
        created=now(),
        signature=record.signature.digest,
        culprit=record.culprit or record.signature.rule,
        gone=False,
    )
    finding.preceding = [
        s.PrecedingRow(position=position, case_id=earlier.case.id, shared=earlier.shared)
        for position, earlier in enumerate(record.preceding)
    ]
    if _findings_with_traces(db, bucket.id) < KEEP_TRACES:
        finding.traces = [
            trace_row(trace, record.minimal.id, legs[name]) for name, trace in record.traces.items()
        ]
    db.add(finding)
    db.flush()
    mutes.refresh(db, [bucket])
    return finding


def store_incident(db: Session, campaign: s.Campaign, record: r.IncidentRecord) -> None:
    """Enter what broke a leg's machine."""
    db.add(
        s.Incident(
            campaign_id=campaign.id,
            leg=record.leg,
            kind=record.kind,
            place=record.place[:WORD],
            log=cut(record.log),
            case_id=None if record.case is None else case_row(db, record.case).id,
            investigating=record.investigating,
            created=now(),
        )
    )


def count(db: Session, bucket: s.Bucket, times: int) -> bool:
    """Count sightings of a bucket; True if that brings a fixed one back."""
    bucket.count += times
    bucket.last_seen = now()
    if bucket.status != r.Status.FIXED.value:
        return False
    lifecycle.reopen(db, bucket)
    return True


def new_bucket(db: Session, record: r.FindingRecord | r.JudgedRecord) -> s.Bucket:
    """A bucket for a signature that leads nowhere yet, with nothing counted."""
    signature = record.signature
    bucket = s.Bucket(
        digest=_free_digest(db, signature),
        signature=signature.text,
        oracle=signature.oracle,
        op_kind=signature.op_kind,
        rule=signature.rule,
        register_class=signature.register_class,
        vl_relation=signature.vl_relation,
        legs=signature.legs,
        strict=record.strict,
        status=r.Status.NEW.value,
        title=signature.title,
        explanation=record.explanation,
        first_seen=now(),
        last_seen=now(),
        count=0,
        reproduced=0,
        attempts=0,
        suspect=record.suspect,
        owner="",
        link="",
        fixed_in="",
    )
    db.add(bucket)
    db.flush()
    db.add(s.Signature(digest=signature.digest, parts=list(signature.parts), bucket_id=bucket.id))
    return bucket


def _free_digest(db: Session, signature: r.SignatureRecord) -> str:
    """The bucket's name for good: the signature's digest, unless an earlier bucket, whose
    findings went elsewhere, has that."""
    digest, tries = signature.digest, 0
    while db.scalars(select(s.Bucket.id).where(s.Bucket.digest == digest)).first() is not None:
        tries += 1
        digest = hashlib.sha256(f"{signature.digest} {tries}".encode()).hexdigest()
    return digest


def _legs_by_name(
    db: Session, campaign: s.Campaign, record: r.FindingRecord
) -> Mapping[str, s.Leg]:
    """The campaign's legs; one that joined late is noted without a fingerprint."""
    legs = {leg.name: leg for leg in campaign.legs}
    for name in record.traces:
        if name not in legs:
            legs[name] = leg_row(db, r.LegRecord(name, name.partition(":")[0]))
            campaign.legs.append(legs[name])
    return legs


def _findings_with_traces(db: Session, bucket_id: int) -> int:
    query = (
        select(func.count(func.distinct(s.TraceRow.finding_id)))
        .join(s.Finding, s.Finding.id == s.TraceRow.finding_id)
        .where(s.Finding.bucket_id == bucket_id)
    )
    return db.scalars(query).one()


def _vote(
    db: Session, bucket: s.Bucket, record: r.FindingRecord, legs: Mapping[str, s.Leg]
) -> None:
    """Count who deviated and who agreed, and name the suspect by all of that together."""
    votes = lifecycle.votes_of(db, bucket.id)
    for name in sorted({*record.traces, *record.deviating}):
        leg = legs.get(name)
        vote = votes.get(name)
        if vote is None:
            vote = lifecycle.add_vote(db, bucket.id, name, leg.id if leg else None)
            votes[name] = vote
        if leg is not None:
            vote.leg_id = leg.id
        if name in record.deviating:
            vote.deviated += 1
            vote.passes = 0
        else:
            vote.agreed += 1
    if record.suspect:
        bucket.suspect = record.suspect
        return
    bucket.suspect = suspect(
        Suspicion(
            oracle=bucket.oracle,
            rule=bucket.rule,
            deviating=[name for name, vote in votes.items() if vote.deviated],
            agreeing=[name for name, vote in votes.items() if not vote.deviated],
            kinds={leg.name: leg.kind for leg in legs.values()},
            prints={leg.name: leg.fingerprint for leg in legs.values()},
        )
    )
