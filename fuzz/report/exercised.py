"""What campaigns used of the specification: rules and forms, how often, and on which legs. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from corpus.isa.table import FORMS
from db.records import CampaignView
from targets.profile import Profile
from targets.spec.rules.needs import reachable

LAST_CAMPAIGNS = 10
"""So many, the newest, are counted."""


@dataclass(frozen=True, slots=True)
class Exercised:
    """What the last campaigns of a store used: how often, and on which legs."""

    counts: Counter[str]
    legs: dict[str, set[str]]
    """By leg, the rules that its observations were held against."""
    machines: dict[str, Profile]
    """By leg, the machine behind it, where its probe was kept."""

    @classmethod
    def of(cls, campaigns: Iterable[CampaignView]) -> Self:
        """What these campaigns used, all together."""
        used = cls(Counter(), defaultdict(set), {})
        for campaign in campaigns:
            counts = campaign.statistics.get("rules", {})
            if isinstance(counts, dict):
                used.counts.update({rule: int(n) for rule, n in counts.items()})
            by_leg = campaign.statistics.get("exercised", {})
            if isinstance(by_leg, dict):
                for leg, rules in by_leg.items():
                    used.legs[leg].update(rules)
            for record in campaign.legs:
                if "vqs" in record.fingerprint:
                    used.machines[record.name] = Profile.from_probe(record.fingerprint)
        return used

    def beyond(self, leg: str, rows: set[str]) -> set[str]:
        """Rules and forms that nothing can come to on a leg: what its machine lacks."""
        machine = self.machines.get(leg)
        if machine is None:
            return set()
        return {row for row in rows if not in_reach(row, machine)} - self.legs[leg]

    def on(self, rule: str) -> list[str]:
        """The legs on which a rule was used."""
        return sorted(leg for leg, rules in self.legs.items() if rule in rules)

    def out_of_reach(self, rule: str) -> list[str]:
        """The legs whose machine lacks what the rule is about."""
        return sorted(leg for leg in self.legs if self.beyond(leg, {rule}))

    def cells(self, rule: str) -> tuple[str, str]:
        """How often, and on how many of the legs, as a table shows it."""
        legs = f"{len(self.on(rule))}/{len(self.legs)}" if self.legs else ""
        return str(self.counts[rule]), legs


def in_reach(row: str, machine: Profile) -> bool:
    """Whether a machine has what a rule, or a form as `isa.NAME`, is about."""
    if row.startswith("isa."):
        return FORMS[row.removeprefix("isa.")].cap not in machine.lacks
    return reachable(row, machine)
