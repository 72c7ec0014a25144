"""What every target is held to (targets/base.py): behind each transport, the model, a mutant."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from rigs import PARAMS, RIGS, Rig

from corpus.case import Case
from corpus.fault import FaultKind
from corpus.text import parse_case
from corpus.trace import Ending
from targets.base import Incident, Ran, Target, WireTarget
from targets.legs import open_leg
from targets.transport import UnknownTicket

pytestmark = pytest.mark.long

CHEAP = [name for name in RIGS if name != "lab"]
COMPUTED = ["model", "model:zero", "model:turns", "mutant:finalize-twice"]
CASES = [parse_case(f"create v0\ninit v0\nset v0 x{n} {n:#x}\nget v0 x{n}\n") for n in range(12)]


def sent_as(request: bytes) -> Case:
    """A case that reaches the executor in this form, for what no case does."""
    case = Case((), 1)
    case.__dict__["request"] = request
    return case


@pytest.fixture(params=CHEAP)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    opened = RIGS[request.param]()
    yield opened
    opened.end()


@pytest.fixture
def wired(rig: Rig) -> Iterator[WireTarget]:
    """A target with a transport, whose executor has run nothing yet but `CASES[0]`."""
    with closing(WireTarget("a leg", "kvm", rig.make())) as target:
        target.run(CASES[0])
        yield target


@pytest.fixture(scope="module", params=[*COMPUTED, *PARAMS])
def anything(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A target of any kind."""
    if request.param in COMPUTED:
        with open_leg(request.param) as leg:
            yield leg
        return
    rig = RIGS[request.param]()
    with WireTarget("a leg", "kvm", rig.make()) as target:
        yield target
    rig.end()


def the_incident(target: Target) -> Incident:
    """The only one, which is told once."""
    (incident,) = target.incidents()
    assert target.incidents() == []
    return incident


def test_a_target_says_what_it_is(anything: Target) -> None:
    assert anything.fingerprint["leg"] == anything.name
    assert anything.kind in ("kvm", "model", "mutant")
    assert anything.profile.vqs & 1
    assert anything.depth >= 1
    assert not anything.incidents()
    if isinstance(anything, WireTarget):
        assert anything.boots >= 1
        assert anything.boot_seconds > 0


def test_cases_in_flight_do_what_they_do_alone(anything: Target) -> None:
    cases = CASES[: anything.depth]
    before = anything.executions
    alone = [anything.run(case) for case in cases]
    assert {(trace.ending, trace.fault) for trace in alone} == {(Ending.OK, None)}
    for submit in (anything.submit, anything.submit_shared):
        tickets = [submit(case) for case in cases]
        together = [anything.collect(ticket) for ticket in tickets[::-1]][::-1]
        assert [trace.observations for trace in together] == [t.observations for t in alone]
    assert anything.executions - before == 3 * len(cases)
    assert anything.restarts == 0
    assert not anything.incidents()


def test_a_ticket_is_good_for_one_trace(anything: Target) -> None:
    ticket = anything.submit(CASES[0])
    anything.collect(ticket)
    for unknown in (ticket, ticket + 1, -1):
        with pytest.raises(UnknownTicket, match=rf"ticket {unknown}\b"):
            anything.collect(unknown)


def test_a_close_ends_all_may_be_repeated_and_is_no_incident(anything: Target) -> None:
    ticket = anything.submit(CASES[0])
    anything.close()
    anything.close()
    with pytest.raises(UnknownTicket):
        anything.collect(ticket)
    assert not anything.incidents()
    assert anything.run(CASES[1]).ending is Ending.OK
    assert anything.restarts == 0


def test_a_restart_is_no_incident(wired: WireTarget) -> None:
    boots, restarts = wired.boots, wired.restarts
    wired.restart()
    assert wired.run(CASES[1]).ending is Ending.OK
    assert (wired.boots, wired.restarts) == (boots + 1, restarts)
    assert wired.incidents() == []


def crash(rig: Rig, wired: WireTarget, turns: int) -> None:
    """Its case is at fault, and those before it on the same executor are remembered."""
    boots, restarts = wired.boots, wired.restarts
    preceding = [CASES[0]]
    for turn in range(1, turns + 1):
        case, *behind = CASES[turn : turn + wired.depth]
        executions = wired.executions
        rig.pause(wired.transport)
        tickets = [wired.submit(each) for each in (case, *behind)]
        rig.strike(wired.transport, signal.SIGSEGV)
        trace = wired.collect(tickets[0])
        assert (trace.ending, trace.observations) == (Ending.CRASH, ())
        assert trace.fault is not None
        assert "SIGSEGV" in trace.fault.line
        assert "SIGSEGV" in trace.log
        assert {wired.collect(ticket).ending for ticket in tickets[1:]} <= {Ending.OK}
        assert wired.executions == executions + len(tickets)
        assert wired.restarts == restarts + turn
        told = the_incident(wired)
        assert replace(told, preceding=()) == Incident(trace.fault, trace.log, case)
        # Of those behind an earlier crash the last may not have been on their way yet: they come
        # to the next executor before those that were lost.
        *lost, last = map(Ran, preceding)
        orders = [(*lost[at:], *lost[:at], last) for at in range(max(len(lost), 1))]
        assert told.preceding in orders
        # These run on the executor that is next to die.
        wired.run(CASES[11])
        assert wired.boots == boots + turn
        preceding = [*behind, CASES[11]]


def test_a_crash_has_a_case_at_fault(rig: Rig, wired: WireTarget) -> None:
    crash(rig, wired, turns=2)


def kill(rig: Rig, wired: WireTarget) -> None:
    """The cases run again."""
    boots, restarts, executions = wired.boots, wired.restarts, wired.executions
    cases = CASES[1 : 1 + wired.depth]
    rig.pause(wired.transport)
    tickets = [wired.submit(case) for case in cases]
    rig.strike(wired.transport, signal.SIGKILL)
    traces = [wired.collect(ticket) for ticket in tickets]
    assert {trace.ending for trace in traces} == {Ending.OK}
    incident = the_incident(wired)
    assert (incident.case, incident.preceding) == (None, ())
    assert incident.fault.kind is FaultKind.LOST
    assert "SIGKILL" in incident.log
    assert wired.executions == executions + len(cases)
    assert (wired.boots, wired.restarts) == (boots + 1, restarts + 1)


def test_a_case_whose_executor_somebody_killed_runs_again(rig: Rig, wired: WireTarget) -> None:
    kill(rig, wired)


@pytest.mark.lab
def test_machines_of_the_lab_crash_and_are_killed() -> None:
    rig = RIGS["lab"]()
    with closing(WireTarget("a leg", "kvm", rig.make())) as wired:
        wired.run(CASES[0])
        crash(rig, wired, turns=1)
        kill(rig, wired)


def test_an_executor_that_is_killed_while_idle_costs_no_case(rig: Rig, wired: WireTarget) -> None:
    rig.kill_idle(wired.transport)
    assert wired.run(CASES[1]).ending is Ending.OK
    incident = the_incident(wired)
    assert (incident.case, incident.fault.kind) == (None, FaultKind.LOST)


def test_what_ran_on_a_killed_executor_precedes_nothing(rig: Rig, wired: WireTarget) -> None:
    rig.kill_idle(wired.transport)
    for case in CASES[1:4]:
        assert wired.run(case).ending is Ending.OK
    wired.incidents()
    rig.pause(wired.transport)
    ticket = wired.submit(CASES[4])
    rig.strike(wired.transport, signal.SIGSEGV)
    wired.collect(ticket)
    assert the_incident(wired).preceding == tuple(map(Ran, CASES[1:4]))


def test_a_case_without_end_is_a_hang(rig: Rig, wired: WireTarget) -> None:
    restarts = wired.restarts
    with rig.impatient(wired.transport) as request:
        case = sent_as(request)
        trace = wired.run(case)
    assert (trace.ending, trace.observations) == (Ending.HANG, ())
    incident = the_incident(wired)
    assert incident.case is case
    assert incident.fault.kind is FaultKind.HANG
    assert incident.preceding == (Ran(CASES[0]),)
    assert wired.restarts == restarts + 1
    assert wired.run(CASES[1]).ending is Ending.OK
