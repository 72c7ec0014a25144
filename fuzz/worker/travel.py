"""Findings and incidents on their way from a worker to its campaign.

Both ends are this program, on a pipe of their own, so records travel as Python keeps them; a
case travels as its canonical bytes.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from db.records import FindingRecord, IncidentRecord, RetestRecord
from fuzz.followup.suspicion import Dropped, Suspicion
from fuzz.worker import events
from fuzz.worker.spare import Due
from targets.base import Incident
from targets.kvm.lab import kernellog

UNCONFIRMED = "unconfirmed"
"""The kind of incident that no machine broke in."""


def found(record: FindingRecord) -> events.Found:
    """A finding in the form that travels."""
    return events.Found(pickle.dumps(record))


def finding(event: events.Found) -> FindingRecord:
    """The same as the store wants it."""
    record = pickle.loads(event.record)
    assert isinstance(record, FindingRecord)
    return record


def broke(leg: str, incident: Incident, investigating: bool) -> events.Broke:
    """What broke a leg's machine, in the form that travels; the log cut to what tells."""
    fault = incident.fault
    log = kernellog.excerpt(incident.log) or kernellog.bounded(incident.log.splitlines())
    record = IncidentRecord(leg, str(fault.kind), fault.place, log, incident.case, investigating)
    return events.Broke(pickle.dumps(record), fault.line)


def unconfirmed(suspicion: Suspicion, dropped: Dropped) -> events.Broke:
    """A suspicion that did not show again, in the form that travels: with its case, for whoever
    looks into it."""
    name, verdict = suspicion.name, suspicion.verdict
    log = f"{dropped.why}\n{verdict.explanation}"
    record = IncidentRecord(name, UNCONFIRMED, verdict.rule, log, suspicion.case)
    return events.Broke(pickle.dumps(record), dropped.why)


def incident(event: events.Broke) -> IncidentRecord:
    """The same as the store wants it."""
    record = pickle.loads(event.record)
    assert isinstance(record, IncidentRecord)
    return record


def retested(finding_id: int, records: Sequence[RetestRecord]) -> events.Retested:
    """How a finding did when it was run again, in the form that travels."""
    return events.Retested(finding_id, pickle.dumps(list(records)))


def retests(event: events.Retested) -> list[RetestRecord]:
    """The same as the store wants it."""
    records = pickle.loads(event.records)
    assert isinstance(records, list)
    return records


def write_due(path: Path, due: Sequence[Due]) -> None:
    """Leave a worker the findings that it is to run again. Raises OSError."""
    path.write_bytes(pickle.dumps(list(due)))


def read_due(path: str) -> list[Due]:
    """What the campaign left; nothing without a path."""
    due = pickle.loads(Path(path).read_bytes()) if path else []
    assert isinstance(due, list)
    return due
