"""A QEMU process: it dies with us, and says afterwards how it ended."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_spawner: tuple[int, ThreadPoolExecutor] | None = None
_spawner_lock = threading.Lock()

END_LIMIT_S = 10.0
"""A QEMU whose lines are closed but which does not end is killed after this."""

_FROM_OUTSIDE = frozenset(
    (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
)
"""Signals that a person or the system sends, not a program's own fault."""

_TOLD_TO_END = re.compile(r"terminating on signal (\d+)")


@dataclass(frozen=True, slots=True)
class End:
    """How QEMU ended. `cause`: empty when the guest ended it, else what did, in a few words.
    `from_outside`: it was killed by somebody, so it says nothing of the guest."""

    cause: str
    from_outside: bool


class Process:
    """One QEMU, started now. Raises OSError."""

    def __init__(self, argv: Sequence[str], fds: Sequence[int]) -> None:
        self._stderr = os.memfd_create("vcpufuzz-stderr")
        try:
            self._process = _spawn(lambda: self._start(argv, fds))
        except OSError:
            os.close(self._stderr)
            raise

    def _start(self, argv: Sequence[str], fds: Sequence[int]) -> subprocess.Popen[bytes]:
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

    @property
    def said(self) -> str:
        """What it wrote to its output and error streams."""
        return os.pread(self._stderr, 4096, 0).decode("utf-8", "replace").strip()

    @property
    def state(self) -> str:
        """The process state letter (T: stopped), empty if it is gone."""
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{self.pid}/stat").read_text()
            return status.rpartition(")")[2].split()[0]
        return ""

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_end(self) -> End:
        """How it ended; it is about to, since its lines are closed."""
        try:
            code = self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return End("closed its lines without ending", False)
        if code < 0:
            return End(f"killed by {signal.Signals(-code).name}", -code in _FROM_OUTSIDE)
        told = _TOLD_TO_END.search(self.said)
        if told:
            return End(f"told to end by {signal.Signals(int(told[1])).name}", True)
        if code:
            first = self.said.partition("\n")[0]
            return End(f"ended with status {code}" + (f": {first}" if first else ""), False)
        return End("", False)

    def close(self) -> None:
        """Kill it and forget what it said."""
        self._process.kill()
        self._process.wait()
        os.close(self._stderr)


def _spawn(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Run `start` in a thread that lives as long as this process.

    The kernel sends the parent-death signal when the *thread* that forked ends.
    """
    global _spawner  # noqa: PLW0603
    with _spawner_lock:
        if _spawner is None or _spawner[0] != os.getpid():
            _spawner = os.getpid(), ThreadPoolExecutor(1, thread_name_prefix="lab-spawner")
        return _spawner[1].submit(start).result()
