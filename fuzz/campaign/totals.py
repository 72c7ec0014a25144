"""A campaign's statistics as plain data."""

from __future__ import annotations

import msgspec

from fuzz.campaign.status import CampaignStatus
from fuzz.worker.tally import Tally


def statistics(status: CampaignStatus, tally: Tally, reason: str) -> dict[str, object]:
    """A campaign's totals: every counter, and what follows from them."""
    counters = msgspec.to_builtins(tally)
    kept, cleared = counters.pop("kept"), counters.pop("cleared")
    return {
        **counters,
        "rules": dict(sorted(tally.rules.items())),
        "cases_per_second": round(status.cases_per_second, 2),
        "seconds": round(status.elapsed, 2),
        "seed": status.seed,
        "rules_hit": len(tally.rules),
        "corpus": status.corpus,
        "features": status.features,
        "restarts": status.restarts,
        "buckets": [msgspec.to_builtins(bucket) for bucket in status.buckets],
        "choices": {
            leg: {"kept": kept.get(leg, 0), "cleared": cleared.get(leg, 0)}
            for leg in sorted(tally.executions)
        },
        "warnings": list(status.warnings),
        "ended": reason,
    }
