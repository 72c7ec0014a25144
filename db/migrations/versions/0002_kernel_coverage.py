"""Which blocks of a leg's kernel each campaign reached."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db import types as t

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "code_maps",
        sa.Column("digest", t.Digest, primary_key=True),
        sa.Column("functions", t.Document, nullable=False),
    )
    op.create_table(
        "leg_code",
        sa.Column("leg_id", t.Number, sa.ForeignKey("legs.id"), primary_key=True),
        sa.Column("digest", t.Digest, sa.ForeignKey("code_maps.digest"), nullable=False),
    )
    op.create_table(
        "reached",
        sa.Column("id", t.Number, primary_key=True),
        sa.Column("campaign_id", t.Number, sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("leg_id", t.Number, sa.ForeignKey("legs.id"), nullable=False),
        sa.Column("case_id", t.Digest, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("after_ms", t.Count, nullable=False),
        sa.Column("blocks", t.Blob, nullable=False),
    )
    op.create_index("ix_reached_campaign_id", "reached", ["campaign_id"])
