"""The slices of a fleet, and who leads it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db import types as t

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "slices",
        sa.Column("id", t.Digest, primary_key=True),
        sa.Column("kind", t.Word, nullable=False),
        sa.Column("leg", t.Word, nullable=False),
        sa.Column("spec", t.Document, nullable=False),
        sa.Column("priority", t.Number, nullable=False),
        sa.Column("state", t.Word, nullable=False),
        sa.Column("attempts", t.Number, nullable=False),
        sa.Column("worker", t.Word, nullable=False),
        sa.Column("said", t.Prose, nullable=False),
        sa.Column("created", t.Instant, nullable=False),
        sa.Column("started", t.Instant, nullable=True),
        sa.Column("ended", t.Instant, nullable=True),
        sa.Column("campaign_id", t.Number, sa.ForeignKey("campaigns.id"), nullable=True),
        sa.Column("counts", t.Document, nullable=False),
        sa.Column("result", t.Document, nullable=False),
    )
    op.create_index("ix_slices_state_priority", "slices", ["state", "priority"])
    op.create_index("ix_slices_ended", "slices", ["ended"])
    op.create_table(
        "fleet",
        sa.Column("id", t.Number, primary_key=True, autoincrement=False),
        sa.Column("holder", t.Word, nullable=False),
        sa.Column("process", t.Word, nullable=False),
        sa.Column("address", t.Prose, nullable=False),
        sa.Column("started", t.Instant, nullable=False),
        sa.Column("beat", t.Instant, nullable=True),
        sa.Column("wish", t.Word, nullable=False),
        sa.Column("options", t.Document, nullable=False),
        sa.Column("told", t.Document, nullable=False),
        sa.Column("memory", t.Document, nullable=False),
    )
