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
from dataclasses import replace

from targets.ended import End, end_of

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_spawner: tuple[int, ThreadPoolExecutor] | None = None
_spawner_lock = threading.Lock()

END_LIMIT_S = 10.0
"""A QEMU whose lines are closed but which does not end is killed after this."""

_TOLD_TO_END = re.compile(r"terminating on signal (\d+)")


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
        """What it wrote to its output and error streams, but for warnings: QEMU 11 has one about
        each option that it will do without some day."""
        written = os.pread(self._stderr, 4096, 0).decode("utf-8", "replace")
        return "\n".join(line for line in written.splitlines() if ": warning: " not in line).strip()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_end(self) -> End:
        """How it ended; it is about to, since its lines are closed. No cause: its guest did."""
        try:
            code = self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return End("closed its lines without ending")
        told = _TOLD_TO_END.search(self.said)
        if told:
            return End(f"told to end by {signal.Signals(int(told[1])).name}", True)
        end = end_of(code)
        first = self.said.partition("\n")[0]
        return replace(end, cause=f"{end.cause}: {first}") if code > 0 and first else end

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
