"""What people and retests say of buckets, and who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db import types as t
from db.schema.base import Base
from db.schema.campaigns import Campaign, Leg
from db.schema.findings import Bucket, Finding

audit_buckets = Table(
    "audit_buckets",
    Base.metadata,
    Column("audit_id", t.Number, ForeignKey("audit.id"), primary_key=True),
    Column("bucket_id", t.Number, ForeignKey("buckets.id"), primary_key=True),
    Index("ix_audit_buckets_bucket_id", "bucket_id"),
)
"""Whose history an entry of the audit log belongs to."""


class Mute(Base):
    """What nobody wants to hear of: buckets whose rule and deviating legs match shell patterns,
    on kernels from `low` to `high`, until it `expires`."""

    __tablename__ = "mutes"

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    rule: Mapped[str] = mapped_column(t.Word)
    legs: Mapped[str] = mapped_column(t.Word)
    low: Mapped[str] = mapped_column(t.Word)
    high: Mapped[str] = mapped_column(t.Word)
    expires: Mapped[datetime | None] = mapped_column(t.Instant)
    reason: Mapped[str] = mapped_column(t.Prose)
    author: Mapped[str] = mapped_column(t.Word)
    created: Mapped[datetime] = mapped_column(t.Instant)
    withdrawn: Mapped[bool] = mapped_column(t.Flag)


class Retest(Base):
    """A finding was run again on a leg and showed `seen` of `tried` times. `said`: what it
    did instead, or why it could not run; `campaign_id`: the campaign that did it, if one did."""

    __tablename__ = "retests"
    __table_args__ = (Index("ix_retests_bucket_id", "bucket_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    finding_id: Mapped[int] = mapped_column(ForeignKey(Finding.id))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey(Campaign.id))
    leg_name: Mapped[str] = mapped_column(t.Word)
    leg_id: Mapped[int | None] = mapped_column(ForeignKey(Leg.id))
    seen: Mapped[int] = mapped_column(t.Number)
    tried: Mapped[int] = mapped_column(t.Number)
    said: Mapped[str] = mapped_column(t.Prose)
    created: Mapped[datetime] = mapped_column(t.Instant)

    leg: Mapped[Leg | None] = relationship()


class Cell(Base):
    """How a leg did with a bucket's case, the last time all of them were tried."""

    __tablename__ = "cells"
    __table_args__ = (UniqueConstraint("bucket_id", "leg_name"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    finding_id: Mapped[int] = mapped_column(ForeignKey(Finding.id))
    leg_name: Mapped[str] = mapped_column(t.Word)
    leg_id: Mapped[int | None] = mapped_column(ForeignKey(Leg.id))
    outcome: Mapped[str] = mapped_column(t.Word)
    said: Mapped[str] = mapped_column(t.Prose)
    created: Mapped[datetime] = mapped_column(t.Instant)

    leg: Mapped[Leg | None] = relationship()


class Kinship(Base):
    """A bucket is probably the same as another, earlier one, and why; a person or a retest
    confirms or rejects that."""

    __tablename__ = "kinships"
    __table_args__ = (
        UniqueConstraint("bucket_id", "other_id"),
        Index("ix_kinships_other_id", "other_id"),
    )

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    other_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    reason: Mapped[str] = mapped_column(t.Prose)
    source: Mapped[str] = mapped_column(t.Word)
    state: Mapped[str] = mapped_column(t.Word)
    created: Mapped[datetime] = mapped_column(t.Instant)


class Audit(Base):
    """Who changed what in triage, with enough kept to change it back: `before` and `after`
    hold the changed columns of each row, by a key such as `bucket 3` (`db.edits`)."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_subject", "subject"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    created: Mapped[datetime] = mapped_column(t.Instant)
    actor: Mapped[str] = mapped_column(t.Word)
    action: Mapped[str] = mapped_column(t.Word)
    subject: Mapped[str] = mapped_column(t.Word)
    before: Mapped[dict[str, Any]] = mapped_column(t.Document)
    after: Mapped[dict[str, Any]] = mapped_column(t.Document)
    undoes: Mapped[int | None] = mapped_column(t.Number)
    undone_by: Mapped[int | None] = mapped_column(t.Number)
