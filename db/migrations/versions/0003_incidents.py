"""What broke the machines of legs, and the cases that a finding needs to be run first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db import types as t

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "preceding",
        sa.Column("finding_id", t.Number, sa.ForeignKey("findings.id"), primary_key=True),
        sa.Column("position", t.Number, primary_key=True),
        sa.Column("case_id", t.Digest, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("shared", t.Flag, nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("id", t.Number, primary_key=True),
        sa.Column("campaign_id", t.Number, sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("leg", t.Word, nullable=False),
        sa.Column("kind", t.Word, nullable=False),
        sa.Column("place", t.Word, nullable=False),
        sa.Column("log", t.Prose, nullable=False),
        sa.Column("case_id", t.Digest, sa.ForeignKey("cases.id"), nullable=True),
        sa.Column("investigating", t.Flag, nullable=False),
        sa.Column("created", t.Instant, nullable=False),
    )
    op.create_index("ix_incidents_campaign_id", "incidents", ["campaign_id"])
