"""Findings and incidents on their way from a worker to the campaign: in and out of events."""

from __future__ import annotations

from corpus.case import decode
from corpus.trace import Ending, Observation, Trace
from db.records import Earlier, FindingRecord, IncidentRecord, SignatureRecord
from fuzz.oracle.faults import CRASH, Fault, fault_of
from fuzz.worker import events
from targets.base import Incident
from targets.kvm.lab import kernellog


def to_event(record: FindingRecord) -> events.Found:
    """A finding in the form that travels."""
    return events.Found(
        signature=record.signature.parts,
        minimal=record.minimal.encoded,
        original=record.original.encoded,
        strict=record.strict,
        op_index=record.op_index,
        expected=record.expected,
        observed=record.observed,
        explanation=record.explanation,
        seen=record.reproduced[0],
        tried=record.reproduced[1],
        deviating=list(record.deviating),
        traces={
            name: events.TraceData(
                [(o.err, o.aux, o.data) for o in trace.observations],
                trace.ending.value,
                trace.log,
            )
            for name, trace in record.traces.items()
        },
        preceding=[(earlier.case.encoded, earlier.shared) for earlier in record.preceding],
    )


def to_record(event: events.Found) -> FindingRecord:
    """A finding as it came from a worker, as the store wants it."""
    return FindingRecord(
        signature=SignatureRecord(*event.signature),
        minimal=decode(event.minimal),
        original=decode(event.original),
        strict=event.strict,
        op_index=event.op_index,
        expected=event.expected,
        observed=event.observed,
        explanation=event.explanation,
        reproduced=(event.seen, event.tried),
        deviating=tuple(event.deviating),
        traces={
            name: Trace(
                tuple(Observation(*o) for o in trace.observations), Ending(trace.ending), trace.log
            )
            for name, trace in event.traces.items()
        },
        preceding=tuple(Earlier(decode(case), shared) for case, shared in event.preceding),
    )


def incident_event(leg: str, incident: Incident, investigating: bool) -> events.Broke:
    """What broke a leg's machine, in the form that travels; the log cut to what tells."""
    fault = fault_of(incident.ending, incident.log) or Fault(CRASH, "", False, "")
    log = kernellog.excerpt(incident.log) or kernellog.bounded(incident.log.splitlines())
    return events.Broke(
        leg=leg,
        kind=fault.kind,
        place=fault.place,
        line=fault.line,
        log=log,
        case=incident.case.encoded if incident.case else None,
        investigating=investigating,
    )


def incident_record(event: events.Broke) -> IncidentRecord:
    """The same as the store wants it."""
    return IncidentRecord(
        leg=event.leg,
        kind=event.kind,
        place=event.place,
        log=event.log,
        case=None if event.case is None else decode(event.case),
        investigating=event.investigating,
    )
