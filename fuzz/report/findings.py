"""Findings and traces in short words, and as JSON. Pure."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from corpus.text import format_case, format_op
from corpus.trace import Ending, Observation, Trace
from db.records import FindingView, TraceView
from targets.kvm.lab import kernellog

SHORT = 24
"""Bytes of a value that are told."""

_EXCERPT = 16


def strictness(strict: bool) -> str:
    """The verdict class in one word."""
    return "strict" if strict else "lenient"


def ratio(reproduced: tuple[int, int]) -> str:
    """`3/3`, or a dash if it was never tried."""
    return f"{reproduced[0]}/{reproduced[1]}" if reproduced[1] else "-"


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


def brief(data: bytes) -> str:
    """Bytes for people: a repeated byte once, a long value cut."""
    if not data:
        return "no data"
    if len(set(data)) == 1:
        return f"{data[0]:02x} x {len(data)}" if len(data) > 1 else data.hex()
    if len(data) <= SHORT:
        return data.hex(" ")
    return f"{data[:SHORT].hex(' ')} ... ({len(data)} bytes)"


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
