"""What campaigns reached of legs' kernels."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db import types as t
from db.schema.base import Base
from db.schema.campaigns import Campaign, CaseRow, Leg


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
