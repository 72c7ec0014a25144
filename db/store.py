"""The store: what is kept of campaigns and of the divergences they found.

Every writing method is one transaction, durable when it returns: a killed process or
a full disk loses nothing that was stored before. Every method raises StoreError with
one sentence when the database fails. Open a store in the process that uses it: it
does not survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self, TypeVar

from sqlalchemy import URL, Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import blocks, rows, sightings
from db import records as r
from db import schema as s
from db.reading import connect_to_read
from db.records import StoreError
from db.session import connect, in_words, parse_url, sqlite_file, writing

__all__ = ["Store", "StoreError"]

T = TypeVar("T")

_ATTEMPTS = 3


class Store:
    """An open database. Use `Store.open`; close it, or use it in a `with`."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine, self._url = engine, url

    @classmethod
    def open(cls, url: str) -> Self:
        """Open, create or migrate the database at `url` (or the SQLite file of that name)."""
        return cls(*connect(url))

    @classmethod
    def read(cls, url: str) -> Self:
        """Open the database at `url`, which must be there, to look things up: it may lie where
        nothing can be written. Raises NotFound."""
        return cls(*connect_to_read(url))

    @staticmethod
    def exists(url: str) -> bool:
        """Whether there is a database to read; servers are taken to exist."""
        path = sqlite_file(parse_url(url))
        return path is None or path.exists()

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_campaign(
        self, seed: int, legs: Iterable[r.LegRecord], options: Mapping[str, object]
    ) -> int:
        """Note that a campaign starts; return its id."""
        taking_part = list(legs)

        def work(db: Session) -> int:
            campaign = s.Campaign(
                started=sightings.now(),
                seed=str(seed),
                options=dict(options),
                statistics={},
                reason="",
                legs=[sightings.leg_row(db, leg) for leg in taking_part],
            )
            db.add(campaign)
            db.flush()
            return campaign.id

        return self._write(work)

    def update_campaign(self, campaign_id: int, statistics: Mapping[str, object]) -> None:
        """Replace the statistics of a running campaign."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            campaign.statistics = dict(statistics)

        self._write(work)

    def end_campaign(self, campaign_id: int, statistics: Mapping[str, object], reason: str) -> None:
        """Note that a campaign has ended, with its last statistics and why it ended."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            campaign.ended, campaign.reason = sightings.now(), reason
            campaign.statistics = dict(statistics)

        self._write(work)

    def add_finding(self, campaign_id: int, record: r.FindingRecord) -> r.StoredFinding:
        """Store a confirmed finding, in the bucket of its signature."""

        def work(db: Session) -> r.StoredFinding:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            return sightings.store_finding(db, campaign, record)

        return self._write(work)

    def add_incident(self, campaign_id: int, record: r.IncidentRecord) -> None:
        """Note that a leg's machine broke, complained or was lost."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            sightings.store_incident(db, campaign, record)

        self._write(work)

    def incidents(self, campaign_id: int | None = None) -> tuple[r.IncidentView, ...]:
        """What broke the machines of legs, in one campaign or in all, oldest first."""
        query = select(s.Incident).order_by(s.Incident.id)
        if campaign_id is not None:
            query = query.where(s.Incident.campaign_id == campaign_id)
        return self._read(lambda db: tuple(map(rows.incident_view, db.scalars(query))))

    def count_again(self, signature: r.SignatureRecord, times: int = 1) -> int:
        """Note that a bucket was seen again, without a finding; return its id. NotFound."""

        def work(db: Session) -> int:
            bucket = sightings.bucket_of(db, signature)
            if bucket is None:
                raise r.NotFound(f"no bucket has the signature {signature.text}")
            sightings.count(db, bucket, times)
            return bucket.id

        return self._write(work)

    def set_status(self, bucket_id: int, status: r.Status, actor: str = "") -> None:
        """Move a bucket to another triage status; the audit log keeps the old one."""

        def work(db: Session) -> None:
            bucket = sightings.fetch(db, s.Bucket, bucket_id, "bucket")
            sightings.set_status(db, bucket, status, actor)

        self._write(work)

    def add_note(self, bucket_id: int, text: str, actor: str = "") -> None:
        """Attach a note to a bucket."""

        def work(db: Session) -> None:
            bucket = sightings.fetch(db, s.Bucket, bucket_id, "bucket")
            sightings.add_note(db, bucket, text, actor)

        self._write(work)

    def buckets(
        self, status: r.Status | None = None, since: datetime | None = None
    ) -> tuple[r.BucketView, ...]:
        """Buckets, the last seen first; `since` is a bound on when they were last seen."""
        query = select(s.Bucket).order_by(s.Bucket.last_seen.desc(), s.Bucket.id.desc())
        if status is not None:
            query = query.where(s.Bucket.status == status.value)
        if since is not None:
            query = query.where(s.Bucket.last_seen >= since)
        return self._read(lambda db: tuple(map(rows.bucket_view, db.scalars(query))))

    def bucket(self, bucket_id: int) -> r.BucketView:
        """One bucket. Raises NotFound."""

        def work(db: Session) -> r.BucketView:
            return rows.bucket_view(sightings.fetch(db, s.Bucket, bucket_id, "bucket"))

        return self._read(work)

    def bucket_of(self, signature: r.SignatureRecord) -> r.BucketView | None:
        """The bucket of a signature, if it was ever seen."""

        def work(db: Session) -> r.BucketView | None:
            row = sightings.bucket_of(db, signature)
            return None if row is None else rows.bucket_view(row)

        return self._read(work)

    def findings(self, bucket_id: int) -> tuple[r.FindingView, ...]:
        """The findings of a bucket, oldest first. Raises NotFound."""

        def work(db: Session) -> tuple[r.FindingView, ...]:
            bucket = sightings.fetch(db, s.Bucket, bucket_id, "bucket")
            return tuple(map(rows.finding_view, bucket.findings))

        return self._read(work)

    def finding(self, finding_id: int) -> r.FindingView:
        """One finding. Raises NotFound."""

        def work(db: Session) -> r.FindingView:
            return rows.finding_view(sightings.fetch(db, s.Finding, finding_id, "finding"))

        return self._read(work)

    def traces(self, finding_id: int) -> tuple[r.TraceView, ...]:
        """What each leg did with the finding's minimal case; empty if not kept. NotFound."""

        def work(db: Session) -> tuple[r.TraceView, ...]:
            finding = sightings.fetch(db, s.Finding, finding_id, "finding")
            return tuple(map(rows.trace_view, finding.traces))

        return self._read(work)

    def campaigns(self) -> tuple[r.CampaignView, ...]:
        """Every campaign, newest first."""
        query = select(s.Campaign).order_by(s.Campaign.id.desc())
        return self._read(lambda db: tuple(map(rows.campaign_view, db.scalars(query))))

    def campaign(self, campaign_id: int) -> r.CampaignView:
        """One campaign. Raises NotFound."""

        def work(db: Session) -> r.CampaignView:
            return rows.campaign_view(sightings.fetch(db, s.Campaign, campaign_id, "campaign"))

        return self._read(work)

    def set_functions(
        self, campaign_id: int, leg: str, functions: Sequence[blocks.FunctionRecord]
    ) -> None:
        """Note which functions the kernel of a campaign's leg has. Raises NotFound."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            blocks.set_functions(db, campaign, leg, functions)

        self._write(work)

    def add_reached(
        self, campaign_id: int, leg: str, records: Sequence[blocks.ReachedRecord]
    ) -> None:
        """Note which cases were first to reach blocks of a leg's kernel. Raises NotFound."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            blocks.add_reached(db, campaign, leg, records)

        self._write(work)

    def coverage(self, campaign_id: int | None = None) -> tuple[blocks.LegCoverage, ...]:
        """Kernel coverage per leg, of one campaign or of all. Raises NotFound."""
        return self._read(lambda db: blocks.coverage(db, campaign_id))

    def case_texts(self, ids: Iterable[str]) -> Mapping[str, str]:
        """The text of stored cases by id; ids that are not stored are left out."""
        return self._read(lambda db: blocks.case_texts(db, ids))

    def audit(self, bucket_id: int) -> tuple[r.AuditView, ...]:
        """What was changed about a bucket, oldest first."""
        mine = s.Audit.subject == sightings.subject(bucket_id)
        query = select(s.Audit).where(mine).order_by(s.Audit.id)
        return self._read(lambda db: tuple(map(rows.audit_view, db.scalars(query))))

    def _read(self, work: Callable[[Session], T]) -> T:
        with in_words(self._url), Session(self._engine) as db:
            return work(db)

    def _write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction; again if another process was first with a row."""
        with in_words(self._url):
            for _ in range(_ATTEMPTS - 1):
                try:
                    return self._transact(work)
                except IntegrityError:
                    continue
            return self._transact(work)

    def _transact(self, work: Callable[[Session], T]) -> T:
        with Session(writing(self._engine)) as db, db.begin():
            return work(db)
