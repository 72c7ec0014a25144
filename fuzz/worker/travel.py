"""Findings and incidents on their way from a worker to its campaign.

Both ends are this program, on a pipe of their own, so records travel as Python keeps them; a
case travels as its canonical bytes.
"""

from __future__ import annotations

import pickle

from db.records import FindingRecord, IncidentRecord
from fuzz.worker import events
from targets.base import Incident
from targets.kvm.lab import kernellog


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


def incident(event: events.Broke) -> IncidentRecord:
    """The same as the store wants it."""
    record = pickle.loads(event.record)
    assert isinstance(record, IncidentRecord)
    return record
