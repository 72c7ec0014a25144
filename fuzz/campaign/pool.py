"""A campaign's worker processes and the pipes on which they tell what happens."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fuzz.worker import events
from fuzz.worker.tally import Tally

TICK = 0.2
STOP_SECONDS = 15.0
"""What workers that are told to stop may take to finish a case and say their totals."""


@dataclass(slots=True)
class Worker:
    """One process. `stats`: its latest totals; `done`, `failed`: why it ended, in its words."""

    index: int
    process: subprocess.Popen[bytes]
    pipe: int
    log: Path
    buffer: bytes = b""
    stats: Tally | None = None
    done: str = ""
    failed: str = ""

    @property
    def cases(self) -> int:
        return self.stats.cases if self.stats else 0

    def ended_how(self) -> str:
        """How an ended process ended, with the last line it said."""
        code = self.process.wait()
        word = signal.Signals(-code).name if code < 0 else ""
        how = f"died of signal {word}" if word else f"ended with code {code}"
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how} ({said[:160]})" if said else how


class Pool:
    """The workers that run now."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._workers.values()))

    def spawn(self, index: int, config: events.WorkerConfig, scratch: Path) -> None:
        """Start one more worker; `scratch` is a directory of the campaign's own."""
        read, write = os.pipe()
        log = scratch / f"worker-{index}.log"
        script = Path(__file__).parent.parent / "worker" / "process.py"
        command = [sys.executable, str(script), str(write), msgspec.json.encode(config).decode()]
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=(write,),
                start_new_session=True,
                cwd=scratch,
            )
        os.close(write)
        os.set_blocking(read, False)
        worker = Worker(index, process, read, log)
        self._workers[read] = worker
        self._selector.register(read, selectors.EVENT_READ, worker)

    def hear(self) -> Iterator[tuple[Worker, events.Event | None]]:
        """What the workers say within a tick; None when one has ended and is no longer here."""
        for key, _ in self._selector.select(TICK):
            worker: Worker = key.data
            chunk = os.read(worker.pipe, 1 << 20)
            if not chunk:
                self._forget(worker)
                yield worker, None
                continue
            *lines, worker.buffer = (worker.buffer + chunk).split(b"\n")
            for line in lines:
                yield worker, events.decode(line)

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
            worker.process.kill()
            worker.process.wait()
            self._forget(worker)
            yield worker

    def _forget(self, worker: Worker) -> None:
        self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        del self._workers[worker.pipe]
