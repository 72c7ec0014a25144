"""Buckets and findings, with all that judging a finding again needs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db import types as t
from db.schema.base import Base
from db.schema.campaigns import Campaign, CaseRow, Leg


class Bucket(Base):
    """What is taken for one cause. The signature is that of the first finding, and `digest`
    names the bucket everywhere, `explanation` is what that one says; `Signature` says which
    others lead to it. `returned`: when it was seen although it was fixed. `muted_by`: the mute
    that covers it, expired or not."""

    __tablename__ = "buckets"
    __table_args__ = (
        UniqueConstraint("digest"),
        Index("ix_buckets_status_last_seen", "status", "last_seen"),
    )

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    digest: Mapped[str] = mapped_column(t.Digest)
    signature: Mapped[str] = mapped_column(t.Prose)
    oracle: Mapped[str] = mapped_column(t.Word)
    op_kind: Mapped[str] = mapped_column(t.Word)
    rule: Mapped[str] = mapped_column(t.Word)
    register_class: Mapped[str] = mapped_column(t.Word)
    vl_relation: Mapped[str] = mapped_column(t.Word)
    legs: Mapped[str] = mapped_column(t.Prose)
    strict: Mapped[bool] = mapped_column(t.Flag)
    status: Mapped[str] = mapped_column(t.Word)
    title: Mapped[str] = mapped_column(t.Prose)
    explanation: Mapped[str] = mapped_column(t.Prose)
    first_seen: Mapped[datetime] = mapped_column(t.Instant)
    last_seen: Mapped[datetime] = mapped_column(t.Instant)
    count: Mapped[int] = mapped_column(t.Count)
    reproduced: Mapped[int] = mapped_column(t.Count)
    attempts: Mapped[int] = mapped_column(t.Count)
    suspect: Mapped[str] = mapped_column(t.Word)
    owner: Mapped[str] = mapped_column(t.Word)
    link: Mapped[str] = mapped_column(t.Prose)
    fixed_in: Mapped[str] = mapped_column(t.Word)
    duplicate_of: Mapped[int | None] = mapped_column(t.Number)
    muted_by: Mapped[int | None] = mapped_column(t.Number)
    returned: Mapped[datetime | None] = mapped_column(t.Instant)
    retested: Mapped[datetime | None] = mapped_column(t.Instant)

    findings: Mapped[list[Finding]] = relationship(order_by="Finding.id")
    votes: Mapped[list[Vote]] = relationship(order_by="Vote.name")
    signatures: Mapped[list[Signature]] = relationship(order_by="Signature.id")
    notes: Mapped[list[Note]] = relationship(order_by="Note.id")


class Signature(Base):
    """Which bucket a signature leads to: a merge brings one bucket several."""

    __tablename__ = "signatures"
    __table_args__ = (
        UniqueConstraint("digest"),
        Index("ix_signatures_bucket_id", "bucket_id"),
    )

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    digest: Mapped[str] = mapped_column(t.Digest)
    parts: Mapped[list[str]] = mapped_column(t.Document)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))


class Vote(Base):
    """How often a leg deviated and agreed in a bucket's findings, and how often in a row it
    passed since, in retests. `leg_id`: the leg as it last took part."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("bucket_id", "name"),
        Index("ix_votes_name", "name"),
    )

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    name: Mapped[str] = mapped_column(t.Word)
    leg_id: Mapped[int | None] = mapped_column(ForeignKey(Leg.id))
    deviated: Mapped[int] = mapped_column(t.Count)
    agreed: Mapped[int] = mapped_column(t.Count)
    passes: Mapped[int] = mapped_column(t.Count)


class Note(Base):
    """What a person wrote about a bucket."""

    __tablename__ = "notes"
    __table_args__ = (Index("ix_notes_bucket_id", "bucket_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    author: Mapped[str] = mapped_column(t.Word)
    created: Mapped[datetime] = mapped_column(t.Instant)
    text: Mapped[str] = mapped_column(t.Prose)
    withdrawn: Mapped[bool] = mapped_column(t.Flag)


class Finding(Base):
    """One confirmed divergence. `signature`: the digest of its own; `culprit`: the
    rule that its verdict alone names. `gone`: what it shows is
    permitted after all, by a later judgement."""

    __tablename__ = "findings"
    __table_args__ = (
        Index("ix_findings_bucket_id_id", "bucket_id", "id"),
        Index("ix_findings_campaign_id_bucket_id", "campaign_id", "bucket_id"),
        Index("ix_findings_created", "created"),
    )

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey(Campaign.id))
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    minimal_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    original_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    strict: Mapped[bool] = mapped_column(t.Flag)
    oracle: Mapped[str] = mapped_column(t.Word)
    op_index: Mapped[int] = mapped_column(t.Number)
    rule: Mapped[str] = mapped_column(t.Word)
    expected: Mapped[str] = mapped_column(t.Prose)
    observed: Mapped[str] = mapped_column(t.Prose)
    explanation: Mapped[str] = mapped_column(t.Prose)
    reproduced: Mapped[int] = mapped_column(t.Number)
    attempts: Mapped[int] = mapped_column(t.Number)
    deviating: Mapped[list[str]] = mapped_column(t.Document)
    created: Mapped[datetime] = mapped_column(t.Instant)
    signature: Mapped[str] = mapped_column(t.Digest)
    culprit: Mapped[str] = mapped_column(t.Word)
    gone: Mapped[bool] = mapped_column(t.Flag)

    minimal: Mapped[CaseRow] = relationship(foreign_keys=[minimal_id])
    original: Mapped[CaseRow] = relationship(foreign_keys=[original_id])
    traces: Mapped[list[TraceRow]] = relationship(order_by="TraceRow.id")
    preceding: Mapped[list[PrecedingRow]] = relationship(order_by="PrecedingRow.position")


class PrecedingRow(Base):
    """A case that a leg has to run before a finding's minimal case."""

    __tablename__ = "preceding"

    finding_id: Mapped[int] = mapped_column(ForeignKey(Finding.id), primary_key=True)
    position: Mapped[int] = mapped_column(t.Number, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    shared: Mapped[bool] = mapped_column(t.Flag)

    case: Mapped[CaseRow] = relationship()


class TraceRow(Base):
    """What one leg did with a finding's minimal case, as `corpus.tracecode` packs it."""

    __tablename__ = "traces"
    __table_args__ = (UniqueConstraint("finding_id", "leg_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey(Finding.id))
    case_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    leg_id: Mapped[int] = mapped_column(ForeignKey(Leg.id))
    packed: Mapped[bytes] = mapped_column(t.Blob)

    leg: Mapped[Leg] = relationship()
