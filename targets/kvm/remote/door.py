"""The door: who connects waits here until it proves that it knows the secret.

One loop looks after all who wait. None gets a process or more than a few kilobytes, none may
wait long, and when too many do, the one that has waited longest has to go.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from targets.kvm.remote import secret
from targets.kvm.remote.address import Address
from targets.kvm.remote.line import FAREWELL_S, Gone, Line
from targets.kvm.remote.messages import (
    PROTOCOL,
    TO_AGENT_LIMIT,
    FrameError,
    Hello,
    Message,
    Prove,
    Refused,
    Welcome,
    expect,
    wire_version,
)
from targets.transport import TransportError

PROVE_S = 10.0
"""From connecting to the proof, however much is sent meanwhile."""
MOST_WAITING = 64
_PAUSE_S = 0.2
"""After the system gave no connection though there is one."""


class Challenge:
    """What one client has to prove."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonce = secret.nonce()
        self.hello = Hello(PROTOCOL, wire_version(), self._nonce)

    def answer(self, message: Message) -> tuple[Welcome, bool]:
        """The agent's own proof, and whether the client wants coverage. Raises FrameError,
        TransportError."""
        prove = expect(Prove, message)
        wanted = secret.proof(self._key, secret.CLIENT, self._nonce, prove.nonce)
        if len(prove.nonce) != secret.NONCE_SIZE or not secret.same(prove.proof, wanted):
            raise TransportError(
                "the secret is another one here: give both sides the same, in"
                f" {secret.VARIABLE} or the secret file."
            )
        mine = secret.proof(self._key, secret.AGENT, self._nonce, prove.nonce)
        return Welcome(mine), prove.coverage


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that knows the secret, and was told that we do. `name`: its address."""

    line: Line
    name: str
    coverage: bool


@dataclass(slots=True)
class _Waiting:
    """A connection; `challenge` is None once it is refused and only has to read why."""

    line: Line
    name: str
    until: float
    challenge: Challenge | None


class Door:
    """Takes connections off `listener`. `say` is told who is refused, and why."""

    def __init__(self, listener: socket.socket, key: bytes, say: Callable[[str], None]) -> None:
        listener.setblocking(False)
        self._listener, self._key, self._say = listener, key, say
        self._waiting: dict[int, _Waiting] = {}  # by descriptor, the oldest first

    def wait(self, seconds: float) -> Iterator[Proven]:
        """Look after those who wait, for so long at most; those who have proven themselves."""
        now = time.monotonic()
        ends = [now + seconds, *(one.until for one in self._waiting.values())]
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        for descriptor in self._waiting:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(max(0.0, min(ends) - now) * 1000):
            if descriptor == self._listener.fileno():
                self._accept()
            elif one := self._waiting.get(descriptor):
                yield from self._hear(one)
        self._end_the_late()

    def refuse(self, line: Line, name: str, why: str, *, later: bool = False) -> None:
        """Say why, let it be read, and close the line, all without waiting for that."""
        self._say(f"{name}: refused: {why}")
        line.say_last(Refused(why, later))
        self._waiting.pop(line.fileno(), None)
        until = time.monotonic() + FAREWELL_S
        self._waiting[line.fileno()] = _Waiting(line, name, until, None)

    def close(self) -> None:
        """Close everything, as a process that is forked from the door's also has to."""
        self._listener.close()
        while self._waiting:
            self._waiting.popitem()[1].line.close()

    def make_room(self, count: int) -> None:
        """Close connections until as many descriptors are free, or none is left to close."""
        while True:
            probes: list[int] = []
            try:
                probes += (os.open(os.devnull, os.O_RDONLY) for _ in range(count))
            except OSError:
                if not self._drop_one():
                    return
            else:
                return
            finally:
                for probe in probes:
                    os.close(probe)

    def _drop_one(self) -> bool:
        """Close a connection that was refused already, else the oldest; whether there was one."""
        one = min(self._waiting.values(), key=lambda w: w.challenge is not None, default=None)
        if one is None:
            return False
        if one.challenge:
            why = "too many wait that have not proven themselves."
            self._say(f"{one.name}: refused: {why}")
            one.line.say_last(Refused(why, later=True))
        self._close(one)
        return True

    def _accept(self) -> None:
        try:
            connection, peer = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # out of descriptors or memory
            self._say(f"a client could not be accepted: {(error.strerror or '').lower()}.")
            if not self._drop_one():
                time.sleep(_PAUSE_S)
            return
        if len(self._waiting) >= MOST_WAITING:
            self._drop_one()
        challenge = Challenge(self._key)
        name = str(Address(*peer[:2]))
        try:
            line = Line(connection)
        except OSError:  # gone again
            connection.close()
            return
        line.queue(challenge.hello)
        until = time.monotonic() + PROVE_S
        self._waiting[line.fileno()] = _Waiting(line, name, until, challenge)

    def _hear(self, one: _Waiting) -> Iterator[Proven]:
        if one.challenge is None:
            if one.line.is_heard():
                self._close(one)
            return
        try:
            message = one.line.receive(0)
            if message is None:
                return
            welcome, coverage = one.challenge.answer(message)
        except Gone as gone:
            self._say(f"{one.name}: left without a proof: {gone}.")
            self._close(one)
        except FrameError as error:
            self.refuse(one.line, one.name, f"what came is not of this protocol: {error}")
        except TransportError as error:
            self.refuse(one.line, one.name, str(error))
        else:
            del self._waiting[one.line.fileno()]
            one.line.frames.limit = TO_AGENT_LIMIT
            one.line.queue(welcome)
            yield Proven(one.line, one.name, coverage)

    def _end_the_late(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._waiting.values() if one.until <= now]:
            if one.challenge:
                why = f"no proof of the secret came within {PROVE_S:g} s."
                self.refuse(one.line, one.name, why)
            else:
                self._close(one)

    def _close(self, one: _Waiting) -> None:
        self._waiting.pop(one.line.fileno(), None)
        with suppress(OSError):
            one.line.close()
