"""Those who have not proven themselves: they cost little, wait briefly, and disturb nobody."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from remote_fakes import KEY, Agent, agent

from targets.kvm.remote import address, door, secret
from targets.kvm.remote.client import RemoteTransport
from targets.kvm.remote.line import Gone, Line
from targets.kvm.remote.messages import Hello, Prove, Refused, Run, Welcome, frame


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret.VARIABLE, KEY)


@pytest.fixture
def served() -> Iterator[Agent]:
    with agent() as opened:
        yield opened


def stranger(served: Agent) -> socket.socket:
    """Somebody who connects, and was greeted: so the connection is an old one by then."""
    connection = socket.create_connection((served.address.host, served.address.port))
    connection.settimeout(10)
    assert connection.recv(1 << 16)
    return connection


def works(where: address.Address) -> float:
    """Seconds it takes a client to be served."""
    began = time.monotonic()
    with closing(RemoteTransport(where)) as transport:
        transport.start()
        assert transport.collect(transport.submit(b"ab")).response == b"abab"
    return time.monotonic() - began


def refusal(connection: socket.socket) -> str:
    """The last words to a stranger, who then finds the connection closed."""
    line = Line(connection)
    try:
        message = line.receive(10)
        assert isinstance(message, Refused)
        with pytest.raises(Gone):
            line.receive(10)
        return message.sentence
    finally:
        line.close()


def test_idle_strangers_lock_nobody_out(served: Agent) -> None:
    with ExitStack() as stack, closing(RemoteTransport(served.address)) as inside:
        inside.start()
        for _ in range(3 * door.MOST_WAITING):
            stack.enter_context(stranger(served))
        assert works(served.address) < 5
        assert inside.collect(inside.submit(b"a")).response == b"aa"
        assert inside.boots == 1


def test_the_oldest_stranger_goes_first(served: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MOST_WAITING", 3)
    strangers = [stranger(served) for _ in range(5)]
    for gone in strangers[:2]:
        assert refusal(gone) == "too many wait that have not proven themselves."
    for left in strangers[2:]:
        left.setblocking(False)
        with pytest.raises(BlockingIOError):
            left.recv(1)
        left.close()


def test_a_stranger_that_was_refused_goes_before_one_that_was_not(
    served: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST_WAITING", 2)
    monkeypatch.setattr(door, "FAREWELL_S", 60)
    first, second = stranger(served), stranger(served)
    second.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert second.recv(1 << 16)  # refused, and does not close
    third = stranger(served)
    assert second.recv(1) == b""
    for left in (first, third):
        left.setblocking(False)
        with pytest.raises(BlockingIOError):
            left.recv(1)


def test_a_byte_now_and_then_gains_no_time(served: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PROVE_S", 0.6)
    slow = stranger(served)
    began = time.monotonic()
    for byte in struct.pack("<I", 4000) + bytes(4000):
        slow.sendall(bytes([byte]))
        time.sleep(0.02)
        if time.monotonic() - began > 0.5:
            break
    assert refusal(slow) == "no proof of the secret came within 0.6 s."
    assert time.monotonic() - began < 5


def test_those_who_do_not_go_when_told_to_hold_up_nobody(served: Agent) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(stranger(served))
            connection.sendall(b"\xff" * 100)
        assert works(served.address) < 5


def test_wrong_secrets_in_a_row_are_refused_each_and_the_right_one_is_not(served: Agent) -> None:
    for number in range(60):
        line = Line(socket.create_connection((served.address.host, served.address.port)))
        hello = line.receive(10)
        assert isinstance(hello, Hello)
        mine = b"n" * secret.NONCE_SIZE
        guess = f"a secret that is wrong {number}".encode()
        line.queue(Prove(mine, secret.proof(guess, secret.CLIENT, hello.nonce, mine), False))
        answer = line.receive(10)
        assert isinstance(answer, Refused)
        assert "the secret is another one here" in answer.sentence
        assert not answer.later
        line.close()
    assert works(served.address) < 5
    assert len(served.said) >= 60


ODD: dict[str, Callable[[socket.socket], object]] = {
    "closes": lambda c: c.close(),
    "closes its half": lambda c: c.shutdown(socket.SHUT_WR),
    "closes both halves": lambda c: c.shutdown(socket.SHUT_RDWR),
    "resets": lambda c: (
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
        c.close(),
    ),
    "half a frame, then its half": lambda c: (c.send(b"\x10\0\0\0ab"), c.shutdown(socket.SHUT_WR)),
    "a page request": lambda c: c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a TLS hello": lambda c: c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    "zeros": lambda c: c.send(bytes(100_000)),
    "a run before the proof": lambda c: c.send(frame(Run(1, b"ab"))),
    "an agent's words": lambda c: c.send(frame(Welcome(b""))),
    "two proofs": lambda c: c.send(2 * frame(Prove(b"", b"", False))),
    "urgent": lambda c: c.send(b"!", socket.MSG_OOB),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_strangers_disturb_nobody_and_leave_nothing(what: str, served: Agent) -> None:
    works(served.address)
    time.sleep(0.1)
    before = len(os.listdir("/proc/self/fd"))
    with closing(RemoteTransport(served.address)) as inside:
        inside.start()
        for _ in range(5):
            connection = stranger(served)
            ODD[what](connection)
            assert inside.collect(inside.submit(b"a")).response == b"aa"
            connection.close()
        assert works(served.address) < 5
    end = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < end, os.listdir("/proc/self/fd")
        time.sleep(0.05)
    assert not any(isinstance(said, BaseException) for said in served.said)


SCRIPT = """if True:
    import resource, sys
    from remote_fakes import Echo
    from targets.kvm.remote.address import Address
    from targets.kvm.remote.agent import Agent
    from targets.kvm.remote.session import Service
    resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
    agent = Agent(Address("127.0.0.1", 0), Service("echo", Echo, sys.argv[1].encode()), print)
    agent.run(lambda _: print(agent.address, flush=True))
"""


def test_an_agent_without_descriptors_left_takes_them_from_strangers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, KEY],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}"},
    )
    try:
        assert process.stdout is not None
        where = address.parse(process.stdout.readline().strip())
        with ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(socket.create_connection((where.host, where.port)))
            assert works(where) < 10
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[0]
    assert "a client could not be accepted: too many open files." in said
    assert process.returncode == 0


def test_a_line_that_was_torn_says_no_more() -> None:
    """What a signal interrupts may have been sent or not: a word more could be read as part
    of a frame."""

    class Interrupted(BaseException):
        pass

    class Socket:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def send(self, data: bytes) -> int:
            self.real.send(data[:10])
            raise Interrupted

    ours, theirs = socket.socketpair()
    line = Line(ours)
    line._socket = Socket(ours)  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        line.send(Run(1, b"x" * 100))
    line.close(Refused("it was stopped.", later=True))
    theirs.settimeout(10)
    assert theirs.recv(1 << 16) == frame(Run(1, b"x" * 100))[:10]
    assert theirs.recv(1) == b""
