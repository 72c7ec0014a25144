"""The leg `kvm:tcp=HOST:PORT`: a transport whose executor is an agent's, on another machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from targets.kvm.remote import secret
from targets.kvm.remote.address import Address
from targets.kvm.remote.line import Gone, Line
from targets.kvm.remote.messages import (
    FROM_AGENT_LIMIT,
    PROTOCOL,
    REQUEST_CAP,
    Done,
    FrameError,
    Hello,
    Message,
    Prove,
    Ready,
    Refused,
    Run,
    Welcome,
    expect,
    printable,
    wire_version,
)
from targets.transport import Loss, Reply, Transport, TransportError, UnknownTicket

CONNECT_S = 10.0
"""For the connection, and for each step until both sides are proven."""
START_S = 420.0
"""For the agent to start its leg: longer than a lab kernel may take to boot."""
LIMIT_S = 240.0
"""Silence while a request is under way. The agent's leg has limits of its own, which are
shorter; this one is for an agent that is stuck itself."""
PATIENCE_S = 300.0
"""How long a lost agent is looked for again before it is given up: servers boot slowly."""
_PAUSE_S = 0.5

_FAULTS = {Ending.HANG: FaultKind.HANG, Ending.CRASH: FaultKind.CRASH}
"""What the connection tells of an ending; behind the one at fault, requests are only lost."""


class _NotThere(TransportError):
    """Nobody listens, or has time, for now."""


class RemoteTransport(Transport):
    """A leg that an agent serves. Not for several threads at once.

    When the connection breaks, the agent is looked for again. If it said that it was stopped,
    no request is at fault. Else its machine's uptime tells what happened: if that started
    anew, or does not come back, the oldest request in flight crashed it; if it only fell
    silent for a while, that request hung it; else the agent was lost, and no request is at
    fault.
    """

    def __init__(
        self,
        address: Address,
        *,
        coverage: bool = False,
        limit: float = LIMIT_S,
        patience: float = PATIENCE_S,
    ) -> None:
        super().__init__()
        self.address = address
        self._coverage = coverage
        self._limit, self._patience = limit, patience
        self._line: Line | None = None
        self._facts: dict[str, str] = {}
        self._uptime_id = ""
        self._first_boot = 0  # what the executor is numbered that was there when we came
        self._next_boot = 0  # the least that one for another request will be
        self._in_flight: dict[int, float] = {}  # ticket -> when it was submitted; oldest first
        self._replies: dict[int, Reply] = {}
        self._tickets = 0
        self._heard = 0.0

    def start(self) -> Mapping[str, str]:
        if self._line is None:
            self._line = self._connect()
        return dict(self._facts)

    def submit(self, request: bytes) -> int:
        if len(request) > REQUEST_CAP:
            raise TransportError(
                f"a request of {len(request)} bytes exceeds the agent's {REQUEST_CAP}."
            )
        line = self._alive()
        self.boots = max(self.boots, self._next_boot)
        self._tickets += 1
        self._in_flight[self._tickets] = time.monotonic()
        line.queue(Run(self._tickets, request))
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        while ticket not in self._replies:
            if ticket not in self._in_flight or self._line is None:
                raise UnknownTicket(ticket)
            silent = time.monotonic() - max(self._heard, next(iter(self._in_flight.values())))
            try:
                message = self._line.receive(max(0.0, self._limit - silent))
                self._heard = time.monotonic()
                if message is None:
                    self._broke(f"it was silent for {self._limit:g} s", silent=True)
                else:
                    self._settle(message)
            except Gone as gone:
                self._broke(str(gone), silent=gone.silent)
            except FrameError as error:
                self._fail(f"it sends what is no answer: {error}")
        return self._replies.pop(ticket)

    def restart(self) -> None:
        self._lose(Ending.LOST, "closed to start afresh")

    def close(self) -> None:
        self._drop()
        self._in_flight.clear()
        self._replies.clear()

    def _settle(self, message: Message) -> None:
        if isinstance(message, Refused):
            why = printable(message.sentence)
            if message.later:
                self._stopped(why)
                return
            self._fail(why)
        done = expect(Done, message)
        if self._in_flight.pop(done.ticket, None) is None:
            raise FrameError("it answers a request that is not under way.")
        if (done.response is None) == (done.ending is Ending.OK):
            raise FrameError("a response comes with the ending ok, and with no other.")
        boot = self._first_boot + done.boot
        self._replies[done.ticket] = Reply(
            *(done.ending, done.response, done.log, done.seconds, done.blocks, done.at),
            done.fault,
            boot,
        )
        self.boots = max(self.boots, boot)
        self._next_boot = max(self._next_boot, boot + (done.ending is not Ending.OK))
        self.boot_seconds = done.boot_seconds
        self._losses += done.losses

    def _broke(self, why: str, *, silent: bool) -> None:
        """The connection broke while requests were under way: find out what became of them."""
        before = self._uptime_id
        self._drop()
        try:
            line = self._again()
        except TransportError as error:
            self._lose(Ending.HANG if silent else Ending.CRASH, f"{why}; then, {error}")
            return
        if self._uptime_id != before:
            self._lose(Ending.CRASH, f"{why}; its machine has started again since")
        elif silent:
            self._lose(Ending.HANG, why)
        else:
            self._lost(why)
        self._line = line

    def _stopped(self, why: str) -> None:
        """The agent ended in order while requests were under way, perhaps as its machine is
        about to start again: none is at fault, whatever comes next. Raises TransportError."""
        self._drop()
        try:
            line = self._again()
        except TransportError as error:
            self._lose(Ending.LOST, why)
            raise TransportError(f"the agent at {self.address}: {why} Then: {error}") from error
        self._lost(why)
        self._line = line

    def _lost(self, why: str) -> None:
        """The agent was lost, and no request is at fault."""
        self._lose(Ending.LOST, why)
        self._losses.append(Loss.told(f"connection to the agent at {self.address}: {why}"))

    def _lose(self, ending: Ending, why: str) -> None:
        """Drop the line; give the oldest request this ending, the others are lost."""
        now = time.monotonic()
        for ticket, since in self._in_flight.items():
            line = f"connection to the agent at {self.address}: {why}"
            kind = _FAULTS.get(ending)
            fault = Fault(kind, line=line) if kind else None
            self._replies[ticket] = Reply(
                ending, None, f"{line}\n", now - since, fault=fault, boot=self.boots
            )
            ending = Ending.LOST
        self._in_flight.clear()
        self._drop()

    def _fail(self, why: str) -> None:
        """The agent cannot go on: no request is at fault. Raises TransportError."""
        self._lose(Ending.LOST, why)
        raise TransportError(f"the agent at {self.address}: {why}")

    def _drop(self) -> None:
        if self._line:
            self._line.close()
        self._line = None

    def _alive(self) -> Line:
        """The line, made anew if it broke while nothing was under way."""
        if self._line and not self._in_flight:
            try:
                message = self._line.receive(0)
                if message is not None:
                    self._drop()  # it said goodbye
            except (Gone, FrameError):
                self._drop()
        if self._line is None:
            self._line = self._again() if self._facts else self._connect()
        return self._line

    def _again(self) -> Line:
        """Look for the agent until patience ends; it has to serve the same machine."""
        before, end = self._facts, time.monotonic() + self._patience
        while True:
            try:
                line = self._connect()
                break
            except _NotThere:
                if time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE_S)
        changed = sorted(k for k, _ in before.items() ^ self._facts.items())
        if changed:
            line.close()
            self._facts = before
            raise TransportError(
                f"the agent at {self.address} serves something else now:"
                f" {', '.join(dict.fromkeys(changed))} changed."
            )
        return line

    def _connect(self) -> Line:
        key = secret.of_client()
        try:
            connection = socket.create_connection((self.address.host, self.address.port), CONNECT_S)
        except (OSError, UnicodeError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise _NotThere(
                f"no agent answers at {self.address} ({why}):"
                " start one on that machine with vcpufuzz agent."
            ) from error
        line = Line(connection)
        try:
            self._introduce(line, key)
        except (Gone, FrameError) as error:
            line.close()
            kind = _NotThere if isinstance(error, Gone) else TransportError
            raise kind(f"no agent of vcpufuzz answers at {self.address}: {error}") from error
        except BaseException:
            line.close()
            raise
        return line

    def _introduce(self, line: Line, key: bytes) -> None:
        """From hello to a started leg. Raises Gone, FrameError, TransportError."""
        hello = expect(Hello, self._next(line, CONNECT_S))
        theirs = f"{hello.protocol}/{printable(hello.wire)}"
        if theirs != (ours := f"{PROTOCOL}/{wire_version()}"):
            raise TransportError(
                f"the agent at {self.address} is of another version of vcpufuzz ({theirs}, here"
                f" {ours}): use the same one on both machines."
            )
        mine = secret.nonce()
        proof = secret.proof(key, secret.CLIENT, hello.nonce, mine)
        line.queue(Prove(mine, proof, self._coverage))
        welcome = expect(Welcome, self._next(line, CONNECT_S))
        if not secret.same(welcome.proof, secret.proof(key, secret.AGENT, hello.nonce, mine)):
            raise TransportError(f"the agent at {self.address} does not know the secret itself.")
        line.frames.limit = FROM_AGENT_LIMIT
        ready = expect(Ready, self._next(line, START_S))
        self._facts = {**ready.facts, "agent.leg": ready.leg}
        self._uptime_id = ready.uptime_id
        self.boots, self.boot_seconds = self.boots + 1, ready.boot_seconds
        self._first_boot = self._next_boot = self.boots
        self.depth = max(1, ready.depth)
        self.code = ready.code.map() if ready.code else None
        self.no_coverage = ready.no_coverage

    def _next(self, line: Line, seconds: float) -> Message:
        message = line.receive(seconds)
        if message is None:
            raise Gone(f"it was silent for {seconds:g} s")
        if isinstance(message, Refused):
            kind = _NotThere if message.later else TransportError
            raise kind(f"the agent at {self.address}: {printable(message.sentence)}")
        self._heard = time.monotonic()
        return message
