"""Which buckets somebody wants to see, and in which order, as conditions of a query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, case, func, or_, select

from db import schema as s
from db.edits import now
from db.records import Status

Query = TypeVar("Query", bound=Select[*tuple[Any, ...]])


class Order(StrEnum):
    """What comes first."""

    WEIGHT = "weight"  # new before the rest, strict before lenient, then the last seen
    LAST_SEEN = "last-seen"
    FIRST_SEEN = "first-seen"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class BucketFilter:
    """What a bucket has to be; an empty one takes every bucket that holds something.

    `leg`, `rule`: shell patterns, of a leg that deviates and of the rule. `since`,
    `first_since`: bounds on when it was last and first seen. `campaign`: it has a finding of
    that one. `text`: somewhere in its title, signature, owner, link, notes or first explanation.
    `muted`: True for those that a mute covers now, False for the others. `moved`: also those
    that were merged into others.
    """

    statuses: frozenset[Status] = frozenset()
    leg: str = ""
    rule: str = ""
    suspect: str = ""
    owner: str | None = None
    text: str = ""
    campaign: int | None = None
    since: datetime | None = None
    first_since: datetime | None = None
    strict: bool | None = None
    muted: bool | None = None
    moved: bool = False

    def apply(self, query: Query) -> Query:
        """The query with these conditions."""
        return query.where(*self._conditions())

    def _conditions(self) -> Iterator[ColumnElement[bool]]:
        bucket = s.Bucket
        if self.statuses:
            yield bucket.status.in_([status.value for status in sorted(self.statuses)])
        if not self.moved and Status.DUPLICATE not in self.statuses:
            yield bucket.status != Status.DUPLICATE.value
        if self.leg:
            yield (
                select(s.Vote.id)
                .where(
                    s.Vote.bucket_id == bucket.id, s.Vote.deviated > 0, _like(s.Vote.name, self.leg)
                )
                .exists()
            )
        if self.rule:
            yield _like(bucket.rule, self.rule)
        if self.suspect:
            yield bucket.suspect == self.suspect
        if self.owner is not None:
            yield bucket.owner == self.owner
        if self.campaign is not None:
            yield (
                select(s.Finding.id)
                .where(s.Finding.bucket_id == bucket.id, s.Finding.campaign_id == self.campaign)
                .exists()
            )
        if self.since is not None:
            yield bucket.last_seen >= self.since
        if self.first_since is not None:
            yield bucket.first_seen >= self.first_since
        if self.strict is not None:
            yield bucket.strict.is_(self.strict)
        if self.muted is not None:
            yield muted() if self.muted else ~muted()
        if self.text:
            yield _says(self.text)


def ordered(query: Query, order: Order) -> Query:
    """The query with its rows in that order."""
    bucket = s.Bucket
    return query.order_by(*_ORDERS[order], bucket.id.desc())


def muted() -> ColumnElement[bool]:
    """Whether the mute that a bucket names is in force at this moment."""
    moment = now()
    return (
        select(s.Mute.id)
        .where(s.Mute.id == s.Bucket.muted_by, s.Mute.withdrawn.is_(False))
        .where(or_(s.Mute.expires.is_(None), s.Mute.expires > moment))
        .exists()
    )


_RANK = case(
    {Status.NEW.value: 0, Status.CONFIRMED.value: 1, Status.FLAKY.value: 2, Status.KNOWN.value: 3},
    value=s.Bucket.status,
    else_=4,
)

_ORDERS: dict[Order, tuple[Any, ...]] = {
    Order.WEIGHT: (_RANK, s.Bucket.strict.desc(), s.Bucket.last_seen.desc()),
    Order.LAST_SEEN: (s.Bucket.last_seen.desc(),),
    Order.FIRST_SEEN: (s.Bucket.first_seen.desc(),),
    Order.COUNT: (s.Bucket.count.desc(),),
}


def _like(column: Any, pattern: str) -> ColumnElement[bool]:
    """A shell pattern of `*` and `?` as SQL's."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found: ColumnElement[bool] = column.like(
        escaped.replace("*", "%").replace("?", "_"), escape="\\"
    )
    return found


def _says(text: str) -> ColumnElement[bool]:
    bucket = s.Bucket
    columns = (
        *(bucket.title, bucket.signature, bucket.explanation),
        *(bucket.owner, bucket.link, bucket.fixed_in),
    )
    noted = select(s.Note.id).where(
        s.Note.bucket_id == bucket.id, s.Note.withdrawn.is_(False), _holds(s.Note.text, text)
    )
    return or_(*(_holds(column, text) for column in columns), noted.exists())


def _holds(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(column).contains(text.lower(), autoescape=True)
    return found
