"""The work of a fleet: its slices, and who leads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db import types as t
from db.schema.base import Base
from db.schema.campaigns import Campaign


class SliceRow(Base):
    """A piece of work for one worker, by the digest of what is to be done. `state`: planned,
    running, done or failed; `campaign_id`: where what it found is kept; `counts`: what it cost
    and brought; `result`: what later slices begin with; `said`: why it failed."""

    __tablename__ = "slices"
    __table_args__ = (
        Index("ix_slices_state_priority", "state", "priority"),
        Index("ix_slices_ended", "ended"),
    )

    id: Mapped[str] = mapped_column(t.Digest, primary_key=True)
    kind: Mapped[str] = mapped_column(t.Word)
    leg: Mapped[str] = mapped_column(t.Word)
    spec: Mapped[dict[str, Any]] = mapped_column(t.Document)
    priority: Mapped[int] = mapped_column(t.Number)
    state: Mapped[str] = mapped_column(t.Word)
    attempts: Mapped[int] = mapped_column(t.Number)
    worker: Mapped[str] = mapped_column(t.Word)
    said: Mapped[str] = mapped_column(t.Prose)
    created: Mapped[datetime] = mapped_column(t.Instant)
    started: Mapped[datetime | None] = mapped_column(t.Instant)
    ended: Mapped[datetime | None] = mapped_column(t.Instant)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey(Campaign.id))
    counts: Mapped[dict[str, Any]] = mapped_column(t.Document)
    result: Mapped[dict[str, Any]] = mapped_column(t.Document)


class FleetRow(Base):
    """The one fleet of a store: who leads it, since when it was last there, what is wished of
    it, and what it says of itself."""

    __tablename__ = "fleet"

    id: Mapped[int] = mapped_column(t.Number, primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(t.Word)
    process: Mapped[str] = mapped_column(t.Word)
    address: Mapped[str] = mapped_column(t.Prose)
    started: Mapped[datetime] = mapped_column(t.Instant)
    beat: Mapped[datetime | None] = mapped_column(t.Instant)
    wish: Mapped[str] = mapped_column(t.Word)
    options: Mapped[dict[str, Any]] = mapped_column(t.Document)
    told: Mapped[dict[str, Any]] = mapped_column(t.Document)
    memory: Mapped[dict[str, Any]] = mapped_column(t.Document)
