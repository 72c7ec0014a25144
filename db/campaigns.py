"""What campaigns store as they go, and what is read of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import blocks, queries, rows, sightings
from db import records as r
from db import schema as s
from db.database import Database
from db.edits import now


class CampaignStore(Database):
    """The part of the store that campaigns write to."""

    def begin_campaign(
        self, seed: int, legs: Iterable[r.LegRecord], options: Mapping[str, object]
    ) -> int:
        """Note that a campaign starts; return its id."""
        taking_part = list(legs)

        def work(db: Session) -> int:
            campaign = s.Campaign(
                started=now(),
                seed=str(seed),
                options=dict(options),
                statistics={},
                reason="",
                beat=now(),
                legs=[sightings.leg_row(db, leg) for leg in taking_part],
            )
            db.add(campaign)
            db.flush()
            return campaign.id

        return self._write(work)

    def update_campaign(
        self,
        campaign_id: int,
        statistics: Mapping[str, object],
        sample: queries.SampleView | None = None,
    ) -> None:
        """Replace the statistics of a running campaign, note that it is there, and keep a
        sample for its curves."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            campaign.statistics, campaign.beat = dict(statistics), now()
            if sample is not None:
                db.add(
                    s.Sample(
                        campaign_id=campaign_id,
                        after_ms=sample.after_ms,
                        totals=dict(sample.totals),
                    )
                )

        self._write(work)

    def end_campaign(self, campaign_id: int, statistics: Mapping[str, object], reason: str) -> None:
        """Note that a campaign has ended, with its last statistics and why it ended."""

        def work(db: Session) -> None:
            campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            campaign.ended, campaign.reason = now(), reason
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

    def incident_lines(
        self, campaign_id: int | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[queries.IncidentLine, ...]:
        """A page of incidents in short, the newest first."""
        return self._read(lambda db: queries.incident_lines(db, campaign_id, limit, offset))

    def incident(self, incident_id: int) -> r.IncidentView:
        """One incident. Raises NotFound."""

        def work(db: Session) -> r.IncidentView:
            return rows.incident_view(sightings.fetch(db, s.Incident, incident_id, "incident"))

        return self._read(work)

    def count_again(self, signature: r.SignatureRecord, times: int = 1) -> int:
        """Note that a bucket was seen again, without a finding; return its id. NotFound."""

        def work(db: Session) -> int:
            bucket = sightings.bucket_of(db, signature)
            if bucket is None:
                raise r.NotFound(f"no bucket has the signature {signature.text}")
            sightings.count(db, bucket, times)
            return bucket.id

        return self._write(work)

    def campaigns(self) -> tuple[r.CampaignView, ...]:
        """Every campaign, newest first."""
        query = select(s.Campaign).order_by(s.Campaign.id.desc())
        return self._read(lambda db: tuple(map(rows.campaign_view, db.scalars(query))))

    def campaign(self, campaign_id: int) -> r.CampaignView:
        """One campaign. Raises NotFound."""

        def work(db: Session) -> r.CampaignView:
            return rows.campaign_view(sightings.fetch(db, s.Campaign, campaign_id, "campaign"))

        return self._read(work)

    def campaigns_showing(self, cases: Collection[str]) -> dict[int, frozenset[str]]:
        """By campaign, which of some cases, by id, it found to diverge as they are."""
        return self._read(lambda db: queries.campaigns_showing(db, cases))

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

    def coverage_mark(self, campaign_id: int | None = None) -> tuple[int, int]:
        """What changes whenever kernel coverage is stored."""
        return self._read(lambda db: blocks.mark(db, campaign_id))

    def recent_legs(self, campaigns: int) -> tuple[queries.Took, ...]:
        """Which legs took part in the last campaigns, the newest first."""
        return self._read(lambda db: queries.recent_legs(db, campaigns))

    def samples(self, campaign_id: int) -> tuple[queries.SampleView, ...]:
        """How a campaign went, oldest first. Raises NotFound."""

        def work(db: Session) -> tuple[queries.SampleView, ...]:
            sightings.fetch(db, s.Campaign, campaign_id, "campaign")
            return queries.samples(db, campaign_id)

        return self._read(work)

    def campaign_lines(self, limit: int = 50, offset: int = 0) -> tuple[queries.CampaignLine, ...]:
        """A page of campaigns in short, the newest first."""
        return self._read(lambda db: queries.campaign_lines(db, limit, offset))

    def running(self) -> tuple[r.CampaignView, ...]:
        """Campaigns that run now, the newest first."""
        return self._read(lambda db: tuple(map(rows.campaign_view, queries.running(db))))

    def cut_off(self, limit: int = 3) -> tuple[r.CampaignView, ...]:
        """Campaigns whose process died before they ended, the newest first."""
        return self._read(lambda db: tuple(map(rows.campaign_view, queries.cut_off(db, limit))))

    def incident_counts(self, campaign_id: int | None = None) -> dict[str, int]:
        """How often machines broke by themselves, by kind, the most frequent first."""
        return self._read(lambda db: queries.incident_counts(db, campaign_id))
