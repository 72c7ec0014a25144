"""What the store returns, as table rows, as JSON objects and as short words. Pure."""

from __future__ import annotations

import errno
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from corpus.text import format_case, format_op
from corpus.trace import Ending, Observation, Trace
from db.records import FindingView, IncidentView, TraceView
from fuzz.cli.table import Column
from targets.kvm.lab import kernellog

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
_SHORT = 24
_EXCERPT = 16


def strictness(strict: bool) -> str:
    """The verdict class in one word."""
    return "strict" if strict else "lenient"


def indented(text: str) -> str:
    """A few lines that fit a narrow screen."""
    short = textwrap.shorten(text, _EXPLAINED, placeholder=" ...")
    pad = "    "
    return textwrap.fill(short, _WIDTH, initial_indent=pad, subsequent_indent=pad)


def times(number: int) -> str:
    """`once`, `14 times`."""
    return "once" if number == 1 else f"{number} times"


def ratio(reproduced: tuple[int, int]) -> str:
    """`3/3`, or a dash if it was never tried."""
    return f"{reproduced[0]}/{reproduced[1]}" if reproduced[1] else "-"


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


def incident_json(incident: IncidentView) -> dict[str, Any]:
    """An incident for machines."""
    return {
        "campaign": incident.campaign_id,
        "when": incident.created.isoformat(),
        "leg": incident.leg,
        "kind": incident.kind,
        "place": incident.place,
        "case": incident.case_id,
        "investigating": incident.investigating,
        "log": incident.log,
    }


def finding_json(finding: FindingView, traces: Sequence[TraceView]) -> dict[str, Any]:
    """A finding for machines, with what each leg did at the op in question."""
    return {
        "finding": f"F{finding.id}",
        "bucket": f"B{finding.bucket_id}",
        "class": strictness(finding.strict),
        "case": finding.minimal.id,
        "text": finding.minimal_text,
        "oracle": finding.oracle,
        "rule": finding.rule,
        "op_index": finding.op_index,
        "expected": finding.expected,
        "observed": finding.observed,
        "explanation": finding.explanation,
        "reproduced": finding.reproduced[0],
        "attempts": finding.reproduced[1],
        "deviating": list(finding.deviating),
        "created": finding.created.isoformat(),
        "preceding": [
            {"case": earlier.case.id, "text": format_case(earlier.case), "shared": earlier.shared}
            for earlier in finding.preceding
        ],
        "legs": {
            view.leg.name: {
                "fingerprint": dict(view.leg.fingerprint),
                "ending": view.trace.ending.value,
                "log": "\n".join(log_excerpt(view.trace)),
                **_observation_json(at(view.trace, finding.op_index)),
            }
            for view in traces
        },
    }


def _observation_json(seen: Observation | None) -> dict[str, Any]:
    if seen is None:
        return {"err": None, "aux": None, "data": None}
    return {"err": seen.err, "aux": seen.aux, "data": seen.data.hex()}


def at(trace: Trace, index: int) -> Observation | None:
    """What the leg observed at that op; None if it did not get there."""
    return trace.observations[index] if 0 <= index < len(trace.observations) else None


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
    told_whole = len(data) <= _SHORT or len(set(data)) == 1
    if reference is None or told_whole or data == reference.data:
        return brief(data)
    other = reference.data
    first = next((i for i, (a, b) in enumerate(zip(data, other, strict=False)) if a != b), None)
    if first is None:
        return f"{len(data)} bytes, not {len(other)}"
    return f"{len(data)} bytes, from byte {first}: {data[first : first + 16].hex(' ')}"


def brief(data: bytes) -> str:
    """Bytes for people: a repeated byte once, a long value cut."""
    if not data:
        return "no data"
    if len(set(data)) == 1:
        return f"{data[0]:02x} x {len(data)}" if len(data) > 1 else data.hex()
    if len(data) <= _SHORT:
        return data.hex(" ")
    return f"{data[:_SHORT].hex(' ')} ... ({len(data)} bytes)"


def errno_name(err: int) -> str:
    """`0`, or the name of the errno."""
    return errno.errorcode.get(err, str(err)) if err else "0"


def log_excerpt(trace: Trace) -> list[str]:
    """The telling lines of a log: a kernel's report of its fault, or the last ones."""
    report = kernellog.excerpt(trace.log)
    if report:
        return report.splitlines()
    return [] if trace.ending is Ending.OK else trace.log.splitlines()[-_EXCERPT:]


def op_text(finding: FindingView) -> str:
    """The op that diverged, in the text form."""
    ops = finding.minimal.ops
    return format_op(ops[finding.op_index]) if 0 <= finding.op_index < len(ops) else ""


def export_comment(finding: FindingView) -> str:
    """What a case file says on top about why it is kept."""
    return "\n".join(
        (
            finding.explanation,
            f"op {finding.op_index}, rule {finding.rule or '-'}, {strictness(finding.strict)}",
            f"expected: {finding.expected}",
            f"observed: {finding.observed}",
            f"deviating: {', '.join(finding.deviating) or '-'}",
            f"reproduced: {ratio(finding.reproduced)}",
            *(
                [f"only after {len(finding.preceding)} other cases: repro F{finding.id}"]
                if finding.preceding
                else []
            ),
        )
    )
