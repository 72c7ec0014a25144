"""A campaign's statistics as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from fuzz.campaign.status import CampaignStatus
from fuzz.worker.tally import Tally


def statistics(
    status: CampaignStatus, tally: Tally, reason: str, examples: Mapping[str, str]
) -> dict[str, object]:
    """A campaign's totals: every counter, and what follows from them. `examples`: the text of a
    case for each reason why verdicts stop."""
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
        "not_judged": {leg: tally.not_judged[leg] for leg in sorted(tally.executions)},
        "unjudged": _by_leg(tally.unjudged),
        "unjudged_examples": dict(examples),
        "choices": {
            leg: {"kept": kept.get(leg, 0), "cleared": cleared.get(leg, 0)}
            for leg in sorted(tally.executions)
        },
        "warnings": list(status.warnings),
        "ended": reason,
    }


def _by_leg(unjudged: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Executions by leg and reason, the commonest first."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, count in sorted(unjudged.items(), key=lambda item: -item[1]):
        leg, _, why = key.partition(": ")
        found[leg][why] = count
    return dict(found)
