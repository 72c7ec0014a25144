"""Real KVM on this very machine: the executor in a forked child, so that it may die alone."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import select
import signal
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from corpus.wire import WireError, unpack_response
from targets.ended import End, end_of, is_dying, is_stopped
from targets.kvm import build_native
from targets.kvm.kmsg import KernelLog
from targets.kvm.lab import kernellog
from targets.transport import Loss, Reply, Transport, TransportError, UnknownTicket

RESPONSE_CAP = 1 << 20
HANG_LIMIT_S = 60.0
"""For one request; a run inside it is cut off after 2 s already."""

KILL_LIMIT_S = 5.0
"""After which a process that was killed is not waited for."""

_WHO = "the executor"
_UNTOLD = {Ending.OK: Ending.HOST_LOG, Ending.LOST: Ending.CRASH}
"""Endings that a kernel at fault turns into others."""

_LENGTH = struct.Struct("<I")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def unavailable() -> str | None:
    """Why this machine cannot run cases itself, in one sentence; None if it can."""
    if platform.machine() != "aarch64":
        return f"this machine is {platform.machine()}, not aarch64: its KVM has no SVE vcpus."
    device = Path("/dev/kvm")
    if not device.exists():
        return "/dev/kvm does not exist: KVM is off or not built into this kernel."
    if not os.access(device, os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user (group kvm)."
    return None


def _receive(line: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes. Raises EOFError when the other side is gone."""
    data = bytearray()
    while len(data) < count:
        try:
            piece = line.recv(count - len(data))
        except ConnectionError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def serve(line: socket.socket, module: Any) -> None:
    """The child's life: execute requests off `line` until it closes."""
    ffi, lib = module.ffi, module.lib
    response = ffi.new("uint8_t[]", RESPONSE_CAP)
    with suppress(EOFError, OSError):
        while True:
            (size,) = _LENGTH.unpack(_receive(line, _LENGTH.size))
            request = ffi.new("uint8_t[]", _receive(line, size))
            used = lib.vf_execute(request, size, response, RESPONSE_CAP)
            line.sendall(_LENGTH.pack(used) + ffi.buffer(response, used)[:])


def _become_child(line: socket.socket) -> None:
    """Keep nothing of the parent but `line`, and do not outlive it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()  # a socket collected later would close a descriptor that is ours by then
    os.closerange(3, line.fileno())
    os.closerange(line.fileno() + 1, os.sysconf("SC_OPEN_MAX"))


class NativeTransport(Transport):
    """KVM of the machine vcpufuzz runs on. Not for several threads at once; the executor
    dies with the thread that started it."""

    depth = 1

    def __init__(self, *, coverage: bool = False) -> None:
        super().__init__()
        if coverage:
            self.no_coverage = "only the kernels in QEMU are watched."
        self._line: socket.socket | None = None
        self._child = 0
        self._tickets = 0
        self._in_flight: int | None = None
        self._replies: dict[int, Reply] = {}
        self._submitted = 0.0
        self._kernel_log = KernelLog()

    def start(self) -> Mapping[str, str]:
        reply = self._probe()
        if reply.response is None:
            raise TransportError("the executor died when this machine's KVM was probed.")
        try:
            (seen,) = unpack_response(reply.response)
        except (WireError, ValueError) as error:
            raise TransportError("this machine's /dev/kvm gives no VM.") from error
        text = seen.data.decode("utf-8", "replace")
        facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        watched = self._kernel_log.trouble or "watched"
        return {**facts, "native.executor": build_native.key(), "native.kernel_log": watched}

    def submit(self, request: bytes) -> int:
        if self._in_flight is not None:
            raise TransportError("the executor takes one request at a time.")
        self._look()
        line = self._line or self._fork()
        self._tickets += 1
        self._in_flight = self._tickets
        self._submitted = time.monotonic()
        with suppress(OSError):  # the child is gone: `collect` says so
            line.sendall(_LENGTH.pack(len(request)) + request)
        return self._tickets

    def collect(self, ticket: int) -> Reply:
        if ticket not in self._replies:
            if ticket != self._in_flight:
                raise UnknownTicket(ticket)
            self._finish()
        return self._replies.pop(ticket)

    def _finish(self) -> None:
        """Wait for the request under way, and note its reply."""
        assert self._line is not None
        ending, fault = Ending.OK, None
        response: bytes | None = None
        if select.select([self._line], [], [], HANG_LIMIT_S)[0]:
            try:
                (size,) = _LENGTH.unpack(_receive(self._line, _LENGTH.size))
                response = _receive(self._line, size)
            except EOFError:
                ending, fault = self._died()
        else:
            ending, fault = self._hung()
        log = self._kernel_log.new()
        said = kernellog.find(log)
        if said and ending in _UNTOLD:  # it has a reason after all
            ending, response = _UNTOLD[ending], None
            self._stop()
        log += f"{fault.line}\n" if fault else ""
        if ending is Ending.LOST and fault:
            self._losses.append(Loss(fault, log))
            self._reply(ending)
        else:
            self._reply(ending, response, log, said or fault)

    def _died(self) -> tuple[Ending, Fault]:
        fault = self._stop().fault(_WHO, idle=False)
        return Ending.LOST if fault.kind is FaultKind.LOST else Ending.CRASH, fault

    def _hung(self) -> tuple[Ending, Fault]:
        if is_stopped(self._child):
            self._stop()
            why = "it is stopped"
            return Ending.LOST, Fault(FaultKind.LOST, why, line=f"{_WHO} does not answer: {why}")
        line = f"no reply within {HANG_LIMIT_S:g} s: {self._stop().of(_WHO)}"
        return Ending.HANG, Fault(FaultKind.HANG, line=line)

    def _reply(
        self,
        ending: Ending,
        response: bytes | None = None,
        log: str = "",
        fault: Fault | None = None,
    ) -> None:
        assert self._in_flight is not None
        seconds = time.monotonic() - self._submitted
        self._replies[self._in_flight] = Reply(
            ending, response, log, seconds, fault=fault, boot=self.boots
        )
        self._in_flight = None

    def _look(self) -> None:
        """Note what happened while nobody waited."""
        if self._line is None:
            return
        patience = KILL_LIMIT_S if is_dying(self._child) else 0
        if not select.select([self._line], [], [], patience)[0]:
            return
        if self._in_flight is not None:
            self._finish()
        else:  # nothing is asked of it, so it has nothing to say: it is gone
            fault = self._stop().fault(_WHO, idle=True)
            self._losses.append(Loss(fault, f"{fault.line}\n"))

    def _fork(self) -> socket.socket:
        reason = unavailable()
        if reason:
            raise TransportError(reason)
        began = time.monotonic()
        self._kernel_log.reopen()
        module = build_native.load()
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            ours.close()
            try:
                _become_child(theirs)
                serve(theirs, module)
            finally:
                os._exit(0)
        theirs.close()
        self._line, self._child = ours, child
        self.boots, self.boot_seconds = self.boots + 1, time.monotonic() - began
        return ours

    def restart(self) -> None:
        self._look()
        self._stop()
        if self._in_flight is not None:
            self._reply(Ending.LOST)

    def close(self) -> None:
        self.restart()
        self._replies.clear()
        self._kernel_log.close()

    def _stop(self) -> End:
        """Stop the child, if there is one; how it ended."""
        if self._line is None:
            return End("")
        self._line.close()
        self._line = None
        os.kill(self._child, signal.SIGKILL)
        end = time.monotonic() + KILL_LIMIT_S
        while True:
            child, status = os.waitpid(self._child, os.WNOHANG)
            if child:
                return end_of(os.waitstatus_to_exitcode(status))
            if time.monotonic() >= end:
                return End("stuck in the kernel, where it cannot be killed")
            time.sleep(0.001)
