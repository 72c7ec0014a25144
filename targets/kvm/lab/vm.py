"""The life of one QEMU: start, ready, requests in order, death."""

from __future__ import annotations

import mmap
import os
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from targets.codemap import CodeMap
from targets.ended import is_dying, is_stopped
from targets.kvm.lab import console, kconfig, kernellog, monitor, qemu
from targets.kvm.lab.channel import DOORBELL, Channel, Command, Layout, State
from targets.kvm.lab.coverage.log import NOTHING, BlockLog, Executed
from targets.kvm.lab.pace import Pace
from targets.kvm.lab.process import Process
from targets.transport import TransportError

BOOT_LIMIT_S = 300.0
"""Stock kernels need 3 to 10 s; a machine shared with other work may need many times that."""

BOOT_LOOK_S = 5.0
"""How often to look at a kernel that boots and has not said a word yet."""

LOOK_S = 1.0
"""How often to look for progress while the line is silent."""

LAST_WORDS_S = 5.0
"""How long a kernel that has begun to complain may take to finish, when all is to end."""


class KilledAtBoot(TransportError):
    """Somebody ended QEMU before the guest served; to be tried again."""


class Fate(Enum):
    """How a guest stopped serving."""

    EXIT = "exit"  # QEMU ended
    HANG = "hang"  # no progress, while QEMU itself answers
    SILENT = "silent"  # no progress, and QEMU itself does not answer


class GuestDied(Exception):
    """The guest serves no more.

    `log`: what it said since the last completed request. `cause`: what ended QEMU, empty if
    the guest itself did; or why QEMU does not answer. `from_outside`: that was somebody else,
    so nothing says that a request is at fault. `counters`: where the CPUs of a hung guest are.
    """

    def __init__(
        self,
        fate: Fate,
        log: str,
        cause: str = "",
        from_outside: bool = False,
        counters: Sequence[monitor.Counter] = (),
    ) -> None:
        super().__init__(fate.value)
        self.fate, self.log, self.cause = fate, log, cause
        self.from_outside, self.counters = from_outside, counters


@dataclass(frozen=True, slots=True)
class Completion:
    """A served request: where its response lies and what the kernel logged meanwhile."""

    sequence: int
    slot: int
    log: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """A request that nobody has seen finished. `ops_done`: how many of its ops were executed,
    while it is RUNNING; `silent`: it is DONE, and nobody was to be told."""

    sequence: int
    slot: int
    state: State
    ops_done: int | None
    silent: bool


class Vm:
    """One booted guest. Not for several threads at once."""

    def __init__(
        self,
        program: str,
        machine: qemu.Machine,
        layout: Layout,
        code: CodeMap | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Start QEMU; `code` is what a machine with a plugin records, `pace` how fast the leg
        was so far. Raises TransportError."""
        self._in_flight: deque[tuple[int, int]] = deque()
        self._logs: deque[str] = deque()
        self._console = console.Console()
        self._sequence = 0
        self._pace = pace or Pace()
        self._started = time.monotonic()
        memory_fd = os.memfd_create("vcpufuzz-page")
        self._line, theirs = socket.socketpair()
        our_monitor, their_monitor = socket.socketpair()
        self._monitor = monitor.Monitor(our_monitor)
        self._log = BlockLog(code, layout.slots) if machine.plugin and code else None
        try:
            os.ftruncate(memory_fd, layout.size)
            self._memory = mmap.mmap(memory_fd, layout.size)
            self.channel = Channel(memoryview(self._memory), layout)
            log_fd = self._log.fd if self._log else -1
            shared = qemu.Shared(
                memory_fd, layout.size, theirs.fileno(), log_fd, their_monitor.fileno()
            )
            argv = qemu.command(program, machine, shared)
            used = (memory_fd, theirs.fileno(), their_monitor.fileno(), log_fd)
            self._process = Process(argv, [fd for fd in used if fd >= 0])
        except OSError as error:
            self._line.close()
            self._monitor.close()
            if self._log:
                self._log.close()
            raise TransportError(f"QEMU cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()
            their_monitor.close()
            os.close(memory_fd)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, limit_s: float = BOOT_LIMIT_S) -> str:
        """Wait until the guest serves; its boot log. Raises TransportError, KilledAtBoot."""
        end = time.monotonic() + limit_s
        look = time.monotonic() + BOOT_LOOK_S
        while not self._logs:
            left = end - time.monotonic()
            if left <= 0:
                words = console.last_words(self._console.drain())
                raise TransportError(
                    f"the kernel did not reach its init within {limit_s:.0f} s"
                    f"; its last words: {words or 'none'}"
                )
            if not self._hear(min(left, BOOT_LOOK_S)):
                raise self._why_no_boot(self._console.drain())
            if not self._logs and not self._console.pending and time.monotonic() >= look:
                self._look_at_boot()
                look = time.monotonic() + BOOT_LOOK_S
        heard = self._logs.popleft()
        if not self.channel.ready:
            raise TransportError("the lab guest rang before it was ready.")
        self._pace.note_boot(time.monotonic() - self._started)
        return heard

    def _look_at_boot(self) -> None:
        """Raises TransportError if the kernel will never say a word."""
        with suppress(monitor.Silent):
            if self._monitor.is_astray():
                raise TransportError(
                    "the kernel went astray before it said a word: its Image is damaged,"
                    " or not made for this machine."
                )

    def _why_no_boot(self, log: str) -> TransportError:
        end = self._process.wait_end()
        words = console.last_words(log)
        if end.from_outside:
            return KilledAtBoot(f"QEMU was {end.cause} before its guest served")
        option = kconfig.blame(log)
        if option:
            return TransportError(f"the kernel lacks {option}=y: {words}")
        if words:
            return TransportError(f"the kernel ended before its init served: {words}")
        said = self._process.said
        if not said and not end.cause:
            silent = kconfig.SILENT
            return TransportError(f"the kernel lacks {silent}=y: it ended without a word.")
        first = said.splitlines()[0] if said else end.cause
        return TransportError(f"QEMU ended before the kernel said a word: {first}")

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
        while not (done := self._finished()):
            alive = self._wait()
            now, progress = time.monotonic(), self.channel.progress
            if progress != seen:
                # Seen at least this often, a step took at most this long.
                self._pace.note(now - since)
                seen, since = progress, now
            if not alive and not self._finished():
                raise self._ended()
            if self._pace.is_hang(now - since) and not self._finished():
                raise self._hung()
        self._in_flight.popleft()
        if not self.channel.finished_silently(done.slot):
            self._logs.popleft()
        return done

    def _finished(self) -> Completion | None:
        """The oldest request in flight, if it is served."""
        sequence, slot = self._in_flight[0]
        if self.channel.finished_silently(slot):
            return Completion(sequence, slot, "")
        return Completion(sequence, slot, self._logs[0]) if self._logs else None

    def _wait(self) -> bool:
        """Wait for a sign of the guest; False when QEMU is gone. One that was missed costs
        LOOK_S at most."""
        self.channel.set_waiting(True)
        try:
            return self._finished() is not None or self._hear(LOOK_S)
        finally:
            self.channel.set_waiting(False)

    def _ended(self) -> GuestDied:
        end = self._process.wait_end()
        return GuestDied(Fate.EXIT, self._console.drain(), end.cause, end.from_outside)

    def _hung(self) -> GuestDied:
        """Ask QEMU where its guest is: the last chance before it is killed."""
        log = self._console.drain()
        try:
            counters = self._monitor.program_counters()
        except monitor.Silent as why:
            stopped = is_stopped(self.pid)
            cause = "it is stopped" if stopped else f"{why}".rstrip(".")
            return GuestDied(Fate.SILENT, log, cause, stopped)
        return GuestDied(Fate.HANG, log, counters=counters)

    def states(self) -> list[InFlight]:
        """The requests in flight, oldest first."""
        return [
            InFlight(
                sequence,
                slot,
                self.channel.state(slot),
                self.channel.ops_done(slot),
                self.channel.finished_silently(slot),
            )
            for sequence, slot in self._in_flight
        ]

    def executed(self, sequence: int) -> Executed:
        """Blocks of the kernel that a finished request executed; none without a plugin.

        To be asked before as many requests are posted as there are slots.
        """
        return self._log.executed(sequence) if self._log else NOTHING

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

    def died(self) -> GuestDied | None:
        """How the guest died, if it is dead or dying though nobody waits for it."""
        end = time.monotonic() + LAST_WORDS_S
        while time.monotonic() < end:
            # The line takes little at a time: a kernel whose words nobody hears stands still.
            more = kernellog.at_fault(self._console.pending) or is_dying(self.pid)
            readable, _, _ = select.select([self._line], [], [], LOOK_S if more else 0)
            if readable and not self._hear(0):
                return self._ended()
            if not readable and not more:
                return None
        return GuestDied(Fate.EXIT, self._console.drain())

    def close(self) -> None:
        """Kill QEMU and let go of everything. Idempotent."""
        if self._line.fileno() < 0:
            return
        self._process.close()
        self._line.close()
        self._monitor.close()
        if self._log:
            self._log.close()
        self.channel.release()
        self._memory.close()
