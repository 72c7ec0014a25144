"""Mutes: what nobody wants to hear of, by rule, by leg and by version of the kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import records as r
from db import schema as s
from db.edits import Change, now


def add(db: Session, record: r.MuteRecord, actor: str) -> int:
    """Enter a mute; return its id. Raises Refused for one that would mute everything or
    whose versions are none."""
    if {record.rule, record.legs} <= {"", "*"} and not (record.low or record.high):
        raise r.Refused("a mute for everything would hide all that is ever found")
    for version in (record.low, record.high):
        if version and not _version(version):
            raise r.Refused(f"{version!r} is no version such as 6.12")
    low, high = _version(record.low), _version(record.high)
    if high and low[: len(high)] > high:
        raise r.Refused(f"no version is since {record.low} and up to {record.high}")
    if record.expires is not None and record.expires <= now():
        raise r.Refused(f"a mute until {record.expires:%Y-%m-%d} would be over already")
    change = Change(db, "mute", actor)
    row = s.Mute(
        rule=record.rule or "*",
        legs=record.legs or "*",
        low=record.low,
        high=record.high,
        expires=record.expires,
        reason=record.reason,
        author=change.actor,
        created=now(),
        withdrawn=False,
    )
    db.add(row)
    db.flush()
    change.made(row)
    change.write(f"mute {row.id}")
    refresh(db)
    return row.id


def end(db: Session, mute: s.Mute, actor: str) -> None:
    """End a mute at once."""
    if mute.withdrawn:
        raise r.Refused(f"mute {mute.id} has ended already")
    change = Change(db, "unmute", actor)
    change.set(mute, withdrawn=True)
    change.write(f"mute {mute.id}")
    refresh(db)


def holds(mute: s.Mute, moment: datetime) -> bool:
    """Whether a mute is in force."""
    return not mute.withdrawn and (mute.expires is None or mute.expires > moment)


def refresh(db: Session, buckets: Iterable[s.Bucket] | None = None) -> None:
    """Note on buckets, or on all, which mute covers them: the first that is in force."""
    moment = now()
    in_force = [m for m in db.scalars(select(s.Mute).order_by(s.Mute.id)) if holds(m, moment)]
    if buckets is None:
        if not in_force:
            query = select(s.Bucket).where(s.Bucket.muted_by.is_not(None))
        else:
            query = select(s.Bucket)
        buckets = db.scalars(query)
    for bucket in list(buckets):
        covering = next((m.id for m in in_force if _covers(db, m, bucket)), None)
        if bucket.muted_by != covering:
            bucket.muted_by = covering


def _covers(db: Session, mute: s.Mute, bucket: s.Bucket) -> bool:
    """Whether a mute covers every leg that deviates in a bucket: one that it does not cover is
    news."""
    if not fnmatchcase(bucket.rule, mute.rule):
        return False
    query = (
        select(s.Vote.name, s.Leg.fingerprint)
        .outerjoin(s.Leg, s.Leg.id == s.Vote.leg_id)
        .where(s.Vote.bucket_id == bucket.id, s.Vote.deviated > 0)
    )
    legs = db.execute(query).all()
    return bool(legs) and all(
        fnmatchcase(name, mute.legs) and _within(mute, (prints or {}).get("release", ""))
        for name, prints in legs
    )


def _within(mute: s.Mute, release: str) -> bool:
    if not (mute.low or mute.high):
        return True
    version = _version(release)
    if not version:
        return False
    low, high = _version(mute.low), _version(mute.high)
    # 6.12.57 is no later than 6.12: a bound stands for all that begins like it.
    return (not low or version >= low) and (not high or version[: len(high)] <= high)


def _version(text: str) -> list[int]:
    match = re.match(r"\d+(?:\.\d+)*", text)
    return [int(part) for part in match[0].split(".")] if match else []
