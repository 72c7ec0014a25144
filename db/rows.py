"""Rows to records and back: nothing here decides anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from corpus import tracecode
from corpus.case import decode
from corpus.trace import Trace
from db import records as r
from db import schema as s

T = TypeVar("T")

MANY = 500
"""Rows per statement: SQLite limits the values that one may name."""
LOG_LIMIT = 1 << 18
"""Characters of a log that are kept: both ends, since a crash's cause comes first."""


def chunks(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many as one statement may name, at a time."""
    for start in range(0, len(ids), MANY):
        yield ids[start : start + MANY]


def cut(log: str) -> str:
    """`log` with its middle left out where it is too long, and without the half characters
    that a crashing kernel leaves."""
    log = log.encode("utf-8", "replace").decode()
    if len(log) <= LOG_LIMIT:
        return log
    half = LOG_LIMIT // 2
    return f"{log[:half]}\n[... {len(log) - 2 * half} characters left out ...]\n{log[-half:]}"


def trace_row(trace: Trace, case_id: str, leg: s.Leg) -> s.TraceRow:
    """A row for what `leg` did with the case."""
    return s.TraceRow(
        case_id=case_id,
        leg=leg,
        packed=tracecode.pack(replace(trace, log=cut(trace.log))),
    )


def leg_record(row: s.Leg) -> r.LegRecord:
    """A leg as read."""
    return r.LegRecord(row.name, row.kind, row.fingerprint)


def trace_view(row: s.TraceRow) -> r.TraceView:
    """A trace as read. Raises StoreError."""
    try:
        trace = tracecode.unpack(row.packed)
    except tracecode.TraceError as error:
        raise r.StoreError(f"a stored trace cannot be read: {error}") from error
    return r.TraceView(leg_record(row.leg), row.case_id, trace)


def signature_record(row: s.Bucket) -> r.SignatureRecord:
    """The signature a bucket stands for."""
    return r.SignatureRecord(
        *(row.oracle, row.op_kind, row.rule, row.register_class, row.vl_relation, row.legs)
    )


def bucket_view(row: s.Bucket, *, muted: bool) -> r.BucketView:
    """A bucket as read; `muted`: the mute it names is in force."""
    return r.BucketView(
        id=row.id,
        signature=signature_record(row),
        strict=row.strict,
        status=r.Status(row.status),
        title=row.title,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        count=row.count,
        reproduced=(row.reproduced, row.attempts),
        votes={
            vote.name: {"deviated": vote.deviated, "agreed": vote.agreed, "passes": vote.passes}
            for vote in row.votes
        },
        notes=tuple(
            r.NoteView(n.id, n.author, n.created, n.text) for n in row.notes if not n.withdrawn
        ),
        explanation=row.explanation,
        suspect=row.suspect,
        owner=row.owner,
        link=row.link,
        fixed_in=row.fixed_in,
        duplicate_of=row.duplicate_of,
        muted_by=row.muted_by if muted else None,
        returned=row.returned,
        retested=row.retested,
    )


def finding_view(row: s.Finding) -> r.FindingView:
    """A finding as read."""
    return r.FindingView(
        id=row.id,
        campaign_id=row.campaign_id,
        bucket_id=row.bucket_id,
        minimal=decode(row.minimal.encoded),
        original=decode(row.original.encoded),
        minimal_text=row.minimal.text,
        strict=row.strict,
        oracle=row.oracle,
        rule=row.rule,
        op_index=row.op_index,
        expected=row.expected,
        observed=row.observed,
        explanation=row.explanation,
        reproduced=(row.reproduced, row.attempts),
        deviating=tuple(row.deviating),
        created=row.created,
        preceding=tuple(r.Earlier(decode(p.case.encoded), p.shared) for p in row.preceding),
        gone=row.gone,
        culprit=row.culprit,
    )


def incident_view(row: s.Incident) -> r.IncidentView:
    """An incident as read."""
    return r.IncidentView(
        id=row.id,
        campaign_id=row.campaign_id,
        leg=row.leg,
        kind=row.kind,
        place=row.place,
        log=row.log,
        case_id=row.case_id,
        investigating=row.investigating,
        created=row.created,
    )


def campaign_view(row: s.Campaign) -> r.CampaignView:
    """A campaign as read."""
    return r.CampaignView(
        id=row.id,
        started=row.started,
        ended=row.ended,
        seed=row.seed,
        options=row.options,
        statistics=row.statistics,
        reason=row.reason,
        legs=tuple(leg_record(leg) for leg in row.legs),
        beat=row.beat,
    )


def audit_view(row: s.Audit) -> r.AuditView:
    """An audit entry as read."""
    return r.AuditView(
        id=row.id,
        created=row.created,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
        undoes=row.undoes,
        undone_by=row.undone_by,
    )


def mute_view(row: s.Mute, *, holds: bool, buckets: int) -> r.MuteView:
    """A mute as read."""
    return r.MuteView(
        id=row.id,
        rule=row.rule,
        legs=row.legs,
        low=row.low,
        high=row.high,
        expires=row.expires,
        reason=row.reason,
        author=row.author,
        created=row.created,
        holds=holds,
        buckets=buckets,
    )


def retest_view(row: s.Retest) -> r.RetestView:
    """A retest as read."""
    return r.RetestView(
        leg=row.leg_name,
        fingerprint=row.leg.fingerprint if row.leg else {},
        finding_id=row.finding_id,
        seen=row.seen,
        tried=row.tried,
        said=row.said,
        created=row.created,
        campaign_id=row.campaign_id,
    )


def cell_view(row: s.Cell) -> r.CellView:
    """A cell of a matrix as read."""
    return r.CellView(
        leg=row.leg_name,
        fingerprint=row.leg.fingerprint if row.leg else {},
        finding_id=row.finding_id,
        outcome=row.outcome,
        said=row.said,
        created=row.created,
    )


def kin_view(row: s.Kinship) -> r.KinView:
    """A kinship as read."""
    return r.KinView(
        *(row.id, row.bucket_id, row.other_id, row.reason, row.source, row.state, row.created)
    )
