"""A trace held against what a program expects: what the program would say of it. Pure."""

from __future__ import annotations

from corpus.case import Case
from corpus.ops import Migrate
from corpus.trace import Observation, Trace
from corpus.wire import WireError, unpack_migration
from fuzz.reproduce.expect import Expectation, Field, Permit
from targets.spec.sets import narrow
from targets.spec.steps.migration import not_arrived


def first_refused(case: Case, expectation: Expectation, trace: Trace) -> int | None:
    """The first op whose observation no way that is still open permits; None if there is
    none, as far as the trace goes."""
    ways = list(expectation.ways)
    for number, seen in enumerate(trace.observations[: expectation.judged]):
        ways = [
            way
            for way in ways
            if number >= len(way.steps)
            or not way.steps[number].permits
            or any(
                _fits(permit, seen, trace, isinstance(case.ops[number], Migrate))
                for permit in way.steps[number].permits
            )
        ]
        if not ways:
            return number
    return None


def _fits(permit: Permit, seen: Observation, trace: Trace, moves: bool) -> bool:
    if permit.err != seen.err or permit.aux not in (None, seen.aux):
        return False
    if not all(_field_fits(field, seen, trace) for field in permit.fields):
        return False
    if not moves or permit.listed is None:
        return True
    try:
        listed, records = unpack_migration(seen.data[sum(f.size for f in permit.fields) :])
    except WireError:
        return False
    return listed >= permit.listed and not not_arrived(records)


def _field_fits(field: Field, seen: Observation, trace: Trace) -> bool:
    data = seen.data[field.at : field.at + field.size]
    if len(data) < field.size:
        return False
    if narrow(field.candidates, int.from_bytes(data, "little")) is None:
        return False
    if field.like is None:
        return True
    there = trace.observations[field.like.step].data
    return data == there[field.like.at : field.like.at + field.size]
