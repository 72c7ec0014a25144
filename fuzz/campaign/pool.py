"""A campaign's worker processes and the pipes on which they tell what happens."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fuzz.worker import events
from fuzz.worker.tally import Tally

TICK = 0.2
END_S = 2.0
"""What a worker may take to end once it has closed its pipe."""
STOP_SECONDS = 15.0
"""What workers that are told to stop may take to finish a case and say their totals."""


@dataclass(slots=True)
class Worker:
    """One process. `stats`: its latest totals; `done`, `failed`: why it ended, in its words;
    `reports_known`: it is the one that stores the recorded defects. `death` becomes readable
    when the process ends: its pipe may be held open by processes of its own."""

    index: int
    process: subprocess.Popen[bytes]
    pipe: int
    death: int
    log: Path
    buffer: bytes = b""
    stats: Tally | None = None
    closed: bool = False
    done: str = ""
    failed: str = ""
    reports_known: bool = False

    @property
    def cases(self) -> int:
        return self.stats.cases if self.stats else 0

    def is_over(self) -> bool:
        """Whether the process has ended; its number stays its own until it is waited for."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PIDFD, self.death, how) is not None

    def ended_how(self) -> str:
        """How an ended process ended, with the line that tells why."""
        code = self.process.wait()
        word = signal.Signals(-code).name if code < 0 else ""
        how = f"died of signal {word}" if word else f"ended with code {code}"
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        said = telling(lines)
        return f"{how} ({said[:160]})" if said else how


_UNCAUGHT, _SUMMARY = "=== Uncaught Python exception: ===", "SUMMARY: "


def telling(lines: Sequence[str]) -> str:
    """The line of a worker's that says why it ended. libFuzzer takes an exception for a crash of
    what it fuzzes and ends with its code 77; what it says last then is the input in Base64."""
    said = [line.strip() for line in lines if line.strip()]
    if _UNCAUGHT in said[:-1]:
        at = len(said) - 1 - said[::-1].index(_UNCAUGHT)
        where = [line for line in said[at:] if line.startswith("File ")]
        return ", ".join((said[at + 1], *where[-1:]))
    summaries = [line for line in said if line.startswith(_SUMMARY)]
    return (summaries or said or [""])[-1]


class Pool:
    """The workers that run now."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._workers.values()))

    def spawn(self, index: int, config: events.WorkerConfig, scratch: Path) -> Worker:
        """Start one more worker; `scratch` is a directory of the campaign's own. Raises
        OSError."""
        log = scratch / f"worker-{index}.log"
        script = Path(__file__).parent.parent / "worker" / "process.py"
        told = msgspec.json.encode(config).decode()
        read, write = os.pipe()
        try:
            with log.open("ab") as stderr:
                process = subprocess.Popen(
                    [sys.executable, str(script), str(write), told, str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    pass_fds=(write,),
                    start_new_session=True,
                    cwd=scratch,
                )
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        os.set_blocking(read, False)
        worker = Worker(index, process, read, os.pidfd_open(process.pid), log)
        self._workers[read] = worker
        self._selector.register(worker.pipe, selectors.EVENT_READ, worker)
        self._selector.register(worker.death, selectors.EVENT_READ, worker)
        return worker

    def hear(self) -> Iterator[tuple[Worker, events.Event | None]]:
        """What the workers say within a tick; None when one has ended and is no longer here."""
        ready = {key.data.pipe: key.data for key, _ in self._selector.select(TICK)}
        for worker in ready.values():
            ended = worker.is_over()
            yield from self._read(worker, whole=ended)
            if ended or worker.closed:
                select.select([worker.death], [], [], END_S)  # its lines close before it ends
                self._forget(worker)
                yield worker, None

    def _read(self, worker: Worker, whole: bool) -> Iterator[tuple[Worker, events.Event | None]]:
        """What a worker's pipe holds: one piece of it, or all."""
        while True:
            try:
                chunk = os.read(worker.pipe, 1 << 20)
            except BlockingIOError:
                return
            worker.closed = not chunk
            *lines, worker.buffer = (worker.buffer + chunk).split(b"\n")
            for line in lines:
                yield worker, events.decode(line)
            if worker.closed or not whole:
                return

    def stop(self) -> Iterator[tuple[Worker, events.Event | None]]:
        """Ask all to finish, and hear what they still say."""
        for worker in self:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while self._workers and time.monotonic() < deadline:
            yield from self.hear()

    def kill(self) -> Iterator[Worker]:
        """End those that are left, and forget them."""
        for worker in self:
            self._forget(worker)
            yield worker

    def _forget(self, worker: Worker) -> None:
        """Let nothing of it be left: not the process, nor what it started."""
        with suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        for descriptor in (worker.pipe, worker.death):
            self._selector.unregister(descriptor)
            os.close(descriptor)
        del self._workers[worker.pipe]
