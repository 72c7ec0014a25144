"""What becomes of the rows when something is seen: found or made, counted, logged.

Functions here work inside the caller's transaction and commit nothing.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from corpus.case import Case
from corpus.text import format_case
from db import records as r
from db import schema as s
from db.rows import cut, trace_row
from db.types import WORD

Row = TypeVar("Row", bound=s.Base)

KEEP_TRACES = 5
"""Findings per bucket whose traces are kept; later ones keep all but the traces."""


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def fetch(db: Session, kind: type[Row], key: int, noun: str) -> Row:
    """The row with that id. Raises NotFound, which names it as a `noun`."""
    row = db.get(kind, key)
    if row is None:
        raise r.NotFound(f"there is no {noun} {key}")
    return row


def bucket_of(db: Session, signature: r.SignatureRecord) -> s.Bucket | None:
    """The bucket of a signature, locked where the server can lock rows."""
    query = select(s.Bucket).where(s.Bucket.digest == signature.digest).with_for_update()
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
        bucket = _new_bucket(record)
        db.add(bucket)
    regressed = count(db, bucket, 1)
    bucket.strict = bucket.strict or record.strict
    bucket.reproduced += record.reproduced[0]
    bucket.attempts += record.reproduced[1]
    bucket.votes = _voted(bucket.votes, record)
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
    )
    finding.preceding = [
        s.PrecedingRow(position=position, case_id=earlier.case.id, shared=earlier.shared)
        for position, earlier in enumerate(record.preceding)
    ]
    if _findings_with_traces(db, bucket.id) < KEEP_TRACES:
        legs = _legs_by_name(db, campaign, record)
        finding.traces = [
            trace_row(trace, record.minimal.id, legs[name]) for name, trace in record.traces.items()
        ]
    db.add(finding)
    db.flush()
    return r.StoredFinding(finding.id, bucket.id, is_new, regressed, r.Status(bucket.status))


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
    set_status(db, bucket, r.Status.REGRESSED, "vcpufuzz")
    return True


def set_status(db: Session, bucket: s.Bucket, status: r.Status, actor: str) -> None:
    """Move a bucket to another status, and log what it was."""
    before, bucket.status = bucket.status, status.value
    _log(db, bucket, actor, "status", before={"status": before}, after={"status": status.value})


def add_note(db: Session, bucket: s.Bucket, text: str, actor: str) -> None:
    """Attach a note to a bucket."""
    db.add(s.Note(bucket_id=bucket.id, author=actor or _user(), created=now(), text=text))
    _log(db, bucket, actor, "note", before={}, after={"text": text})


def subject(bucket_id: int) -> str:
    """How the audit log names a bucket."""
    return f"bucket {bucket_id}"


def _log(
    db: Session,
    bucket: s.Bucket,
    actor: str,
    action: str,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    db.add(
        s.Audit(
            created=now(),
            actor=actor or _user(),
            action=action,
            subject=subject(bucket.id),
            before=dict(before),
            after=dict(after),
        )
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _new_bucket(record: r.FindingRecord) -> s.Bucket:
    signature = record.signature
    return s.Bucket(
        digest=signature.digest,
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
        first_seen=now(),
        count=0,
        reproduced=0,
        attempts=0,
        votes={},
    )


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


def _voted(
    votes: Mapping[str, Mapping[str, int]], record: r.FindingRecord
) -> dict[str, dict[str, int]]:
    counted = {leg: dict(vote) for leg, vote in votes.items()}
    for leg in {*record.traces, *record.deviating}:
        vote = counted.setdefault(leg, {"deviated": 0, "agreed": 0})
        vote["deviated" if leg in record.deviating else "agreed"] += 1
    return counted
