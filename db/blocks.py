"""What is kept of kernel coverage: functions per leg, and which case reached what first."""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from corpus.case import Case
from db import records as r
from db import schema as s
from db import sightings
from db.rows import chunks, leg_record


@dataclass(frozen=True, slots=True)
class FunctionRecord:
    """A function of a leg's kernel: where its code lies, in bytes from the start of the
    text, and the part of the source it comes from."""

    offset: int
    size: int
    name: str
    area: str


@dataclass(frozen=True, slots=True)
class ReachedRecord:
    """Blocks that `case` was the first of its campaign to reach, `after_ms` into it."""

    case: Case
    after_ms: int
    blocks: Sequence[int]


@dataclass(frozen=True, slots=True)
class ReachedView:
    """The same as read."""

    campaign_id: int
    case_id: str
    after_ms: int
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LegCoverage:
    """A leg, its functions in ascending order, and what campaigns reached, oldest first."""

    leg: r.LegRecord
    functions: tuple[FunctionRecord, ...]
    reached: tuple[ReachedView, ...]


def pack_blocks(blocks: Iterable[int]) -> bytes:
    """Offsets as little-endian words."""
    words = array("I", blocks)
    if sys.byteorder != "little":
        words.byteswap()
    return words.tobytes()


def unpack_blocks(packed: bytes) -> tuple[int, ...]:
    """The inverse of `pack_blocks`. Raises StoreError."""
    words = array("I")
    try:
        words.frombytes(packed)
    except ValueError as error:
        raise r.StoreError("stored coverage cannot be read: it is cut off") from error
    if sys.byteorder != "little":
        words.byteswap()
    return tuple(words)


def set_functions(
    db: Session, campaign: s.Campaign, leg_name: str, functions: Sequence[FunctionRecord]
) -> None:
    """Note the functions of a campaign's leg."""
    plain = [[f.offset, f.size, f.name, f.area] for f in functions]
    digest = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
    if db.get(s.CodeMap, digest) is None:
        db.add(s.CodeMap(digest=digest, functions=plain))
        db.flush()
    leg = _leg(campaign, leg_name)
    link = db.get(s.LegCode, leg.id)
    if link is None:
        db.add(s.LegCode(leg_id=leg.id, digest=digest))
    else:
        link.digest = digest


def add_reached(
    db: Session, campaign: s.Campaign, leg_name: str, records: Iterable[ReachedRecord]
) -> None:
    """Note what cases reached first on a campaign's leg."""
    leg = _leg(campaign, leg_name)
    for record in records:
        sightings.case_row(db, record.case)
        db.add(
            s.Reached(
                campaign_id=campaign.id,
                leg_id=leg.id,
                case_id=record.case.id,
                after_ms=record.after_ms,
                blocks=pack_blocks(record.blocks),
            )
        )


def coverage(db: Session, campaign_id: int | None) -> tuple[LegCoverage, ...]:
    """What is known of each leg that recorded coverage, in one campaign or in all."""
    query = select(s.Reached).order_by(s.Reached.campaign_id, s.Reached.after_ms, s.Reached.id)
    links = select(s.LegCode).order_by(s.LegCode.leg_id)
    if campaign_id is not None:
        query = query.where(s.Reached.campaign_id == campaign_id)
        campaign = sightings.fetch(db, s.Campaign, campaign_id, "campaign")
        links = links.where(s.LegCode.leg_id.in_([leg.id for leg in campaign.legs]))
    reached: dict[int, list[ReachedView]] = {}
    for row in db.scalars(query):
        view = ReachedView(row.campaign_id, row.case_id, row.after_ms, unpack_blocks(row.blocks))
        reached.setdefault(row.leg_id, []).append(view)
    found = []
    for link in db.scalars(links):
        leg = db.get(s.Leg, link.leg_id)
        assert leg is not None
        functions = tuple(FunctionRecord(*one) for one in link.code.functions)
        found.append(LegCoverage(leg_record(leg), functions, tuple(reached.get(leg.id, ()))))
    return tuple(found)


def mark(db: Session, campaign_id: int | None) -> tuple[int, int]:
    """How many rows of coverage there are, and the last one's id: nothing of it is ever changed."""
    query = select(func.count(), func.coalesce(func.max(s.Reached.id), 0))
    if campaign_id is not None:
        query = query.where(s.Reached.campaign_id == campaign_id)
    number, last = db.execute(query).one()
    return number, last


def case_texts(db: Session, ids: Iterable[str]) -> Mapping[str, str]:
    """The text of stored cases by id."""
    return {
        row.id: row.text
        for some in chunks(sorted(set(ids)))
        for row in db.scalars(select(s.CaseRow).where(s.CaseRow.id.in_(some)))
    }


def _leg(campaign: s.Campaign, name: str) -> s.Leg:
    for leg in campaign.legs:
        if leg.name == name:
            return leg
    raise r.NotFound(f"campaign {campaign.id} has no leg {name}")
