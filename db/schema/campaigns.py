"""Campaigns, the legs that took part, and what broke them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db import types as t
from db.schema.base import Base

campaign_legs = Table(
    "campaign_legs",
    Base.metadata,
    Column("campaign_id", t.Number, ForeignKey("campaigns.id"), primary_key=True),
    Column("leg_id", t.Number, ForeignKey("legs.id"), primary_key=True),
)


class Leg(Base):
    """One implementation under test; another fingerprint is another row."""

    __tablename__ = "legs"
    __table_args__ = (UniqueConstraint("name", "digest"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    name: Mapped[str] = mapped_column(t.Word)
    kind: Mapped[str] = mapped_column(t.Word)
    fingerprint: Mapped[dict[str, str]] = mapped_column(t.Document)
    digest: Mapped[str] = mapped_column(t.Digest)


class Campaign(Base):
    """One invocation of `run`; `ended` stays empty when the process was killed. `beat`: when
    it last said that it was there."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    started: Mapped[datetime] = mapped_column(t.Instant)
    ended: Mapped[datetime | None] = mapped_column(t.Instant)
    seed: Mapped[str] = mapped_column(t.Word)
    options: Mapped[dict[str, Any]] = mapped_column(t.Document)
    statistics: Mapped[dict[str, Any]] = mapped_column(t.Document)
    reason: Mapped[str] = mapped_column(t.Prose)
    beat: Mapped[datetime | None] = mapped_column(t.Instant)

    legs: Mapped[list[Leg]] = relationship(secondary=campaign_legs, order_by=Leg.id)


class Sample(Base):
    """Where a campaign stood at one moment, `after_ms` into it: what its curves are drawn of."""

    __tablename__ = "samples"
    __table_args__ = (Index("ix_samples_campaign_id_after_ms", "campaign_id", "after_ms"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey(Campaign.id))
    after_ms: Mapped[int] = mapped_column(t.Count)
    totals: Mapped[dict[str, Any]] = mapped_column(t.Document)


class CaseRow(Base):
    """A case by its content: `id` is `corpus.case.Case.id`."""

    __tablename__ = "cases"

    id: Mapped[str] = mapped_column(t.Digest, primary_key=True)
    encoded: Mapped[bytes] = mapped_column(t.Blob)
    text: Mapped[str] = mapped_column(t.Prose)


class Incident(Base):
    """A leg's machine broke, complained or was lost."""

    __tablename__ = "incidents"
    __table_args__ = (Index("ix_incidents_campaign_id", "campaign_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey(Campaign.id))
    leg: Mapped[str] = mapped_column(t.Word)
    kind: Mapped[str] = mapped_column(t.Word)
    place: Mapped[str] = mapped_column(t.Word)
    log: Mapped[str] = mapped_column(t.Prose)
    case_id: Mapped[str | None] = mapped_column(ForeignKey(CaseRow.id))
    investigating: Mapped[bool] = mapped_column(t.Flag)
    created: Mapped[datetime] = mapped_column(t.Instant)
