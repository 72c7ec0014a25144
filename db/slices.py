"""A fleet's slices: planned once, delivered once. Inside the caller's transaction.

What a slice found is kept in a campaign of its own. A signature counts there once, however often
the slice was begun anew and whatever arrives twice: that is what makes a delivery idempotent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, aliased

from db import blocks, kin, lifecycle, retests, sightings
from db import records as r
from db import schema as s
from db import work as w
from db.edits import now

AUTHOR = "fleet"
"""Who a slice's notes are from."""

UNFINISHED = (w.State.PLANNED.value, w.State.RUNNING.value)


def plan(db: Session, wanted: Iterable[w.SliceRecord]) -> int:
    """Enter slices that are not there yet; return how many those were."""
    added = 0
    for one in wanted:
        if db.get(s.SliceRow, one.id) is None:
            added += 1
            db.add(
                s.SliceRow(
                    id=one.id,
                    kind=one.kind,
                    leg=one.leg,
                    spec=dict(one.spec),
                    priority=one.priority,
                    state=w.State.PLANNED.value,
                    attempts=0,
                    worker="",
                    said="",
                    created=now(),
                    counts={},
                    result={},
                )
            )
            db.flush()
    return added


def begin(db: Session, slice_id: str) -> w.SliceView:
    """Note that a slice is given to a worker, once more; return it."""
    row = _row(db, slice_id)
    if row.state in UNFINISHED:
        row.state, row.started, row.attempts = w.State.RUNNING.value, now(), row.attempts + 1
    return view(row)


def put_back(db: Session, ids: Iterable[str] | None, said: str, attempt: bool) -> int:
    """Running slices, or those of them that are named, are planned again: nobody is at them.
    `attempt`: being at them counted as one."""
    query = update(s.SliceRow).where(s.SliceRow.state == w.State.RUNNING.value)
    if ids is not None:
        query = query.where(s.SliceRow.id.in_(list(ids)))
    values: dict[str, Any] = {"state": w.State.PLANNED.value, "said": said}
    if not attempt:
        values["attempts"] = s.SliceRow.attempts - 1
    done: Any = db.execute(query.values(values))
    return int(done.rowcount)


def fail(db: Session, slice_id: str, said: str) -> None:
    """Give a slice up; what it found before is kept."""
    row = _row(db, slice_id)
    if row.state in UNFINISHED:
        row.state, row.said, row.ended = w.State.FAILED.value, said, now()
        if row.campaign_id is not None:
            campaign = sightings.fetch(db, s.Campaign, row.campaign_id, "campaign")
            campaign.ended, campaign.reason = now(), "failed"


def sight(db: Session, slice_id: str, sighting: w.Sighting) -> r.StoredFinding | None:
    """Keep a finding of a slice that still runs; None if it is there already."""
    row = _row(db, slice_id)
    if row.state == w.State.DONE.value:
        return None
    campaign = _campaign(db, row, sighting.seed, sighting.legs, {})
    campaign.beat = now()
    return _finding(db, campaign, sighting.finding, sighting.known)


def deliver(db: Session, slice_id: str, worker: str, delivery: w.Delivery) -> w.Delivered:
    """Keep all that a slice brought and note that it is done, unless it was done before; return
    what it found. So who does not know whether a delivery arrived may repeat it."""
    row = _row(db, slice_id, lock=True)
    before = row.state == w.State.DONE.value
    if not before and delivery.told is not None and delivery.told.legs:
        _tell(db, row, delivery.told)
    if not before and delivery.finding:
        _follow_up(db, row, delivery)
    stored = () if row.campaign_id is None else _found(db, row.campaign_id)
    if not before:
        row.state, row.worker, row.ended, row.said = w.State.DONE.value, worker, now(), ""
        # What is known is explained by a record, and is not new.
        new = [one.new_bucket and one.status is not r.Status.KNOWN for one in stored]
        row.counts = {**delivery.counts, "buckets": sum(new)}
        row.result = dict(delivery.result)
    return w.Delivered(stored, int(row.counts["buckets"]))


def _found(db: Session, campaign_id: int) -> tuple[r.StoredFinding, ...]:
    """The findings of a campaign. A bucket is new with the first that is in it, and came back with
    the first since it did."""
    other = aliased(s.Finding)
    first = select(func.min(other.id)).where(other.bucket_id == s.Bucket.id)
    query = (
        select(
            s.Finding.id,
            s.Bucket,
            first.scalar_subquery(),
            first.where(other.created >= s.Bucket.returned).scalar_subquery(),
        )
        .join(s.Bucket, s.Bucket.id == s.Finding.bucket_id)
        .where(s.Finding.campaign_id == campaign_id)
        .order_by(s.Finding.id)
    )
    return tuple(
        r.StoredFinding(
            finding_id=number,
            bucket_id=bucket.id,
            new_bucket=number == earliest,
            regressed=number == since,
            status=r.Status(bucket.status),
            muted=bucket.muted_by is not None,
        )
        for number, bucket, earliest, since in db.execute(query)
    )


def _row(db: Session, slice_id: str, *, lock: bool = False) -> s.SliceRow:
    row = db.get(s.SliceRow, slice_id, with_for_update=lock or None)
    if row is None:
        raise r.NotFound(f"there is no slice {slice_id}")
    return row


def _campaign(
    db: Session,
    row: s.SliceRow,
    seed: int,
    legs: Iterable[r.LegRecord],
    options: Mapping[str, Any],
) -> s.Campaign:
    """The campaign that keeps what a slice finds, made when there is none."""
    if row.campaign_id is not None:
        return sightings.fetch(db, s.Campaign, row.campaign_id, "campaign")
    campaign = s.Campaign(
        started=row.started or now(),
        seed=str(seed),
        options=dict(options) | {"slice": row.id},
        statistics={},
        reason="",
        beat=now(),
        legs=[sightings.leg_row(db, leg) for leg in legs],
    )
    db.add(campaign)
    db.flush()
    row.campaign_id = campaign.id
    return campaign


def _finding(
    db: Session, campaign: s.Campaign, record: r.FindingRecord, known: tuple[str, str] | None
) -> r.StoredFinding | None:
    digest = record.signature.digest
    there = select(s.Finding.id).where(
        s.Finding.campaign_id == campaign.id, s.Finding.signature == digest
    )
    if db.scalars(there).first() is not None:
        return None
    stored = sightings.store_finding(db, campaign, record)
    if stored.new_bucket and known is not None:
        bucket = sightings.fetch(db, s.Bucket, stored.bucket_id, "bucket")
        actor, about = known
        lifecycle.set_status(db, bucket, r.Status.KNOWN, actor)
        lifecycle.add_note(db, bucket, about, actor)
    return stored


def _tell(db: Session, row: s.SliceRow, told: w.Told) -> None:
    campaign = _campaign(db, row, told.seed, told.legs, told.options)
    campaign.options = dict(told.options) | {"slice": row.id}
    for record in told.findings:
        _finding(db, campaign, record, told.known.get(record.signature.digest))
    for signature, times in told.again.items():
        bucket = sightings.bucket_of(db, signature)
        if bucket is not None:
            sightings.count(db, bucket, times)
    for incident in told.incidents:
        sightings.store_incident(db, campaign, incident)
    for leg, functions in told.functions.items():
        blocks.set_functions(db, campaign, leg, functions)
    for leg, reached in told.reached.items():
        blocks.add_reached(db, campaign, leg, reached)
    for sample in told.samples:
        db.add(
            s.Sample(campaign_id=campaign.id, after_ms=sample.after_ms, totals=dict(sample.totals))
        )
    for one, other, reason in told.akin:
        _akin(db, campaign, one, other, reason)
    campaign.statistics, campaign.reason = dict(told.statistics), told.reason
    campaign.ended = campaign.beat = now()


def _akin(
    db: Session,
    campaign: s.Campaign,
    one: r.SignatureRecord,
    other: r.SignatureRecord,
    reason: str,
) -> None:
    here = {
        bucket.id: bucket
        for bucket in map(partial(sightings.bucket_of, db), (one, other))
        if bucket
    }
    if len(here) == 2:
        first, second = (here[number] for number in sorted(here))
        kin.propose(db, second, first, reason, f"campaign {campaign.id}")


def _follow_up(db: Session, row: s.SliceRow, delivery: w.Delivery) -> None:
    finding = sightings.fetch(db, s.Finding, delivery.finding, "finding")
    bucket = sightings.fetch(db, s.Bucket, finding.bucket_id, "bucket")
    if delivery.retests:
        retests.add(db, bucket, finding.id, delivery.retests)
    if delivery.cells:
        retests.set_matrix(db, bucket, finding.id, delivery.cells)
    if delivery.note:
        lifecycle.add_note(db, bucket, delivery.note, AUTHOR)
    if delivery.smaller is not None:
        sightings.store_smaller(db, finding, delivery.smaller)


def waiting(db: Session, limit: int, kind: str | None) -> list[w.SliceView]:
    """Planned slices, of a kind or of all, those that go first in front."""
    query = select(s.SliceRow).where(s.SliceRow.state == w.State.PLANNED.value)
    if kind is not None:
        query = query.where(s.SliceRow.kind == kind)
    order = (s.SliceRow.priority.desc(), s.SliceRow.created, s.SliceRow.id)
    return list(map(view, db.scalars(query.order_by(*order).limit(limit))))


def finished(db: Session, kind: str | None, limit: int, state: w.State) -> list[w.SliceView]:
    """The last slices that ended in a state, of a kind or of all, the latest first."""
    query = select(s.SliceRow).where(s.SliceRow.state == state.value)
    if kind is not None:
        query = query.where(s.SliceRow.kind == kind)
    return list(map(view, db.scalars(query.order_by(s.SliceRow.ended.desc()).limit(limit))))


def ended(db: Session, since: datetime) -> list[w.SliceView]:
    """Slices that were done or failed after a moment, the oldest first."""
    query = select(s.SliceRow).where(s.SliceRow.ended > since).order_by(s.SliceRow.ended)
    return list(map(view, db.scalars(query)))


def some(db: Session, ids: Iterable[str]) -> list[w.SliceView]:
    """Slices by id; those that are not there are left out."""
    query = select(s.SliceRow).where(s.SliceRow.id.in_(list(ids)))
    return list(map(view, db.scalars(query.order_by(s.SliceRow.created, s.SliceRow.id))))


def unfinished(db: Session) -> list[w.SliceView]:
    """Every slice that is planned or runs."""
    query = select(s.SliceRow).where(s.SliceRow.state.in_(UNFINISHED))
    return list(map(view, db.scalars(query.order_by(s.SliceRow.created))))


def counts(db: Session) -> list[w.SliceCount]:
    """How many slices there are, by kind, leg and state."""
    row = s.SliceRow
    query = select(row.kind, row.leg, row.state, func.count()).group_by(
        row.kind, row.leg, row.state
    )
    found = [w.SliceCount(k, leg, w.State(st), n) for k, leg, st, n in db.execute(query)]
    return sorted(found, key=lambda one: (one.kind, one.leg, one.state))


def view(row: s.SliceRow) -> w.SliceView:
    """A row as read."""
    return w.SliceView(
        id=row.id,
        kind=row.kind,
        leg=row.leg,
        spec=row.spec,
        priority=row.priority,
        state=w.State(row.state),
        attempts=row.attempts,
        worker=row.worker,
        said=row.said,
        created=row.created,
        started=row.started,
        ended=row.ended,
        campaign_id=row.campaign_id,
        counts=row.counts,
        result=row.result,
    )
