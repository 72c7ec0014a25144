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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending
from corpus.wire import Kind, WireError, WireOp, pack_request, unpack_response
from targets.kvm import build_native
from targets.kvm.kmsg import KernelLog
from targets.kvm.lab import kernellog
from targets.transport import Loss, Reply, Transport, TransportError

RESPONSE_CAP = 1 << 20
HANG_LIMIT_S = 60.0
"""For one request; a run inside it is cut off after 2 s already."""

KILL_LIMIT_S = 5.0
"""After which a process that was killed is not waited for."""

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
        if coverage:
            self.no_coverage = "only the kernels in QEMU are watched."
        self._line: socket.socket | None = None
        self._child = 0
        self._ticket = 0
        self._submitted = 0.0
        self._losses: list[Loss] = []
        self._kernel_log = KernelLog()

    def start(self) -> Mapping[str, str]:
        self.submit(pack_request([WireOp(Kind.PROBE)]))
        reply = self.collect(self._ticket)
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

    def losses(self) -> Sequence[Loss]:
        told, self._losses = self._losses, []
        return told

    def submit(self, request: bytes) -> int:
        if self._line and select.select([self._line], [], [], 0)[0]:
            # Nothing is asked of it, so it has nothing to say: it is gone.
            how = f"the executor was {self._stop()} while it was idle"
            self._losses.append(Loss(Fault(FaultKind.LOST, line=how), f"{how}\n"))
        line = self._line or self._fork()
        self._ticket += 1
        self._submitted = time.monotonic()
        with suppress(OSError):  # the child is gone: `collect` says so
            line.sendall(_LENGTH.pack(len(request)) + request)
        return self._ticket

    def collect(self, ticket: int) -> Reply:
        if ticket != self._ticket or self._line is None:
            raise ValueError(f"ticket {ticket} is not in flight")
        ending, response, how = Ending.OK, None, ""
        fault: Fault | None = None
        if not select.select([self._line], [], [], HANG_LIMIT_S)[0]:
            how = f"no reply within {HANG_LIMIT_S:g} s: the executor was {self._stop()}"
            ending, fault = Ending.HANG, Fault(FaultKind.HANG, line=how)
        else:
            try:
                (size,) = _LENGTH.unpack(_receive(self._line, _LENGTH.size))
                response = _receive(self._line, size)
            except EOFError:
                how = f"the executor was {self._stop()}"
                ending, fault = Ending.CRASH, Fault(FaultKind.CRASH, line=how)
        log = self._kernel_log.new()
        said = kernellog.find(log) if kernellog.at_fault(log) else None
        if ending is Ending.OK and said:
            ending, response = Ending.HOST_LOG, None
            self._stop()
        log += f"{how}\n" if how else ""
        seconds = time.monotonic() - self._submitted
        return Reply(ending, response, log, seconds, fault=said or fault)

    def _fork(self) -> socket.socket:
        reason = unavailable()
        if reason:
            raise TransportError(reason)
        began = time.monotonic()
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

    def close(self) -> None:
        self._stop()
        self._kernel_log.close()

    def restart(self) -> None:
        self._stop()

    def _stop(self) -> str:
        """Stop the child; how it ended."""
        if self._line is None:
            return ""
        self._line.close()
        self._line = None
        os.kill(self._child, signal.SIGKILL)
        end = time.monotonic() + KILL_LIMIT_S
        while True:
            child, status = os.waitpid(self._child, os.WNOHANG)
            if child:
                break
            if time.monotonic() >= end:
                return "stuck in the kernel, where it cannot be killed"
            time.sleep(0.001)
        code = os.waitstatus_to_exitcode(status)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
