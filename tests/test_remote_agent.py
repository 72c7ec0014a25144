"""An agent's conversation with whoever connects: clients, other programs, and worse."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remote_fakes import CODE, KEY, KILLED, PANIC, Echo, Host, agent

from corpus.trace import Ending
from targets.base import Target
from targets.kvm.remote import door, secret, session
from targets.kvm.remote import line as line_module
from targets.kvm.remote.client import RemoteTransport
from targets.kvm.remote.line import Line
from targets.kvm.remote.messages import (
    LOG_CAP,
    Done,
    Hello,
    Message,
    Prove,
    Ready,
    Refused,
    Run,
    Welcome,
    frame,
)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, KEY)


@pytest.fixture
def served() -> Iterator[Host]:
    with agent() as opened:
        yield opened


def connect(host: Host) -> Line:
    return Line(socket.create_connection((host.address.host, host.address.port)))


def hear(line: Line) -> Message:
    message = line.receive(10)
    assert message is not None
    return message


def introduce(line: Line, key: bytes = KEY.encode()) -> Message:
    """Prove that `key` is known; what the agent answers."""
    hello = hear(line)
    assert isinstance(hello, Hello)
    mine = b"n" * secret.NONCE_SIZE
    line.queue(Prove(mine, secret.proof(key, secret.CLIENT, hello.nonce, mine), False))
    line.frames.limit = 1 << 24
    return hear(line)


def refusal(line: Line) -> str:
    """The agent's last words."""
    while not isinstance(message := hear(line), Refused):
        pass
    line.close()
    assert "\n" not in message.sentence
    return message.sentence


def test_the_agent_proves_itself_and_tells_of_its_leg(served: Host) -> None:
    line = connect(served)
    assert isinstance(introduce(line), Welcome)
    ready = hear(line)
    assert isinstance(ready, Ready)
    assert (ready.leg, ready.facts) == ("echo", {"release": "6.12.1", "vqs": "1,2,4"})
    assert (ready.depth, ready.boot_seconds, ready.code, ready.no_coverage) == (3, 1.5, None, "")
    assert ready.uptime_id == session._uptime_id() != ""
    line.queue(Run(7, b"ab"))
    assert hear(line) == Done(7, Ending.OK, b"abab", "a log", 0.25, [], 1.5, [])
    line.close()
    assert served.sentence() == "left after 1 request: it closed the connection."


def test_a_wrong_secret_is_refused_before_anything_is_told(served: Host) -> None:
    line = connect(served)
    answer = introduce(line, b"another one altogether")
    assert isinstance(answer, Refused)
    assert "the secret is another one here" in answer.sentence
    assert KEY not in answer.sentence
    assert served.sentence().startswith("the secret is another one here")


def test_the_connection_is_closed_after_the_last_words(served: Host) -> None:
    line = connect(served)
    assert isinstance(introduce(line, b"another one altogether"), Refused)
    with pytest.raises(line_module.Gone):
        line.receive(10)


def test_a_proof_cannot_be_replayed(served: Host) -> None:
    first, second = connect(served), connect(served)
    hello = hear(first)
    assert isinstance(hello, Hello)
    mine = b"n" * secret.NONCE_SIZE
    prove = Prove(mine, secret.proof(KEY.encode(), secret.CLIENT, hello.nonce, mine), False)
    hear(second)
    second.queue(prove)
    assert "another one here" in refusal(second)
    first.queue(prove)
    assert isinstance(hear(first), Welcome)


def test_a_nonce_of_another_size_is_refused(served: Host) -> None:
    line = connect(served)
    hello = hear(line)
    assert isinstance(hello, Hello)
    line.queue(Prove(b"", secret.proof(KEY.encode(), secret.CLIENT, hello.nonce, b""), False))
    assert "another one here" in refusal(line)


def send_raw(host: Host, data: bytes, *, proven: bool) -> bytes:
    """Connect, send `data` and no more; all that comes back."""
    with socket.create_connection((host.address.host, host.address.port)) as connection:
        if proven:
            line = Line(connection)
            assert isinstance(introduce(line), Welcome)
            assert isinstance(hear(line), Ready)
            connection.setblocking(True)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        back = b""
        while piece := connection.recv(1 << 16):
            back += piece
        return back


@pytest.mark.parametrize("proven", [False, True])
@given(data=st.binary(max_size=120))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_an_agent(served: Host, proven: bool, data: bytes) -> None:
    send_raw(served, data, proven=proven)
    with_transport = RemoteTransport(served.address)
    try:
        assert with_transport.start()["release"] == "6.12.1"
        reply = with_transport.collect(with_transport.submit(b"ab"))
        assert reply.response == b"abab"
    finally:
        with_transport.close()
    assert not any(isinstance(said, BaseException) for said in served.said)


@pytest.mark.parametrize("proven", [False, True])
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack("<I", 2**32 - 1), "claims 4294967295 bytes"),
        (struct.pack("<I", 5) + b"hello", "holds no message"),
        (struct.pack("<I", 0), "holds no message"),
        (b"GET / HTTP/1.1\r\n\r\n", "claims 542393671 bytes"),
        (frame(Welcome(b"")), "Welcome came instead"),
        (frame(Refused("I am the agent")), "Refused came instead"),
    ],
)
def test_a_bad_frame_is_answered_with_a_sentence(
    served: Host, proven: bool, data: bytes, why: str
) -> None:
    line = connect(served)
    if proven:
        introduce(line)
    else:
        hear(line)
    line._socket.send(data)
    assert why in refusal(line)
    assert why in served.sentence()


def test_large_frames_are_for_the_proven(served: Host) -> None:
    big = frame(Run(1, bytes(1 << 20)))
    line = connect(served)
    hear(line)
    line._socket.send(big[:8])
    assert "where 4096 are the most" in refusal(line)
    line = connect(served)
    introduce(line)
    assert isinstance(hear(line), Ready)
    line.queue(Run(1, bytes(1 << 20)))
    done = hear(line)
    assert isinstance(done, Done)
    assert done.response == bytes(2 << 20)


def test_who_says_nothing_is_not_waited_for(served: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PROVE_S", 0.2)
    assert "no proof of the secret came" in refusal(connect(served))


def test_a_frame_that_does_not_end_is_not_waited_for(
    served: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "STALL_S", 0.2)
    line = connect(served)
    introduce(line)
    assert isinstance(hear(line), Ready)
    line._socket.send(frame(Run(1, b"abcdef"))[:-1])
    assert "the rest of a frame did not come" in refusal(line)


def test_the_leg_is_closed_when_its_client_leaves() -> None:
    opened: list[Echo] = []

    def make(coverage: bool) -> Echo:
        opened.append(Echo(coverage))
        return opened[-1]

    with agent(make) as served:
        transport = RemoteTransport(served.address)
        transport.start()
        assert not opened[0].closed.is_set()
        transport.close()
        assert opened[0].closed.wait(10)


def test_replies_come_as_they_are(served: Host) -> None:
    transport = RemoteTransport(served.address)
    assert transport.start() == {"release": "6.12.1", "vqs": "1,2,4", "agent.leg": "echo"}
    assert transport.depth == 3
    replies = [
        transport.collect(transport.submit(request))
        for request in (b"a", b"panic", b"b", b"c" * 50_000)
    ]
    assert [reply.ending for reply in replies] == [*(Ending.OK, Ending.CRASH, Ending.OK, Ending.OK)]
    assert [reply.response for reply in replies] == [b"aa", None, b"bb", b"c" * 100_000]
    assert (replies[0].log, replies[0].seconds) == ("a log", 0.25)
    assert replies[1].log.endswith("Kernel panic")
    assert len(replies[1].log) == LOG_CAP
    assert [reply.fault for reply in replies] == [None, PANIC, None, None]
    transport.close()


def test_boots_and_losses_are_counted(served: Host) -> None:
    transport = RemoteTransport(served.address)
    transport.start()
    assert (transport.boots, transport.boot_seconds) == (1, 1.5)
    seen = []
    for request in (b"a", b"panic", b"b", b"c", b"lose", b"d"):
        transport.collect(transport.submit(request))
        seen.append((transport.boots, *transport.losses()))
    assert seen == [(1,), (1,), (2,), (2,), (3, KILLED), (3,)]
    transport.restart()
    assert transport.collect(transport.submit(b"a")).response == b"aa"
    assert transport.boots == 4
    assert len(served.connections) == 2
    transport.close()


def test_a_restart_loses_what_was_under_way(served: Host) -> None:
    transport = RemoteTransport(served.address)
    transport.start()
    done, lost = transport.submit(b"a"), transport.submit(b"sleep3")
    assert transport.collect(done).ending is Ending.OK
    transport.restart()
    assert transport.collect(lost).ending is Ending.LOST
    assert transport.losses() == []
    transport.close()


def test_many_large_requests_each_way_and_nobody_waits_for_ever(served: Host) -> None:
    transport = RemoteTransport(served.address)
    transport.start()
    requests = [bytes([n]) * 700_000 for n in range(12)]
    tickets = [transport.submit(request) for request in requests]
    for ticket, request in reversed(list(zip(tickets, requests, strict=True))):
        assert transport.collect(ticket).response == request * 2
    transport.close()


def test_clients_are_served_side_by_side(served: Host) -> None:
    slow, quick = RemoteTransport(served.address), RemoteTransport(served.address)
    slow.start()
    quick.start()
    began = time.monotonic()
    ticket = slow.submit(b"sleep2")
    assert quick.collect(quick.submit(b"a")).response == b"aa"
    assert time.monotonic() - began < 1.5
    assert slow.collect(ticket).ending is Ending.OK
    slow.close()
    quick.close()


def test_coverage_comes_along_or_says_why_not() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address, coverage=True)
        transport.start()
        assert transport.code == CODE
        assert transport.no_coverage == ""
        assert transport.collect(transport.submit(b"a")).blocks == [4, 8]
        transport.close()
    with agent(lambda _: Echo(False)) as served:
        transport = RemoteTransport(served.address, coverage=True)
        transport.start()
        assert transport.code is None
        assert transport.no_coverage == "the agent's leg echo records none."
        transport.close()


def test_targets_take_it_as_any_leg(served: Host) -> None:
    from targets.legs import open_leg  # noqa: PLC0415

    leg: Target
    with open_leg(f"kvm:tcp={served.address}") as leg:
        assert leg.name == f"kvm:tcp={served.address}"
        assert leg.kind == "kvm"
        assert leg.profile.max_vq == 4
        assert leg.fingerprint["agent.leg"] == "echo"
