"""The tables. Whoever changes one adds a migration; a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db import types as t

REVISION = "0003"
"""The newest migration: what a database must be at for these tables."""

VERSION_TABLE = "vcpufuzz_version"
"""Where a database says which migration it is at."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Shared metadata; constraints have names so that a migration can change them."""

    metadata = MetaData(naming_convention=NAMING)


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
    """One invocation of `run`; `ended` stays empty when the process was killed."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    started: Mapped[datetime] = mapped_column(t.Instant)
    ended: Mapped[datetime | None] = mapped_column(t.Instant)
    seed: Mapped[str] = mapped_column(t.Word)
    options: Mapped[dict[str, Any]] = mapped_column(t.Document)
    statistics: Mapped[dict[str, Any]] = mapped_column(t.Document)
    reason: Mapped[str] = mapped_column(t.Prose)

    legs: Mapped[list[Leg]] = relationship(secondary=campaign_legs, order_by=Leg.id)


class CaseRow(Base):
    """A case by its content: `id` is `corpus.case.Case.id`."""

    __tablename__ = "cases"

    id: Mapped[str] = mapped_column(t.Digest, primary_key=True)
    encoded: Mapped[bytes] = mapped_column(t.Blob)
    text: Mapped[str] = mapped_column(t.Prose)


class Bucket(Base):
    """All findings with one signature."""

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
    first_seen: Mapped[datetime] = mapped_column(t.Instant)
    last_seen: Mapped[datetime] = mapped_column(t.Instant)
    count: Mapped[int] = mapped_column(t.Count)
    reproduced: Mapped[int] = mapped_column(t.Count)
    attempts: Mapped[int] = mapped_column(t.Count)
    votes: Mapped[dict[str, dict[str, int]]] = mapped_column(t.Document)

    findings: Mapped[list[Finding]] = relationship(order_by="Finding.id")
    notes: Mapped[list[Note]] = relationship(order_by="Note.id")


class Finding(Base):
    """One confirmed divergence."""

    __tablename__ = "findings"
    __table_args__ = (Index("ix_findings_bucket_id", "bucket_id"),)

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


class TraceRow(Base):
    """What one leg did with a finding's minimal case."""

    __tablename__ = "traces"
    __table_args__ = (UniqueConstraint("finding_id", "leg_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey(Finding.id))
    case_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    leg_id: Mapped[int] = mapped_column(ForeignKey(Leg.id))
    observations: Mapped[bytes] = mapped_column(t.Blob)
    ending: Mapped[str] = mapped_column(t.Word)
    log: Mapped[str] = mapped_column(t.Prose)

    leg: Mapped[Leg] = relationship()


class Note(Base):
    """What a person wrote about a bucket."""

    __tablename__ = "notes"
    __table_args__ = (Index("ix_notes_bucket_id", "bucket_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    bucket_id: Mapped[int] = mapped_column(ForeignKey(Bucket.id))
    author: Mapped[str] = mapped_column(t.Word)
    created: Mapped[datetime] = mapped_column(t.Instant)
    text: Mapped[str] = mapped_column(t.Prose)


class Audit(Base):
    """Who changed what in triage, with enough kept to change it back."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_subject", "subject"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    created: Mapped[datetime] = mapped_column(t.Instant)
    actor: Mapped[str] = mapped_column(t.Word)
    action: Mapped[str] = mapped_column(t.Word)
    subject: Mapped[str] = mapped_column(t.Word)
    before: Mapped[dict[str, Any]] = mapped_column(t.Document)
    after: Mapped[dict[str, Any]] = mapped_column(t.Document)


class CodeMap(Base):
    """The functions of one kernel image, by the hash of this very list."""

    __tablename__ = "code_maps"

    digest: Mapped[str] = mapped_column(t.Digest, primary_key=True)
    functions: Mapped[list[list[Any]]] = mapped_column(t.Document)


class LegCode(Base):
    """Which functions a leg's blocks lie in."""

    __tablename__ = "leg_code"

    leg_id: Mapped[int] = mapped_column(ForeignKey(Leg.id), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey(CodeMap.digest))

    code: Mapped[CodeMap] = relationship()


class Reached(Base):
    """The blocks of a leg's kernel that one case reached first in its campaign."""

    __tablename__ = "reached"
    __table_args__ = (Index("ix_reached_campaign_id", "campaign_id"),)

    id: Mapped[int] = mapped_column(t.Number, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey(Campaign.id))
    leg_id: Mapped[int] = mapped_column(ForeignKey(Leg.id))
    case_id: Mapped[str] = mapped_column(ForeignKey(CaseRow.id))
    after_ms: Mapped[int] = mapped_column(t.Count)
    blocks: Mapped[bytes] = mapped_column(t.Blob)

    leg: Mapped[Leg] = relationship()
