"""What screens and pages ask: lists, counts and curves, each in a few quick statements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from db import filters, rows
from db import records as r
from db import schema as s
from db.edits import now
from db.filters import BucketFilter, Order
from db.mutes import holds

SILENT = timedelta(seconds=90)
"""A campaign that said nothing for so long, and did not end, was cut off."""


@dataclass(frozen=True, slots=True)
class Group:
    """How many buckets are alike in what an overview shows."""

    status: r.Status
    strict: bool
    suspect: str
    muted: bool
    returned: bool
    buckets: int


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding in one line; `size`: bytes of its minimal case."""

    id: int
    campaign_id: int
    created: datetime
    minimal_id: str
    size: int
    strict: bool
    reproduced: tuple[int, int]
    gone: bool
    traced: bool


@dataclass(frozen=True, slots=True)
class SampleView:
    """Where a campaign stood, `after_ms` into it."""

    after_ms: int
    totals: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Day:
    """A day in UTC, as 2026-01-31: findings stored, and buckets first seen on it."""

    day: str
    findings: int
    new_buckets: int


def buckets(
    db: Session, wanted: BucketFilter, order: Order, limit: int | None, offset: int
) -> tuple[r.BucketView, ...]:
    """A page of buckets."""
    query = filters.ordered(wanted.apply(select(s.Bucket, filters.muted())), order)
    query = query.options(selectinload(s.Bucket.votes), selectinload(s.Bucket.notes))
    if limit is not None:
        query = query.limit(limit)
    found = db.execute(query.offset(offset) if offset else query)
    return tuple(rows.bucket_view(bucket, muted=bool(muted)) for bucket, muted in found)


def bucket(db: Session, row: s.Bucket) -> r.BucketView:
    """One bucket as read."""
    muted = db.scalars(select(filters.muted()).where(s.Bucket.id == row.id)).one()
    return rows.bucket_view(row, muted=bool(muted))


def count(db: Session, wanted: BucketFilter) -> int:
    """How many buckets there are of a kind."""
    return db.scalars(wanted.apply(select(func.count(s.Bucket.id)))).one()


def overview(db: Session, wanted: BucketFilter) -> tuple[Group, ...]:
    """How many buckets there are of each status, class and suspect."""
    returned = s.Bucket.returned.is_not(None)
    muted = filters.muted().label("muted")
    query = wanted.apply(
        select(
            *(s.Bucket.status, s.Bucket.strict, s.Bucket.suspect),
            muted,
            returned.label("returned"),
        )
    ).subquery()
    columns = (
        *(query.c.status, query.c.strict, query.c.suspect),
        *(query.c.muted, query.c.returned),
    )
    found = db.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns))
    return tuple(
        Group(r.Status(status), bool(strict), who, bool(quiet), bool(back), number)
        for status, strict, who, quiet, back, number in found
    )


def finding_lines(
    db: Session, bucket_id: int, limit: int | None, offset: int
) -> tuple[FindingLine, ...]:
    """A page of a bucket's findings: those that stand, oldest first, then those that do not."""
    f = s.Finding
    traced = select(s.TraceRow.id).where(s.TraceRow.finding_id == f.id).exists()
    query = (
        select(
            *(f.id, f.campaign_id, f.created, f.minimal_id, func.length(s.CaseRow.encoded)),
            *(f.strict, f.reproduced, f.attempts, f.gone, traced),
        )
        .join(s.CaseRow, s.CaseRow.id == f.minimal_id)
        .where(f.bucket_id == bucket_id)
        .order_by(f.gone, f.id)
    )
    if limit is not None:
        query = query.limit(limit)
    return tuple(
        FindingLine(number, campaign, created, case, size, strict, (seen, tried), gone, bool(kept))
        for number, campaign, created, case, size, strict, seen, tried, gone, kept in db.execute(
            query.offset(offset) if offset else query
        )
    )


def best_finding(db: Session, bucket_id: int) -> int | None:
    """The finding to show for a bucket: one that stands, has its traces, and is the shortest."""
    f = s.Finding
    traced = select(s.TraceRow.id).where(s.TraceRow.finding_id == f.id).exists()
    query = (
        select(f.id)
        .join(s.CaseRow, s.CaseRow.id == f.minimal_id)
        .where(f.bucket_id == bucket_id)
        .order_by(f.gone, ~traced, func.length(s.CaseRow.encoded), f.id)
    )
    return db.scalar(query.limit(1))


def smallest_cases(db: Session, bucket_ids: Iterable[int]) -> dict[int, str]:
    """The text of the case of each bucket's best finding."""
    best = {number: best_finding(db, number) for number in bucket_ids}
    query = (
        select(s.Finding.id, s.CaseRow.text)
        .join(s.CaseRow, s.CaseRow.id == s.Finding.minimal_id)
        .where(s.Finding.id.in_([one for one in best.values() if one is not None]))
    )
    texts = {row.id: row.text for row in db.execute(query)}
    return {number: texts[one] for number, one in best.items() if one in texts}


def incident_counts(db: Session, campaign_id: int | None) -> dict[str, int]:
    """How often machines broke by themselves, by kind, the most frequent first."""
    query = select(s.Incident.kind, func.count()).where(s.Incident.investigating.is_(False))
    if campaign_id is not None:
        query = query.where(s.Incident.campaign_id == campaign_id)
    found = [(kind, number) for kind, number in db.execute(query.group_by(s.Incident.kind))]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign in one line. `findings`, `buckets`: what it stored, and in how many
    buckets."""

    id: int
    started: datetime
    ended: datetime | None
    beat: datetime | None
    seed: str
    reason: str
    findings: int
    buckets: int


def campaign_lines(db: Session, limit: int, offset: int) -> tuple[CampaignLine, ...]:
    """A page of campaigns, the newest first."""
    c = s.Campaign
    query = select(c.id, c.started, c.ended, c.beat, c.seed, c.reason).order_by(c.id.desc())
    found = db.execute(query.limit(limit).offset(offset)).all()
    counted = {
        row.campaign_id: (row.findings, row.buckets)
        for row in db.execute(
            select(
                s.Finding.campaign_id,
                func.count().label("findings"),
                func.count(s.Finding.bucket_id.distinct()).label("buckets"),
            )
            .where(s.Finding.campaign_id.in_([row.id for row in found]))
            .group_by(s.Finding.campaign_id)
        )
    }
    return tuple(CampaignLine(*row, *counted.get(row.id, (0, 0))) for row in found)


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident in one line, without its log."""

    id: int
    campaign_id: int
    leg: str
    kind: str
    place: str
    case_id: str | None
    investigating: bool
    created: datetime


def incident_lines(
    db: Session, campaign_id: int | None, limit: int, offset: int
) -> tuple[IncidentLine, ...]:
    """A page of incidents, the newest first."""
    i = s.Incident
    query = select(
        *(i.id, i.campaign_id, i.leg, i.kind, i.place),
        *(i.case_id, i.investigating, i.created),
    )
    if campaign_id is not None:
        query = query.where(i.campaign_id == campaign_id)
    found = db.execute(query.order_by(i.id.desc()).limit(limit).offset(offset))
    return tuple(IncidentLine(*row) for row in found)


@dataclass(frozen=True, slots=True)
class Took:
    """A leg took part in a campaign. `cases`: how many it has run, beside those that are kept."""

    campaign_id: int
    started: datetime
    leg: r.LegRecord
    cases: int


_CASES = s.Campaign.statistics["cases"].as_integer()


def recent_legs(db: Session, campaigns: int) -> tuple[Took, ...]:
    """The legs of the last campaigns, the newest campaign first."""
    last = select(s.Campaign.id).order_by(s.Campaign.id.desc()).limit(campaigns).subquery()
    query = (
        select(s.Campaign.id, s.Campaign.started, s.Leg, _CASES)
        .join(s.campaign_legs, s.campaign_legs.c.campaign_id == s.Campaign.id)
        .join(s.Leg, s.Leg.id == s.campaign_legs.c.leg_id)
        .where(s.Campaign.id.in_(select(last.c.id)))
        .order_by(s.Campaign.id.desc(), s.Leg.id)
    )
    found = db.execute(query)
    return tuple(
        Took(number, started, rows.leg_record(leg), cases or 0)
        for number, started, leg, cases in found
    )


@dataclass(frozen=True, slots=True)
class Noted:
    """A bucket that somebody wrote a note on."""

    bucket_id: int
    status: r.Status
    count: int
    last_seen: datetime


def noted_by(db: Session, authors: Sequence[str]) -> dict[str, tuple[Noted, ...]]:
    """By author, the buckets that each wrote a note on, those seen last first."""
    b = s.Bucket
    query = (
        select(s.Note.author, b.id, b.status, b.count, b.last_seen)
        .join(b, b.id == s.Note.bucket_id)
        .where(s.Note.author.in_(authors), s.Note.withdrawn.is_(False))
        .distinct()
        .order_by(b.last_seen.desc(), b.id.desc())
    )
    found: dict[str, list[Noted]] = {}
    for author, number, status, count_, last in db.execute(query):
        found.setdefault(author, []).append(Noted(number, r.Status(status), count_, last))
    return {author: tuple(those) for author, those in found.items()}


def rule_counts(db: Session) -> dict[str, int]:
    """Buckets that want somebody to do something, by the rule that they break."""
    query = BucketFilter(statuses=r.TO_DO, muted=False).apply(
        select(s.Bucket.rule, func.count(s.Bucket.id))
    )
    found = db.execute(query.group_by(s.Bucket.rule))
    return {str(row[0]): int(row[1]) for row in found}


def cut_off(db: Session, limit: int) -> list[s.Campaign]:
    """Campaigns that neither ended nor say that they run, the newest first."""
    silent = func.coalesce(s.Campaign.beat, s.Campaign.started) < now() - SILENT
    query = select(s.Campaign).where(s.Campaign.ended.is_(None), silent)
    return list(db.scalars(query.order_by(s.Campaign.id.desc()).limit(limit)))


def running(db: Session) -> list[s.Campaign]:
    """Campaigns that run now, the newest first."""
    alive = func.coalesce(s.Campaign.beat, s.Campaign.started) >= now() - SILENT
    query = select(s.Campaign).where(s.Campaign.ended.is_(None), alive)
    return list(db.scalars(query.order_by(s.Campaign.id.desc())))


def days(db: Session, since: datetime) -> tuple[Day, ...]:
    """Findings and new buckets by day, oldest first; days without any are left out."""

    def by_day(column: Any, *where: Any) -> dict[str, int]:
        day = func.date(column).label("day")
        query = select(day, func.count()).where(column >= since, *where).group_by(day)
        return {str(day): number for day, number in db.execute(query)}

    found = by_day(s.Finding.created)
    new = by_day(s.Bucket.first_seen, s.Bucket.status != r.Status.DUPLICATE.value)
    return tuple(Day(d, found.get(d, 0), new.get(d, 0)) for d in sorted({*found, *new}))


def samples(db: Session, campaign_id: int) -> tuple[SampleView, ...]:
    """How a campaign went, oldest first."""
    query = select(s.Sample).where(s.Sample.campaign_id == campaign_id)
    found: Sequence[s.Sample] = db.scalars(query.order_by(s.Sample.after_ms, s.Sample.id)).all()
    return tuple(SampleView(one.after_ms, one.totals) for one in found)


def mutes(db: Session) -> tuple[r.MuteView, ...]:
    """Every mute, those that ended too, oldest first."""

    covered = dict(
        db.execute(
            select(s.Bucket.muted_by, func.count())
            .where(s.Bucket.muted_by.is_not(None))
            .group_by(s.Bucket.muted_by)
        ).all()
    )
    moment = now()
    return tuple(
        rows.mute_view(mute, holds=holds(mute, moment), buckets=covered.get(mute.id, 0))
        for mute in db.scalars(select(s.Mute).order_by(s.Mute.id))
    )


def history(db: Session, bucket_id: int | None, limit: int) -> tuple[r.AuditView, ...]:
    """The latest changes of a bucket, or of all, the newest first."""
    query = select(s.Audit).order_by(s.Audit.id.desc()).limit(limit)
    if bucket_id is not None:
        links = s.audit_buckets
        query = query.join(links, links.c.audit_id == s.Audit.id)
        query = query.where(links.c.bucket_id == bucket_id)
    return tuple(map(rows.audit_view, db.scalars(query)))


def campaigns_showing(db: Session, cases: Collection[str]) -> dict[int, frozenset[str]]:
    """By campaign, which of some cases are findings of it as they are."""
    f = s.Finding
    query = select(f.campaign_id, f.minimal_id).where(f.minimal_id.in_(sorted(cases))).distinct()
    found: dict[int, set[str]] = {}
    for campaign, case in db.execute(query):
        found.setdefault(campaign, set()).add(case)
    return {campaign: frozenset(seen) for campaign, seen in found.items()}
