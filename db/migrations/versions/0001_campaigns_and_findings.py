"""Campaigns, their legs, the findings and how they are triaged."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from db import types as t

revision = "0001"
down_revision = None


def upgrade() -> None:
    _campaigns()
    _findings()
    _triage()


def _id() -> sa.Column[Any]:
    return sa.Column("id", t.Number, primary_key=True)


def _col(name: str, kind: Any, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=optional)


def _ref(name: str, kind: Any, target: str) -> sa.Column[Any]:
    return sa.Column(name, kind, sa.ForeignKey(target), nullable=False)


def _campaigns() -> None:
    op.create_table(
        "legs",
        _id(),
        _col("name", t.Word),
        _col("kind", t.Word),
        _col("fingerprint", t.Document),
        _col("digest", t.Digest),
        sa.UniqueConstraint("name", "digest"),
    )
    op.create_table(
        "campaigns",
        _id(),
        _col("started", t.Instant),
        _col("ended", t.Instant, optional=True),
        _col("seed", t.Word),
        _col("options", t.Document),
        _col("statistics", t.Document),
        _col("reason", t.Prose),
    )
    op.create_table(
        "campaign_legs",
        sa.Column("campaign_id", t.Number, sa.ForeignKey("campaigns.id"), primary_key=True),
        sa.Column("leg_id", t.Number, sa.ForeignKey("legs.id"), primary_key=True),
    )


def _findings() -> None:
    op.create_table(
        "cases",
        sa.Column("id", t.Digest, primary_key=True),
        _col("encoded", t.Blob),
        _col("text", t.Prose),
    )
    op.create_table(
        "buckets",
        _id(),
        _col("digest", t.Digest),
        _col("signature", t.Prose),
        _col("oracle", t.Word),
        _col("op_kind", t.Word),
        _col("rule", t.Word),
        _col("register_class", t.Word),
        _col("vl_relation", t.Word),
        _col("legs", t.Prose),
        _col("strict", t.Flag),
        _col("status", t.Word),
        _col("title", t.Prose),
        _col("first_seen", t.Instant),
        _col("last_seen", t.Instant),
        _col("count", t.Count),
        _col("reproduced", t.Count),
        _col("attempts", t.Count),
        _col("votes", t.Document),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_buckets_status_last_seen", "buckets", ["status", "last_seen"])
    op.create_table(
        "findings",
        _id(),
        _ref("campaign_id", t.Number, "campaigns.id"),
        _ref("bucket_id", t.Number, "buckets.id"),
        _ref("minimal_id", t.Digest, "cases.id"),
        _ref("original_id", t.Digest, "cases.id"),
        _col("strict", t.Flag),
        _col("oracle", t.Word),
        _col("op_index", t.Number),
        _col("rule", t.Word),
        _col("expected", t.Prose),
        _col("observed", t.Prose),
        _col("explanation", t.Prose),
        _col("reproduced", t.Number),
        _col("attempts", t.Number),
        _col("deviating", t.Document),
        _col("created", t.Instant),
    )
    op.create_index("ix_findings_bucket_id", "findings", ["bucket_id"])
    op.create_table(
        "traces",
        _id(),
        _ref("finding_id", t.Number, "findings.id"),
        _ref("case_id", t.Digest, "cases.id"),
        _ref("leg_id", t.Number, "legs.id"),
        _col("observations", t.Blob),
        _col("ending", t.Word),
        _col("log", t.Prose),
        sa.UniqueConstraint("finding_id", "leg_id"),
    )


def _triage() -> None:
    op.create_table(
        "notes",
        _id(),
        _ref("bucket_id", t.Number, "buckets.id"),
        _col("author", t.Word),
        _col("created", t.Instant),
        _col("text", t.Prose),
    )
    op.create_index("ix_notes_bucket_id", "notes", ["bucket_id"])
    op.create_table(
        "audit",
        _id(),
        _col("created", t.Instant),
        _col("actor", t.Word),
        _col("action", t.Word),
        _col("subject", t.Word),
        _col("before", t.Document),
        _col("after", t.Document),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])
