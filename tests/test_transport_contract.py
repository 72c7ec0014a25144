"""What every transport is held to (targets/transport.py), and so is the fake of one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from rigs import PARAMS, RIGS, Rig, await_end

from corpus.fault import FaultKind
from corpus.trace import Ending
from targets.transport import Loss, Reply, Transport, UnknownTicket

pytestmark = pytest.mark.long

FROM_OUTSIDE = [signal.SIGKILL, signal.SIGTERM]


class Bench:
    """A rig and the transport under test, which works and has nothing to do."""

    def __init__(self, rig: Rig, transport: Transport) -> None:
        self.rig, self.transport = rig, transport

    def ask(self, value: int) -> Reply:
        """One request and its reply."""
        return self.transport.collect(self.transport.submit(self.rig.request(value)))

    def works(self) -> Reply:
        """The transport serves a request, if need be by a new executor."""
        reply = self.ask(77)
        assert (reply.ending, reply.fault) == (Ending.OK, None), reply.log
        assert reply.response is not None
        assert self.rig.value(reply.response) == 77
        return reply

    def fill(self, leave: int = 0) -> list[int]:
        """As many requests as may be in flight, less some."""
        count = self.transport.depth - leave
        return [self.transport.submit(self.rig.request(value)) for value in range(count)]

    def collect(self, tickets: list[int]) -> list[Reply]:
        return [self.transport.collect(ticket) for ticket in tickets]


@pytest.fixture(scope="module", params=PARAMS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    opened = RIGS[request.param]()
    yield opened
    opened.end()


@pytest.fixture(scope="module")
def shared(rig: Rig) -> Iterator[Transport]:
    """One for all tests, where the executor is slow to start."""
    transport = rig.make()
    yield transport
    transport.close()


@pytest.fixture
def bench(rig: Rig, shared: Transport) -> Iterator[Bench]:
    transport = shared if rig.costly else rig.make()
    transport.start()
    opened = Bench(rig, transport)
    opened.works()
    transport.losses()
    yield opened
    if not rig.costly:
        transport.close()


def is_lost(reply: Reply) -> bool:
    return (reply.ending, reply.response, reply.fault) == (Ending.LOST, None, None)


def is_spared(reply: Reply, boots: int) -> bool:
    """It went down with executor number `boots` through no fault of its own, or reached a later
    one: requests to another machine may still be on their way."""
    return is_lost(reply) or (reply.ending is Ending.OK and reply.boot > boots)


def the_loss(transport: Transport) -> Loss:
    """The only one, which is told once and is one line for people."""
    (loss,) = transport.losses()
    assert transport.losses() == []
    assert loss.fault.kind is FaultKind.LOST
    assert loss.log.endswith("\n")
    assert loss.fault.line in loss.log
    assert not loss.fault.of_guest
    return loss


def test_a_start_tells_of_the_machine_and_is_counted(rig: Rig, shared: Transport) -> None:
    transport = shared if rig.costly else rig.make()
    try:
        assert transport.boots == 0
        facts = transport.start()
        assert facts["release"]
        assert facts["vqs"].startswith("1")
        assert (transport.boots, transport.depth >= 1) == (1, True)
        assert 0 < transport.boot_seconds < 120
        assert transport.start() == facts
        assert transport.boots == 1
        assert transport.losses() == []
    finally:
        if not rig.costly:
            transport.close()


def test_replies_are_those_to_their_requests_in_whatever_order(bench: Bench) -> None:
    boots = bench.transport.boots
    for order in (1, -1):
        began = time.monotonic()
        tickets = bench.fill()
        assert len(set(tickets)) == len(tickets)
        replies = bench.collect(tickets[::order])[::order]
        took = time.monotonic() - began
        assert [reply.ending for reply in replies] == [Ending.OK] * len(tickets)
        responses = [reply.response for reply in replies]
        assert [bench.rig.value(response or b"") for response in responses] == list(
            range(len(tickets))
        )
        assert {reply.boot for reply in replies} == {boots}
        assert {(reply.at, reply.fault) for reply in replies} == {(None, None)}
        assert 0 <= sum(reply.seconds for reply in replies) <= took + 0.5
    assert (bench.transport.boots, bench.transport.losses()) == (boots, [])


def test_a_ticket_is_good_for_one_reply(bench: Bench) -> None:
    ticket = bench.transport.submit(bench.rig.request(1))
    bench.transport.collect(ticket)
    for unknown in (ticket, ticket + 1, 0, -1):
        with pytest.raises(UnknownTicket, match=rf"ticket {unknown}\b"):
            bench.transport.collect(unknown)
    bench.works()


def test_nothing_is_known_of_tickets_before_a_start(rig: Rig) -> None:
    transport = rig.make()
    with pytest.raises(UnknownTicket):
        transport.collect(1)
    assert transport.losses() == []
    transport.close()


def test_a_restart_loses_what_is_under_way(bench: Bench) -> None:
    lives = bench.rig.watch(bench.transport)
    boots = bench.transport.boots
    bench.rig.pause(bench.transport)
    tickets = bench.fill()
    bench.transport.restart()
    bench.rig.release()
    await_end(lives)
    assert all(is_lost(reply) for reply in bench.collect(tickets))
    assert bench.transport.losses() == []
    assert bench.works().boot == bench.transport.boots == boots + 1


def test_a_crash_has_one_at_fault_and_the_others_are_lost(bench: Bench) -> None:
    for number in bench.rig.own_signals:
        boots = bench.transport.boots
        ticket, at = bench.rig.get_into(bench.transport)
        tickets = [ticket, *bench.fill(leave=1)]
        bench.rig.strike(bench.transport, number)
        *others, first = bench.collect(tickets[::-1])
        assert (first.ending, first.response, first.at) == (Ending.CRASH, None, at)
        assert number.name in first.log
        assert first.fault is not None
        assert first.boot == boots
        assert all(is_spared(reply, boots) for reply in others)
        assert bench.transport.losses() == []
        assert bench.works().boot == bench.transport.boots == boots + 1
        again = bench.collect(bench.fill())
        assert {reply.ending for reply in again} == {Ending.OK}


@pytest.mark.parametrize("number", FROM_OUTSIDE)
def test_an_executor_that_somebody_ends_is_lost_and_no_request_is_at_fault(
    bench: Bench, number: signal.Signals
) -> None:
    boots = bench.transport.boots
    ticket, _ = bench.rig.get_into(bench.transport)
    tickets = [ticket, *bench.fill(leave=1)]
    bench.rig.strike(bench.transport, number)
    first, *others = bench.collect(tickets)
    assert is_lost(first)
    assert first.boot == boots
    assert all(is_spared(reply, boots) for reply in others)
    assert number.name in the_loss(bench.transport).log
    assert bench.works().boot == bench.transport.boots == boots + 1


def test_an_executor_that_is_killed_while_idle_costs_no_request(bench: Bench) -> None:
    boots = bench.transport.boots
    bench.rig.kill_idle(bench.transport)
    reply = bench.ask(1)
    assert is_lost(reply) or reply.ending is Ending.OK
    bench.works()
    loss = the_loss(bench.transport)
    assert "SIGKILL" in loss.log
    assert loss.fault.place == "killed by SIGKILL"
    assert bench.transport.boots == boots + 1


def test_a_death_that_nobody_waited_for_is_told_in_the_end(bench: Bench) -> None:
    if not bench.rig.hears_last:
        return
    boots = bench.transport.boots
    bench.rig.kill_idle(bench.transport)
    bench.transport.close()
    assert "SIGKILL" in the_loss(bench.transport).log
    bench.works()
    assert bench.transport.boots == boots + 1


def test_an_executor_that_somebody_stops_is_lost(bench: Bench) -> None:
    with bench.rig.impatient(bench.transport):
        bench.rig.pause(bench.transport)
        tickets = bench.fill()
        if not bench.rig.notices_pause:
            bench.rig.strike(bench.transport, signal.SIGKILL)
        first, *others = bench.collect(tickets)
    assert is_lost(first)
    assert all(is_spared(reply, first.boot) for reply in others)
    the_loss(bench.transport)
    bench.works()


def test_a_request_without_end_hangs_and_the_others_are_lost(bench: Bench) -> None:
    boots = bench.transport.boots
    with bench.rig.impatient(bench.transport) as request:
        began = time.monotonic()
        tickets = [bench.transport.submit(request), *bench.fill(leave=1)]
        first, *others = bench.collect(tickets)
        took = time.monotonic() - began
    assert (first.ending, first.response) == (Ending.HANG, None)
    assert first.fault is not None
    assert first.fault.kind is FaultKind.HANG
    assert first.log.strip()
    assert took < 60
    assert all(is_spared(reply, boots) for reply in others)
    assert bench.transport.losses() == []
    assert bench.works().boot == bench.transport.boots == boots + 1


def test_a_close_ends_all_and_may_be_repeated(bench: Bench) -> None:
    lives = bench.rig.watch(bench.transport)
    boots = bench.transport.boots
    done = bench.transport.submit(bench.rig.request(1))
    bench.transport.collect(done)
    tickets = bench.fill()
    bench.transport.close()
    bench.transport.close()
    await_end(lives)
    for ticket in tickets:
        with pytest.raises(UnknownTicket):
            bench.transport.collect(ticket)
    assert bench.transport.losses() == []
    assert bench.works().boot == bench.transport.boots == boots + 1
    with pytest.raises(UnknownTicket):
        bench.transport.collect(tickets[0])
