"""The emulator's worker process as a transport.

One thread does everything: `submit` and `collect` pump the worker's pipes without ever
blocking on a pipe that the worker may be blocked on, too.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from corpus.wire import WireError, unpack_response
from targets.emulator.build import vixl_version, worker_binary
from targets.ended import End, end_of, is_dying, is_stopped
from targets.transport import Loss, Reply, Transport, TransportError, UnknownTicket

_LENGTH = struct.Struct("<I")
_PIPE_BYTES = 1 << 20
_LOG_BYTES = 8192
_LOOK_S = 0.05
_WHO = "the emulator's worker"


@dataclass(slots=True)
class _Waiting:
    """A request in flight: `end` is the offset of its last byte in all that was written."""

    ticket: int
    end: int
    since: float


class _Worker:
    """One worker process and its three pipes, all non-blocking on our side."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.stdin, self.stdout, self.stderr = map(
            self._prepare, (self.process.stdin, self.process.stdout, self.process.stderr)
        )
        self.unsent = bytearray()
        self.received = bytearray()
        self.log = bytearray()
        self.queued = self.sent = 0

    @staticmethod
    def _prepare(pipe: IO[bytes] | None) -> int:
        assert pipe is not None
        fd = pipe.fileno()
        os.set_blocking(fd, False)
        with suppress(OSError):  # a larger pipe only saves waiting
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return fd

    def queue(self, request: bytes) -> int:
        """Append a framed request; return the offset of its end."""
        self.unsent += _LENGTH.pack(len(request)) + request
        self.queued += _LENGTH.size + len(request)
        return self.queued

    def send(self) -> None:
        """Write what the pipe takes."""
        while self.unsent:
            try:
                n = os.write(self.stdin, self.unsent[:_PIPE_BYTES])
            except BlockingIOError:
                return
            except BrokenPipeError:  # reading will tell
                self.unsent.clear()
                return
            del self.unsent[:n]
            self.sent += n

    def receive(self) -> bool:
        """Read what there is; False when the worker is gone."""
        self._drain(self.stderr, self.log)
        alive = self._drain(self.stdout, self.received)
        if not alive:
            self.process.wait()
            self._drain(self.stderr, self.log)
        return alive

    @staticmethod
    def _drain(fd: int, into: bytearray) -> bool:
        while True:
            try:
                got = os.read(fd, _PIPE_BYTES)
            except BlockingIOError:
                return True
            if not got:
                return False
            into += got

    def response(self) -> bytes | None:
        """Take the next whole response, if it is there."""
        if len(self.received) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self.received)
        end = _LENGTH.size + size
        if len(self.received) < end:
            return None
        response = bytes(self.received[_LENGTH.size : end])
        del self.received[:end]
        return response

    def take_log(self) -> str:
        """The last of what the worker said since it was asked before."""
        text = self.log[-_LOG_BYTES:].decode(errors="replace")
        self.log.clear()
        return text

    def wait(self, seconds: float) -> None:
        """Until a pipe is ready."""
        writing = [self.stdin] if self.unsent else []
        select.select([self.stdout, self.stderr], writing, [], max(seconds, 0))

    def end(self) -> End:
        """Kill the process if it still runs; how it ended."""
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return end_of(code)


class EmulatorTransport(Transport):
    """A worker process that interprets guests with VIXL.

    `options`: the worker's command line. `limit`: seconds a request may take.
    Not for use from several threads; the worker dies with the thread that started it
    (PR_SET_PDEATHSIG), so start it from one that lives as long as the transport.
    """

    depth = 8

    def __init__(self, options: Sequence[str] = (), *, limit: float = 10.0) -> None:
        super().__init__()
        self._options = tuple(options)
        self._limit = limit
        self._worker: _Worker | None = None
        self._waiting: deque[_Waiting] = deque()
        self._replies: dict[int, Reply] = {}
        self._tickets = 0
        self._last_done = 0.0

    def start(self) -> Mapping[str, str]:
        reply = self._probe()
        if reply.response is None:
            *said, end = reply.log.splitlines() or [self._losses[-1].fault.line]
            raise TransportError(f"The emulator does not start: {'; '.join(said) or end}.")
        try:
            (probe,) = unpack_response(reply.response)
        except (WireError, ValueError) as error:
            raise TransportError(f"The emulator answers nonsense: {error}.") from error
        lines = (line.partition("=") for line in probe.data.decode().splitlines())
        return {**{key: value for key, _, value in lines}, "vixl": vixl_version()}

    def submit(self, request: bytes) -> int:
        if self._worker is not None:
            self._pump()
        if self._worker is None:
            self._worker = self._launch()
        self._tickets += 1
        end = self._worker.queue(request)
        self._waiting.append(_Waiting(self._tickets, end, time.monotonic()))
        self._worker.send()
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        if ticket not in self._replies and all(w.ticket != ticket for w in self._waiting):
            raise UnknownTicket(ticket)
        while ticket not in self._replies:
            self._pump()
            if ticket in self._replies or self._worker is None:
                continue
            head, now = self._waiting[0], time.monotonic()
            if self._worker.sent < head.end:
                head.since = now  # the worker has not seen all of it yet
            left = max(head.since, self._last_done) + self._limit - now
            if left > 0:
                self._worker.wait(left)
            else:
                self._give_up(self._worker)
        return self._replies.pop(ticket)

    def restart(self) -> None:
        end = time.monotonic() + self._limit
        while self._worker is not None:
            self._pump()  # it may be dead already, and not by us
            if self._worker is None:
                break
            if not is_dying(self._worker.process.pid) or time.monotonic() > end:
                self._discard()
            else:
                self._worker.wait(_LOOK_S)

    def close(self) -> None:
        self.restart()
        self._replies.clear()

    def _launch(self) -> _Worker:
        began = time.monotonic()
        try:
            worker = _Worker((str(worker_binary()), *self._options))
        except OSError as error:
            raise TransportError(f"The emulator cannot be run: {error}.") from error
        self.boots, self.boot_seconds = self.boots + 1, time.monotonic() - began
        return worker

    def _pump(self) -> None:
        """Move bytes both ways; turn whole responses, or the worker's death, into replies."""
        worker = self._worker
        assert worker is not None
        worker.send()
        alive = worker.receive()
        while self._waiting:
            response = worker.response()
            if response is None:
                break
            self._settle(Ending.OK, response, worker.take_log())
        if not alive:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """The worker died: of the request it had, unless of something outside."""
        fault = worker.end().fault(_WHO, idle=not self._waiting)
        log = f"{worker.take_log()}{fault.line}\n"
        if self._waiting and fault.kind is not FaultKind.LOST:
            self._settle(Ending.CRASH, None, log, fault)
        else:
            self._losses.append(Loss(fault, log))
        self._discard()

    def _give_up(self, worker: _Worker) -> None:
        """The worker does not answer in time."""
        if is_stopped(worker.process.pid):
            why = "it is stopped"
            self._losses.append(Loss.told(f"{_WHO} does not answer: {why}", why))
        else:
            line = f"{_WHO} did not answer within {self._limit:g} s"
            log = f"{worker.take_log()}{line}\n"
            self._settle(Ending.HANG, None, log, Fault(FaultKind.HANG, line=line))
        self._discard()

    def _settle(
        self, ending: Ending, response: bytes | None, log: str, fault: Fault | None = None
    ) -> None:
        """Reply to the request at the head of the queue."""
        head, now = self._waiting.popleft(), time.monotonic()
        seconds = now - max(head.since, self._last_done)
        self._replies[head.ticket] = Reply(
            ending, response, log, seconds, fault=fault, boot=self.boots
        )
        self._last_done = now

    def _discard(self) -> None:
        """End the worker; what it still had to do is lost."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
        while self._waiting:
            self._settle(Ending.LOST, None, "")
