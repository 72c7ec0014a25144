"""Whether recorded defects still show. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from corpus.kept import KeptCase
from db.queries import Noted, Took


class State(StrEnum):
    """How a record does."""

    SHOWS = "shows"
    SILENT = "no longer shows"
    UNSEEN = "not seen yet"
    UNMATCHED = "never matched"


MEANS = {
    State.SHOWS: "the last campaign with such a leg saw it",
    State.SILENT: "campaigns had such a leg since it was last seen: it may be fixed",
    State.UNSEEN: "campaigns had such a leg, and never saw it",
    State.UNMATCHED: "no campaign had a leg that it describes",
}

ORDER = (State.SILENT, State.UNSEEN, State.SHOWS, State.UNMATCHED)
"""What wants somebody first."""


@dataclass(frozen=True, slots=True)
class Health:
    """A record: on which legs of the last campaigns it applies, when such a leg last took part,
    and the buckets that it explained."""

    kept: KeptCase
    state: State
    legs: tuple[str, ...]
    ran: datetime | None
    buckets: tuple[Noted, ...]

    @property
    def name(self) -> str:
        """The file, without its ending."""
        return self.kept.path.stem

    @property
    def seen(self) -> datetime | None:
        """When it last showed."""
        return max((one.last_seen for one in self.buckets), default=None)


def health(
    records: Sequence[KeptCase], took: Sequence[Took], noted: Mapping[str, Sequence[Noted]]
) -> list[Health]:
    """Every record; `took`: the legs of the last campaigns, the newest first; `noted`: by the
    record's file, the buckets that campaigns explained by it."""
    found = list(_each(records, took, noted))
    return sorted(found, key=lambda one: (ORDER.index(one.state), one.name))


def _each(
    records: Sequence[KeptCase], took: Sequence[Took], noted: Mapping[str, Sequence[Noted]]
) -> Iterator[Health]:
    for kept in records:
        # One without cases was ended before it had run all that is recorded.
        with_it = [
            one for one in took if one.cases and (kept.recorded(one.leg) or kept.avoided(one.leg))
        ]
        buckets = tuple(noted.get(kept.path.name, ()))
        ran = max((one.started for one in with_it), default=None)
        seen = max((one.last_seen for one in buckets), default=None)
        legs = tuple(dict.fromkeys(one.leg.name for one in with_it))
        yield Health(kept, _state(ran, seen), legs, ran, buckets)


def _state(ran: datetime | None, seen: datetime | None) -> State:
    if ran is None:
        return State.UNMATCHED if seen is None else State.SHOWS
    if seen is None:
        return State.UNSEEN
    return State.SHOWS if seen >= ran else State.SILENT
