"""Sums over a campaign's workers, and the campaign's statistics as plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from fuzz.campaign.status import CampaignStatus
from fuzz.worker import events


@dataclass(slots=True)
class Totals:
    """Sums over workers, the finished ones included."""

    cases: int = 0
    discarded: int = 0
    divergences: int = 0
    infra_errors: int = 0
    restarts: int = 0
    collapses: int = 0
    compared: int = 0
    executions: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    cleared: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, stats: events.Stats) -> None:
        """Add one worker's totals."""
        self.cases += stats.cases
        self.discarded += stats.discarded
        self.divergences += stats.divergences
        self.infra_errors += stats.infra_errors
        self.restarts += stats.restarts
        self.collapses += stats.collapses
        self.compared += stats.compared
        self.executions.update(stats.executions)
        self.unjudged.update(stats.unjudged)
        self.rules.update(stats.rules)
        for leg, (kept, cleared) in stats.choices.items():
            self.kept[leg] += kept
            self.cleared[leg] += cleared


def statistics(status: CampaignStatus, totals: Totals, reason: str) -> dict[str, object]:
    """A campaign's totals as plain data."""
    return {
        "cases": totals.cases,
        "cases_per_second": round(status.cases_per_second, 2),
        "seconds": round(status.elapsed, 2),
        "seed": status.seed,
        "executions": dict(totals.executions),
        "rules_hit": len(totals.rules),
        "rules": dict(sorted(totals.rules.items())),
        "corpus": status.corpus,
        "features": status.features,
        "discarded": totals.discarded,
        "infra_errors": totals.infra_errors,
        "restarts": status.restarts,
        "divergences": totals.divergences,
        "buckets": [msgspec.to_builtins(bucket) for bucket in status.buckets],
        "choices": {
            leg: {"kept": totals.kept[leg], "cleared": totals.cleared[leg]}
            for leg in sorted(totals.executions)
        },
        "collapsed_sets": totals.collapses,
        "unjudged": dict(totals.unjudged),
        "compared_legs": totals.compared,
        "ended": reason,
    }
