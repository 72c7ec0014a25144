"""An agent's side of one connection, from the proof on: start the leg, serve requests."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.trace import Ending
from targets.kvm.remote.line import Gone, Line
from targets.kvm.remote.messages import (
    LOG_CAP,
    Code,
    Done,
    FrameError,
    Ready,
    Refused,
    Run,
    expect,
)
from targets.transport import Transport, TransportError

GRACE_S = 0.5
"""What stops an agent often stops what executes as well, and that may end first: how long an
executor's end is kept back, so that `Stopped` is told instead and no request is blamed."""


class Stopped(Exception):
    """The agent was asked to end."""


@dataclass(frozen=True, slots=True)
class Service:
    """What an agent serves: a leg by name, how to open its transport (with kernel coverage
    or without), and who may use it."""

    leg: str
    open: Callable[[bool], Transport]
    key: bytes


def converse(line: Line, service: Service, coverage: bool) -> str:
    """Serve a client that has proven itself until it leaves, and close the line; how it went,
    in one sentence."""
    served = _Count()
    last, later = "", False
    try:
        _serve(line, service, coverage, served)
    except Gone as gone:
        return f"left after {served}: {gone}."
    except FrameError as error:
        last = f"what came is not of this protocol: {error}"
    except TransportError as error:
        last = str(error)
    except Stopped:
        last, later = "it was stopped.", True
    finally:
        line.close(Refused(last, later) if last else None)
    return f"ended after {served}: {last}"


class _Count:
    """Requests that were served."""

    def __init__(self) -> None:
        self.value = 0

    def __str__(self) -> str:
        return f"{self.value} request{'' if self.value == 1 else 's'}"


def _serve(line: Line, service: Service, coverage: bool, served: _Count) -> None:
    """Raises Gone, FrameError, TransportError."""
    try:
        transport = service.open(coverage)
        try:
            line.send(_ready(service.leg, transport.start(), transport, coverage))
            _answer(line, transport, served)
        finally:
            transport.close()
    except TransportError:
        time.sleep(GRACE_S)
        raise


def _answer(line: Line, transport: Transport, served: _Count) -> None:
    """Serve requests. Raises Gone, FrameError, TransportError."""
    first = transport.boots
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
        if reply.ending is not Ending.OK:
            time.sleep(GRACE_S)
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
                max(0, reply.boot - first),
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
