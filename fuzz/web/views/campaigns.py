"""A campaign's statistics as a reader wants them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.queries import SILENT, CampaignLine
from db.records import CampaignView, LegRecord
from fuzz.campaign.status import clock
from fuzz.web.views.words import thousands


@dataclass(frozen=True, slots=True)
class LegLine:
    """A leg that took part. `kept`, `cleared`: what it chose where it had a choice."""

    leg: LegRecord
    executions: int
    kept: int
    cleared: int
    restarts: int


def state(campaign: CampaignView | CampaignLine) -> str:
    """`running`, `cut off`, or `ended` and why."""
    if campaign.ended is not None:
        return f"ended: {campaign.reason}" if campaign.reason else "ended"
    silent = datetime.now(UTC) - (campaign.beat or campaign.started)
    return "cut off" if silent > SILENT else "running"


def facts(campaign: CampaignView) -> dict[str, str]:
    """What there is to say in a word or two."""
    numbers = campaign.statistics
    told = {
        "cases": _count(numbers, "cases"),
        "cases per second": str(numbers.get("cases_per_second", "")),
        "time": clock(seconds) if (seconds := _number(numbers, "seconds")) else "",
        "rules": _count(numbers, "rules_hit"),
        "features": _count(numbers, "features"),
        "corpus": _count(numbers, "corpus"),
        "restarts": _count(numbers, "restarts"),
        "seed": campaign.seed,
    }
    return {name: value for name, value in told.items() if value}


def options_of(campaign: CampaignView) -> dict[str, str]:
    """With what it was started, apart from what was left to itself."""
    told = {name: _said(value) for name, value in sorted(campaign.options.items())}
    return {name: value for name, value in told.items() if value}


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return "" if value is None else {"True": "yes", "False": "no"}.get(str(value), str(value))


def legs_of(campaign: CampaignView) -> list[LegLine]:
    """The legs with how much each did."""
    executions, choices = _map(campaign, "executions"), _map(campaign, "choices")
    restarts = _map(campaign, "machine_restarts")
    found = []
    for leg in campaign.legs:
        choice, again = choices.get(leg.name) or {}, restarts.get(leg.name) or {}
        found.append(
            LegLine(
                leg,
                int(_number(executions, leg.name)),
                int(_number(choice, "kept")),
                int(_number(choice, "cleared")),
                int(_number(again, "times")),
            )
        )
    return found


def _map(campaign: CampaignView, name: str) -> Mapping[str, Any]:
    value = campaign.statistics.get(name)
    return value if isinstance(value, dict) else {}


def _number(numbers: Mapping[str, Any], name: str) -> float:
    value = numbers.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _count(numbers: Mapping[str, Any], name: str) -> str:
    return thousands(_number(numbers, name)) if name in numbers else ""
