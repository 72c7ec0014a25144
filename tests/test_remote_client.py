"""The leg `kvm:tcp=` when its agent is not what it should be, or is no more."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from remote_fakes import KEY, Echo, Host, admit, agent, host

from corpus.fault import FaultKind
from corpus.trace import Ending
from targets.kvm.remote import client as client_module
from targets.kvm.remote import secret, session
from targets.kvm.remote.address import Address
from targets.kvm.remote.client import RemoteTransport
from targets.kvm.remote.line import Gone, Line
from targets.kvm.remote.messages import (
    PROTOCOL,
    Done,
    Hello,
    Message,
    Refused,
    Welcome,
    frame,
    wire_version,
)
from targets.kvm.remote.session import Service, converse
from targets.transport import Reply, TransportError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, KEY)


def trouble(address: Address) -> str:
    """What starting the leg fails with."""
    with pytest.raises(TransportError) as caught:
        RemoteTransport(address).start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_nobody_listens() -> None:
    address = Address("127.0.0.1", free_port())
    assert trouble(address).startswith(f"no agent answers at {address} (connection refused)")


def test_a_host_that_does_not_exist() -> None:
    assert "no agent answers at" in trouble(Address("no-such-host.invalid", 1))


def test_without_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(secret.VARIABLE)
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    with agent() as served:
        assert str(tmp_path / "agent.secret") in trouble(served.address)


def test_another_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, "another one altogether")
    with agent() as served:
        assert "the secret is another one here" in trouble(served.address)


def says(*messages: Message | bytes) -> Callable[[socket.socket], None]:
    """A server that says this, whatever it hears, and then waits for the other side to go."""

    def serve(connection: socket.socket) -> None:
        for message in messages:
            connection.sendall(message if isinstance(message, bytes) else frame(message))
        connection.settimeout(20)
        with suppress(OSError):
            while connection.recv(1 << 16):
                pass

    return serve


HELLO = Hello(PROTOCOL, wire_version(), bytes(secret.NONCE_SIZE))


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "no agent of vcpufuzz answers"),
        (says(struct.pack("<I", 2**31)), "claims 2147483648 bytes"),
        (says(b"\x03\0\0\0abc"), "holds no message"),
        (says(Hello(99, "x", b"")), "another version of vcpufuzz"),
        (says(Hello(PROTOCOL, "other ops", b"")), "another version of vcpufuzz"),
        (says(HELLO, Welcome(bytes(32))), "does not know the secret itself"),
        (says(HELLO, Refused("go\naway\x1b[2J")), "go away [2J"),
        (says(HELLO, HELLO), "Welcome was expected"),
        (lambda connection: connection.close(), "no agent of vcpufuzz answers"),
    ],
)
def test_something_else_listens(server: Callable[[socket.socket], None], why: str) -> None:
    with host(server) as other:
        assert why in trouble(other.address)


def test_something_that_says_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_S", 0.2)
    with host(says()) as other:
        assert "it was silent" in trouble(other.address)


def test_a_leg_that_does_not_start_there() -> None:
    class Broken(Echo):
        def start(self) -> dict[str, str]:
            raise TransportError("this machine's /dev/kvm gives no VM.")

    with agent(Broken) as served:
        assert trouble(served.address).endswith("this machine's /dev/kvm gives no VM.")


def test_a_leg_that_gives_up_is_a_sentence_and_can_be_tried_again() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address)
        transport.start()
        ticket = transport.submit(b"refuse")
        with pytest.raises(TransportError, match=r"this leg takes no more\.$"):
            transport.collect(ticket)
        assert transport.collect(transport.submit(b"a")).response == b"aa"
        transport.close()


def broken(transport: RemoteTransport, served: Host) -> list[Reply]:
    """The replies to three requests during the first of which the connection breaks."""
    transport.start()
    assert transport.collect(transport.submit(b"a")).ending is Ending.OK
    tickets = [transport.submit(request) for request in (b"sleep5", b"b", b"c")]
    served.hang_up()
    return [transport.collect(ticket) for ticket in tickets]


def test_an_agent_that_was_killed_is_a_loss_and_no_request_is_at_fault() -> None:
    with agent() as served, closing(RemoteTransport(served.address)) as transport:
        replies = broken(transport, served)
        assert [reply.ending for reply in replies] == [Ending.LOST] * 3
        assert transport.collect(transport.submit(b"b")).response == b"bb"
        assert transport.boots == len(served.connections) == 2
        (loss,) = transport.losses()
        why = f"connection to the agent at {served.address}: it closed the connection"
        assert (loss.log, loss.fault.line) == (f"{why}\n", why)


def test_requests_that_were_on_their_way_ran_on_the_next_executor() -> None:
    class Single(Echo):
        depth = 1

    with agent(Single) as served, closing(RemoteTransport(served.address)) as transport:
        transport.start()
        tickets = [transport.submit(request) for request in (b"a", b"panic", b"b", b"panic", b"c")]
        replies = [transport.collect(ticket) for ticket in tickets]
        assert [reply.boot for reply in replies] == [1, 1, 2, 2, 3]
        assert [r.ending for r in replies[1:4]] == [Ending.CRASH, Ending.OK, Ending.CRASH]
        assert transport.boots == 3
        transport.restart()
        assert transport.collect(transport.submit(b"d")).boot == transport.boots == 4


def test_a_machine_that_started_again_was_crashed_by_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uptimes = iter(["one", "two"])
    monkeypatch.setattr(session, "_uptime_id", lambda: next(uptimes))
    with agent() as served, closing(RemoteTransport(served.address)) as transport:
        replies = broken(transport, served)
        assert [r.ending for r in replies] == [Ending.CRASH, Ending.LOST, Ending.LOST]
        assert "its machine has started again since" in replies[0].log
        assert transport.losses() == []
        assert transport.collect(transport.submit(b"b")).response == b"bb"


def test_an_agent_that_is_stopped_blames_nobody_even_if_its_machine_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uptimes = iter(["one", "two"])
    monkeypatch.setattr(session, "_uptime_id", lambda: next(uptimes))
    with agent() as served, closing(RemoteTransport(served.address)) as transport:
        transport.start()
        tickets = [transport.submit(request) for request in (b"a", b"stop", b"b", b"c")]
        replies = [transport.collect(ticket) for ticket in tickets]
        assert [r.ending for r in replies] == [Ending.OK, *[Ending.LOST] * 3]
        (loss,) = transport.losses()
        assert loss.log == f"connection to the agent at {served.address}: it was stopped.\n"
        assert (loss.fault.kind, loss.fault.of_guest) == (FaultKind.LOST, False)
        assert transport.collect(transport.submit(b"b")).response == b"bb"
        assert transport.boots == 2


def test_an_agent_that_is_stopped_for_good_blames_nobody() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address, patience=0.6)
        transport.start()
        tickets = [transport.submit(request) for request in (b"sleep0.3", b"stop", b"a")]
        served._listener.shutdown(socket.SHUT_RDWR)
        served._listener.close()
        assert transport.collect(tickets[0]).ending is Ending.OK
        with pytest.raises(TransportError, match=r"it was stopped\. Then: no agent answers"):
            transport.collect(tickets[1])
        assert [transport.collect(t).ending for t in tickets[1:]] == [Ending.LOST] * 2
        transport.close()


def test_an_agent_that_is_stopped_while_its_client_is_idle_is_waited_for() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address)
        transport.start()
        Line(served.connections[0]).queue(Refused("it was stopped.", later=True))
        assert transport.collect(transport.submit(b"a")).response == b"aa"
        assert transport.boots == 2
        transport.close()


def test_an_agent_that_is_full_as_its_client_comes_back_is_waited_for() -> None:
    full = Refused("32 clients are served already.", later=True)
    seen: list[int] = []

    def serve(connection: socket.socket) -> None:
        line = Line(connection)
        seen.append(len(seen))
        coverage = admit(line)
        if seen[-1] in (1, 2):
            line.close(full)
        else:
            converse(line, Service("echo", Echo, b""), coverage)

    with host(serve) as other, closing(RemoteTransport(other.address)) as transport:
        transport.start()
        other.hang_up()
        time.sleep(0.05)
        assert transport.collect(transport.submit(b"a")).response == b"aa"
        assert seen == [0, 1, 2, 3]
        seen[:] = [0]
        with pytest.raises(TransportError, match="32 clients are served already"):
            RemoteTransport(other.address).start()


def test_a_connection_that_broke_while_idle_blames_no_request() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address)
        transport.start()
        served.hang_up()
        time.sleep(0.05)
        assert transport.collect(transport.submit(b"a")).ending is Ending.OK
        transport.close()


def test_silence_is_a_hang_and_the_next_request_works() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address, limit=1)
        transport.start()
        reply = transport.collect(transport.submit(b"sleep5"))
        assert (reply.ending, reply.response) == (Ending.HANG, None)
        assert reply.log.endswith("it was silent for 1 s\n")
        assert transport.collect(transport.submit(b"a")).response == b"aa"
        transport.close()


def test_an_agent_that_is_gone_is_looked_for_until_patience_ends() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address, patience=0.6)
        transport.start()
        ticket = transport.submit(b"sleep5")
    began = time.monotonic()
    reply = transport.collect(ticket)
    assert reply.ending is Ending.CRASH
    assert "no agent answers" in reply.log
    assert time.monotonic() - began >= 0.5
    began = time.monotonic()
    with pytest.raises(TransportError, match="no agent answers"):
        transport.submit(b"a")
    assert time.monotonic() - began >= 0.5


def test_an_agent_that_comes_back_is_found() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address, patience=10)
        transport.start()
    again: list[Reply] = []
    asking = threading.Thread(
        target=lambda: again.append(transport.collect(transport.submit(b"a"))), daemon=True
    )
    asking.start()
    time.sleep(0.2)
    assert asking.is_alive()
    with agent(port=served.address.port):
        asking.join(10)
        assert [reply.response for reply in again] == [b"aa"]
        transport.close()


def test_another_machine_at_the_same_address_is_not_taken() -> None:
    releases = iter(["6.12.1", "6.13.0"])

    def make(coverage: bool) -> Echo:
        return Echo(coverage, {"release": next(releases), "vqs": "1"})

    with agent(make) as served:
        transport = RemoteTransport(served.address)
        transport.start()
        served.hang_up()
        time.sleep(0.05)
        with pytest.raises(TransportError, match="serves something else now: release changed"):
            transport.submit(b"a")


def test_a_request_that_is_too_large_is_not_sent() -> None:
    with agent() as served:
        transport = RemoteTransport(served.address)
        transport.start()
        with pytest.raises(TransportError, match="exceeds"):
            transport.submit(bytes((1 << 20) + 1))
        assert transport.collect(transport.submit(b"a")).response == b"aa"
        transport.close()


def test_answers_nobody_asked_for_are_a_sentence() -> None:
    def confused(connection: socket.socket) -> None:
        line, transport = Line(connection), Echo()
        admit(line)
        line.send(session._ready("echo", transport.start(), transport, False))
        line.receive(10)
        line.send(Done(77, Ending.OK, b"", "", 0.0, []))
        with suppress(Gone):
            line.receive(10)

    with host(confused) as other:
        transport = RemoteTransport(other.address)
        transport.start()
        ticket = transport.submit(b"a")
        with pytest.raises(TransportError, match="a request that is not under way"):
            transport.collect(ticket)
