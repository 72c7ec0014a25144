"""What the store returns, as table rows and as JSON objects. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from corpus.trace import Observation
from db.records import FindingView, IncidentView, TraceView
from fuzz.cli.table import Column
from fuzz.report.findings import SHORT, at, brief, errno_name

LEG_COLUMNS = (
    Column("Leg", wrap=True),
    Column("Verdict"),
    Column("Ending"),
    Column("Errno"),
    Column("Observed", wrap=True),
)

INCIDENT_COLUMNS = (
    Column("When"),
    Column("Campaign", "right"),
    Column("Leg"),
    Column("Kind"),
    Column("Place", wrap=True),
    Column("Case"),
)

_WIDTH = 76
_EXPLAINED = 300


def indented(text: str) -> str:
    """A few lines that fit a narrow screen."""
    short = textwrap.shorten(text, _EXPLAINED, placeholder=" ...")
    pad = "    "
    return textwrap.fill(
        short, _WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False
    )


def times(number: int) -> str:
    """`once`, `14 times`."""
    return "once" if number == 1 else f"{number} times"


def incident_row(incident: IncidentView) -> tuple[str, ...]:
    """One line of `triage incidents`."""
    kind = f"{incident.kind}, investigating" if incident.investigating else incident.kind
    return (
        f"{incident.created:%Y-%m-%d %H:%M:%S}",
        str(incident.campaign_id),
        incident.leg,
        kind,
        incident.place or "-",
        (incident.case_id or "-")[:12],
    )


def incident_json(incident: IncidentView, text: str | None) -> dict[str, Any]:
    """An incident for machines. `text`: of its case, if it has one."""
    return {
        "campaign": incident.campaign_id,
        "when": incident.created.isoformat(),
        "leg": incident.leg,
        "kind": incident.kind,
        "place": incident.place,
        "case": incident.case_id,
        "text": text,
        "investigating": incident.investigating,
        "log": incident.log,
    }


def leg_rows(finding: FindingView, traces: Sequence[TraceView]) -> Iterator[tuple[str, ...]]:
    """One line per leg: what it observed, told against the first leg that agreed."""
    agreeing = [v for v in traces if v.leg.name not in finding.deviating]
    reference = at((agreeing or list(traces))[0].trace, finding.op_index) if traces else None
    for view in traces:
        seen = at(view.trace, finding.op_index)
        yield (
            view.leg.name,
            "deviates" if view.leg.name in finding.deviating else "agrees",
            view.trace.ending.value,
            "-" if seen is None else errno_name(seen.err),
            "not reached" if seen is None else _against(seen.data, reference),
        )


def _against(data: bytes, reference: Observation | None) -> str:
    told_whole = len(data) <= SHORT or len(set(data)) == 1
    if reference is None or told_whole or data == reference.data:
        return brief(data)
    other = reference.data
    first = next((i for i, (a, b) in enumerate(zip(data, other, strict=False)) if a != b), None)
    if first is None:
        return f"{len(data)} bytes, not {len(other)}"
    return f"{len(data)} bytes, from byte {first}: {data[first : first + 16].hex(' ')}"
