"""An agent's side of one connection: prove each other, start the leg, serve requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from targets.kvm.remote import secret
from targets.kvm.remote.line import Gone, Line
from targets.kvm.remote.messages import (
    LOG_CAP,
    PROTOCOL,
    TO_AGENT_LIMIT,
    Code,
    Done,
    FrameError,
    Hello,
    Prove,
    Ready,
    Refused,
    Run,
    Welcome,
    expect,
    wire_version,
)
from targets.transport import Transport, TransportError

PROVE_S = 10.0
"""For a client to prove that it knows the secret."""


class Stopped(Exception):
    """The agent was asked to end."""


@dataclass(frozen=True, slots=True)
class Service:
    """What an agent serves: a leg by name, how to open its transport (with kernel coverage
    or without), and who may use it."""

    leg: str
    open: Callable[[bool], Transport]
    key: bytes


def converse(line: Line, service: Service) -> str:
    """Serve one client until it leaves, and close the line; how it went, in one sentence."""
    served = _Count()
    last: str | None = None
    try:
        with_coverage = _prove(line, service.key)
        transport = service.open(with_coverage)
        try:
            _serve(line, service, transport, with_coverage, served)
        finally:
            transport.close()
    except Gone as gone:
        return f"left after {served}: {gone}."
    except FrameError as error:
        last = f"what came is not of this protocol: {error}"
    except TransportError as error:
        last = str(error)
    except Stopped:
        last = "it was stopped."
    finally:
        line.close(Refused(last) if last else None)
    return f"ended after {served}: {last}"


class _Count:
    """Requests that were served."""

    def __init__(self) -> None:
        self.value = 0

    def __str__(self) -> str:
        return f"{self.value} request{'' if self.value == 1 else 's'}"


def _prove(line: Line, key: bytes) -> bool:
    """Exchange proofs; whether the client wants coverage. Raises Gone, FrameError,
    TransportError."""
    mine = secret.nonce()
    line.send(Hello(PROTOCOL, wire_version(), mine), PROVE_S)
    message = line.receive(PROVE_S)
    if message is None:
        raise TransportError(f"no proof of the secret came within {PROVE_S:.0f} s.")
    prove = expect(Prove, message)
    wanted = secret.proof(key, secret.CLIENT, mine, prove.nonce)
    if len(prove.nonce) != secret.NONCE_SIZE or not secret.same(prove.proof, wanted):
        raise TransportError(
            "the secret is another one here: give both sides the same, in"
            f" {secret.VARIABLE} or the secret file."
        )
    line.frames.limit = TO_AGENT_LIMIT
    line.send(Welcome(secret.proof(key, secret.AGENT, mine, prove.nonce)), PROVE_S)
    return prove.coverage


def _serve(
    line: Line, service: Service, transport: Transport, coverage: bool, served: _Count
) -> None:
    """Raises Gone, FrameError, TransportError."""
    facts = transport.start()
    line.send(_ready(service.leg, facts, transport, coverage))
    running: deque[tuple[int, int]] = deque()  # the client's ticket, the transport's
    while True:
        while len(running) < max(1, transport.depth):
            message = line.receive(0 if running else None)
            if message is None:
                break
            run = expect(Run, message)
            running.append((run.ticket, transport.submit(run.request)))
        theirs, ours = running.popleft()
        reply = transport.collect(ours)
        served.value += 1
        line.send(
            Done(
                theirs,
                reply.ending,
                reply.response,
                reply.log[-LOG_CAP:],
                reply.seconds,
                list(reply.blocks),
                transport.boot_seconds,
                [replace(loss, log=loss.log[-LOG_CAP:]) for loss in transport.losses()],
                reply.at,
                reply.fault,
            )
        )


def _ready(leg: str, facts: Mapping[str, str], transport: Transport, coverage: bool) -> Ready:
    code = Code.of(transport.code) if transport.code else None
    why_not = transport.no_coverage
    if coverage and code is None and not why_not:
        why_not = f"the agent's leg {leg} records none."
    seconds = transport.boot_seconds
    return Ready(leg, dict(facts), _uptime_id(), transport.depth, seconds, code, why_not)


def _uptime_id() -> str:
    """Drawn by the kernel once as it boots (random(4))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
