"""The life of one QEMU: start, ready, requests in order, death."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from targets.codemap import CodeMap
from targets.kvm.lab import console, kconfig, qemu
from targets.kvm.lab.channel import DOORBELL, Channel, Command, Layout, State
from targets.kvm.lab.coverage.log import BlockLog
from targets.transport import TransportError

BOOT_LIMIT_S = 300.0
"""Stock kernels need 3 to 10 s; a machine shared with other work may need many times that."""

HANG_FLOOR_S = 20.0
HANG_CEILING_S = 180.0
HANG_FACTOR = 20
"""A guest hangs when it makes no progress for this many times its slowest step so far."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_spawner: tuple[int, ThreadPoolExecutor] | None = None
_spawner_lock = threading.Lock()


def _spawn(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Run `start` in a thread that lives as long as this process.

    The kernel sends the parent-death signal when the *thread* that forked ends.
    """
    global _spawner  # noqa: PLW0603
    with _spawner_lock:
        if _spawner is None or _spawner[0] != os.getpid():
            _spawner = os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="lab-spawner")
        return _spawner[1].submit(start).result()


class Fate(Enum):
    """How a guest stopped serving."""

    EXIT = "exit"
    HANG = "hang"


class GuestDied(Exception):
    """The guest serves no more; `log` is what it said since the last completed request."""

    def __init__(self, fate: Fate, log: str) -> None:
        super().__init__(fate.value)
        self.fate = fate
        self.log = log


@dataclass(frozen=True, slots=True)
class Completion:
    """A served request: where its response lies and what the kernel logged meanwhile."""

    sequence: int
    slot: int
    log: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """A request whose doorbell was not heard yet."""

    sequence: int
    slot: int
    state: State


class Vm:
    """One booted guest. Not for several threads at once."""

    def __init__(
        self, program: str, machine: qemu.Machine, layout: Layout, code: CodeMap | None = None
    ) -> None:
        """Start QEMU; `code` is what a machine with a plugin records. Raises TransportError."""
        self._in_flight: deque[tuple[int, int]] = deque()
        self._logs: deque[str] = deque()
        self._console = console.Console()
        self._sequence = 0
        self._slowest = 0.0
        self._stderr = os.memfd_create("vcpufuzz-stderr")
        memory_fd = os.memfd_create("vcpufuzz-page")
        self._line, theirs = socket.socketpair()
        self._log = BlockLog(code, layout.slots) if machine.plugin and code else None
        try:
            os.ftruncate(memory_fd, layout.size)
            self._memory = mmap.mmap(memory_fd, layout.size)
            self.channel = Channel(memoryview(self._memory), layout)
            log_fd = self._log.fd if self._log else -1
            shared = qemu.Shared(memory_fd, layout.size, theirs.fileno(), log_fd)
            argv = qemu.command(program, machine, shared)
            fds = tuple(fd for fd in (memory_fd, theirs.fileno(), log_fd) if fd >= 0)
            self._process = _spawn(lambda: self._start(argv, fds))
        except OSError as error:
            self._line.close()
            if self._log:
                self._log.close()
            os.close(self._stderr)
            raise TransportError(f"QEMU cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()
            os.close(memory_fd)

    def _start(self, argv: list[str], fds: tuple[int, ...]) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=fds,
            start_new_session=True,  # Ctrl-C is for us, not for QEMU
            # Safe in a threaded process: one system call, no lock taken.
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, limit_s: float = BOOT_LIMIT_S) -> str:
        """Wait until the guest serves; its boot log. Raises TransportError."""
        end = time.monotonic() + limit_s
        heard = ""
        while not self._logs:
            left = end - time.monotonic()
            if left <= 0:
                words = console.last_words(self._console.drain())
                raise TransportError(
                    f"the kernel did not reach its init within {limit_s:.0f} s"
                    f"; its last words: {words or 'none'}"
                )
            if not self._hear(left):
                raise TransportError(self._why_no_boot(self._console.drain()))
        heard = self._logs.popleft()
        if not self.channel.ready:
            raise TransportError("the lab guest rang before it was ready.")
        return heard

    def _why_no_boot(self, log: str) -> str:
        self._process.wait()
        said = os.pread(self._stderr, 4096, 0).decode("utf-8", "replace").strip()
        words = console.last_words(log)
        option = kconfig.blame(log)
        if option:
            return f"the kernel lacks {option}=y: {words}"
        if words:
            return f"the kernel ended before its init served: {words}"
        if not said and self._process.returncode == 0:
            return f"the kernel lacks {kconfig.SILENT}=y: it ended without a word."
        first = said.splitlines()[0] if said else f"exit status {self._process.returncode}"
        return f"QEMU ended before the kernel said a word: {first}"

    def post(self, request: bytes, command: Command = Command.EXECUTE) -> int:
        """Queue a request; its sequence number. Needs a free slot."""
        slot = self.channel.free_slot()
        if slot is None:
            raise TransportError("every slot of the lab's shared page is in use.")
        self._sequence += 1
        self.channel.post(slot, self._sequence, command, request)
        self._in_flight.append((self._sequence, slot))
        if self.channel.sleeping:
            with suppress(OSError):  # it died: `next_completion` finds out and says how
                self._line.send(DOORBELL)
        return self._sequence

    def next_completion(self) -> Completion:
        """Wait for the oldest request in flight. Raises GuestDied."""
        seen, since = self.channel.progress, time.monotonic()
        while not self._logs:
            limit = min(HANG_CEILING_S, max(HANG_FLOOR_S, HANG_FACTOR * self._slowest))
            alive = self._hear(1.0)
            now, progress = time.monotonic(), self.channel.progress
            if progress != seen:
                # Seen at least this often, a step took at most this long.
                self._slowest = max(self._slowest, now - since)
                seen, since = progress, now
            if not alive:
                raise GuestDied(Fate.EXIT, self._console.drain())
            if not self._logs and now - since > limit:
                raise GuestDied(Fate.HANG, self._console.drain())
        sequence, slot = self._in_flight.popleft()
        return Completion(sequence, slot, self._logs.popleft())

    def states(self) -> list[InFlight]:
        """The requests in flight, oldest first."""
        return [
            InFlight(sequence, slot, self.channel.state(slot)) for sequence, slot in self._in_flight
        ]

    def blocks(self, sequence: int) -> Sequence[int]:
        """Blocks of the kernel that a finished request executed; none without a plugin.

        To be asked before as many requests are posted as there are slots.
        """
        return self._log.blocks(sequence) if self._log else ()

    def _hear(self, timeout_s: float) -> bool:
        """Read the line once it speaks; False when QEMU is gone."""
        readable, _, _ = select.select([self._line], [], [], timeout_s)
        if not readable:
            return True
        try:
            data = self._line.recv(1 << 16)
        except ConnectionError:
            return False
        self._logs.extend(self._console.feed(data))
        return bool(data)

    def close(self) -> None:
        """Kill QEMU and let go of everything. Idempotent."""
        if self._line.fileno() < 0:
            return
        self._process.kill()
        self._process.wait()
        self._line.close()
        if self._log:
            self._log.close()
        self.channel.release()
        self._memory.close()
        os.close(self._stderr)
