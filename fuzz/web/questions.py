"""What an address or a form says, checked. Raises BadQuestion with one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from db.filters import BucketFilter, Order
from db.records import Status
from db.suspects import Suspect

LARGEST = 1 << 31
LONGEST = 200
LONGEST_NOTE = 20_000
PAGE = 50
"""Lines of a page."""

SPANS = {
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "1w": timedelta(weeks=1),
    "4w": timedelta(weeks=4),
    "1y": timedelta(days=365),
}
"""How long ago, as addresses say it."""

CLASSES = {"": None, "strict": True, "lenient": False}
MUTED = {"": None, "no": False, "yes": True}

Kind = TypeVar("Kind", bound=StrEnum)
Values = Mapping[str, Sequence[str]]


class BadQuestion(ValueError):
    """What was asked cannot be understood."""


@dataclass(frozen=True, slots=True)
class BucketQuestion:
    """Which page of which buckets somebody wants to see. `words` is what they said, by field."""

    wanted: BucketFilter
    order: Order
    page: int
    words: Mapping[str, tuple[str, ...]]

    def address(self, **changed: str) -> str:
        """The same question with some fields changed."""
        words = {**self.words, **{name: (value,) for name, value in changed.items()}}
        pairs = [(name, one) for name, values in words.items() for one in values if one]
        return f"/buckets?{urlencode(pairs)}" if pairs else "/buckets"


def bucket_question(values: Values, now: datetime) -> BucketQuestion:
    """The filters of an address."""
    statuses = frozenset(choice(Status, one, "status") for one in values.get("status", ()) if one)
    owner = text(values, "owner")
    campaign = text(values, "campaign")
    wanted = BucketFilter(
        statuses=statuses,
        leg=text(values, "leg"),
        rule=text(values, "rule"),
        suspect=choice(Suspect, text(values, "suspect"), "suspect")
        if text(values, "suspect")
        else "",
        owner={"": None, "-": ""}.get(owner, owner),
        text=text(values, "text"),
        campaign=number(campaign.upper().removeprefix("C"), "campaign") if campaign else None,
        since=since(text(values, "since"), now),
        first_since=since(text(values, "first"), now),
        strict=one_of(CLASSES, text(values, "class"), "class"),
        muted=one_of(MUTED, text(values, "muted"), "muted"),
    )
    order = text(values, "order")
    page = text(values, "page")
    fields = ("status", "leg", "rule", "suspect", "owner", "text", "campaign", "since", "first")
    said = {
        name: tuple(one[:LONGEST].strip() for one in values[name])
        for name in (*fields, "class", "muted", "order")
        if name in values
    }
    return BucketQuestion(
        wanted,
        choice(Order, order, "order") if order else Order.WEIGHT,
        number(page, "page") if page else 1,
        said,
    )


def text(values: Values, name: str, longest: int = LONGEST) -> str:
    """One line that somebody wrote; empty if it is not there."""
    found = [one.strip() for one in values.get(name, ())]
    if len(found) > 1:
        raise BadQuestion(f"{name} is given more than once")
    if found and len(found[0]) > longest:
        raise BadQuestion(f"{name} has more than {longest} characters")
    return found[0] if found else ""


def number(said: str, name: str) -> int:
    """A number from 1 up, as rows of the database have."""
    if not (said.isascii() and said.isdigit() and 0 < int(said[:12]) < LARGEST):
        raise BadQuestion(f"{said[:40]!r} is no {name}")
    return int(said)


def numbers(values: Values, name: str) -> tuple[int, ...]:
    """Several, each once."""
    return tuple(dict.fromkeys(number(one, name) for one in values.get(name, ())))


def choice(kind: type[Kind], said: str, name: str) -> Kind:
    """One of the words there are."""
    try:
        return kind(said)
    except ValueError:
        raise BadQuestion(f"{said[:40]!r} is no {name}: there are {', '.join(kind)}") from None


def one_of(table: Mapping[str, bool | None], said: str, name: str) -> bool | None:
    """What a word of a table stands for."""
    if said not in table:
        raise BadQuestion(f"{said[:40]!r} is no {name}: there are {', '.join(filter(None, table))}")
    return table[said]


def since(said: str, now: datetime) -> datetime | None:
    """A span such as 3d, or a day such as 2026-01-31, in UTC; None if nothing is said."""
    if not said:
        return None
    if said in SPANS:
        return now - SPANS[said]
    return day(said)


def day(said: str) -> datetime:
    """A day or moment in ISO form, in UTC."""
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        spans = ", ".join(SPANS)
        raise BadQuestion(
            f"{said[:40]!r} is neither a day such as 2026-01-31 nor one of {spans}"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
