"""Whether the records of known defects still say what is so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from corpus.kept import Described, KeptCase
from db.records import CampaignView


class Standing(StrEnum):
    """What is known of a record, the most urgent first."""

    GONE = "no longer shows"  # on legs that it is about, the last time it was tried
    EXPIRED = "expired"
    UNMATCHED = "never matched"  # no leg was ever one of those that it is about
    SHOWS = "shows"

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Standing).index(self)


@dataclass(frozen=True, slots=True)
class Trial:
    """A record tried on a leg: when and where (`campaign 3`, or a run now), and whether its
    defect showed. `leg`: the one that it is about, by name."""

    when: datetime
    where: str
    leg: str
    showed: bool


@dataclass(frozen=True, slots=True)
class Health:
    """A record by its file's name, and what is known of it. `matched` counts the trials;
    `last`: when its defect was last seen; `said`: more, for people."""

    name: str
    standing: Standing
    matched: int
    last: datetime | None
    said: str = ""


def health(
    kept: Sequence[KeptCase],
    trials: Mapping[str, Sequence[Trial]],
    legs: Sequence[Described] = (),
) -> list[Health]:
    """Every record, the most urgent first; `trials` by the name of its file, oldest first;
    `legs`: all that ever were, of which one may have outgrown a record."""
    found = [_of(item, trials.get(item.path.name, ()), legs) for item in kept]
    return sorted(found, key=lambda one: (one.standing.rank, one.name))


def _of(item: KeptCase, trials: Sequence[Trial], legs: Sequence[Described]) -> Health:
    seen = [trial for trial in trials if trial.showed]
    last = seen[-1].when if seen else None
    by_day = (one for one in item.expires if one.is_over({}, item.today))
    by_version = (over for leg in legs if (over := item.expired(leg)))
    over = next(by_day, None) or next(by_version, None)
    if over is not None:
        said = f"{over} has come; its defect is judged again"
        return Health(item.path.name, Standing.EXPIRED, len(trials), last, said)
    if not trials:
        return Health(item.path.name, Standing.UNMATCHED, 0, None)
    if not trials[-1].showed:
        said = f"not on {trials[-1].leg} in {trials[-1].where}"
        return Health(item.path.name, Standing.GONE, len(trials), last, said)
    return Health(item.path.name, Standing.SHOWS, len(trials), last)


def trials_of(
    kept: Sequence[KeptCase],
    campaigns: Iterable[CampaignView],
    showed: Mapping[int, frozenset[str]],
) -> dict[str, list[Trial]]:
    """By file name, the trials that campaigns made, oldest first: each begins by running the
    cases that are about its legs. `showed`: by campaign, ids of cases that it found to
    diverge. One that ran no case came to none."""
    found: dict[str, list[Trial]] = {item.path.name: [] for item in kept}
    for campaign in sorted(campaigns, key=lambda one: one.started):
        if not campaign.statistics.get("cases"):
            continue
        for item in kept:
            names = [leg.name for leg in campaign.legs if _is_tried(item, leg)]
            if names:
                seen = item.case.id in showed.get(campaign.id, ())
                where = f"campaign {campaign.id}"
                found[item.path.name].append(Trial(campaign.started, where, names[0], seen))
    return found


def _is_tried(item: KeptCase, leg: Described) -> bool:
    return bool(item.recorded(leg))
