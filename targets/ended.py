"""How a process that executes cases came to its end, and whether that was its own doing."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from corpus.fault import Fault, FaultKind

FROM_OUTSIDE = frozenset(
    (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
)
"""Signals that a person or the system sends, not a program's own fault."""

_FLAGS, _PF_EXITING = 6, 4
"""Where the kernel's flags of a process are behind its state, and one of them (sched.h)."""


@dataclass(frozen=True, slots=True)
class End:
    """`cause`, such as "killed by SIGKILL" or "ended with status 2"; empty for an end in order.
    `from_outside`: somebody else ended the process, so it says nothing of what it executed."""

    cause: str
    from_outside: bool = False

    def fault(self, who: str, *, idle: bool) -> Fault:
        """What it is to lose an executor that is called `who` in this way."""
        line = self.of(who) + (" while it was idle" if idle else "")
        if self.from_outside:
            return Fault(FaultKind.LOST, self.cause, line=line)
        return Fault(FaultKind.CRASH, line=line)

    def of(self, who: str) -> str:
        """The same as a sentence about `who`, without a full stop."""
        word = "" if self.cause.startswith(("ended", "closed")) else "was "
        return f"{who} {word}{self.cause}" if self.cause else f"{who} ended"


def end_of(code: int) -> End:
    """The end that a process's exit code tells, negative for a signal."""
    if code < 0:
        return End(f"killed by {signal.Signals(-code).name}", -code in FROM_OUTSIDE)
    return End(f"ended with status {code}" if code else "")


def _stat(pid: int) -> list[str]:
    """The fields of a process's status from its state on (proc(5)); none if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def state(pid: int) -> str:
    """The letter of a process's state; empty if it is gone."""
    return "".join(_stat(pid)[:1])


def is_dying(pid: int) -> bool:
    """Whether a process is ending: it may have to be scheduled yet, or lose its threads, before
    what it holds is closed. Just as it takes the signal that ends it, that does not show."""
    fields = _stat(pid)
    if fields and (fields[0] in "ZX" or int(fields[_FLAGS]) & _PF_EXITING):
        return True
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        pending = re.search(r"^SigPnd:\s+([0-9a-f]+)$", status, re.MULTILINE)
        return pending is not None and bool(int(pending[1], 16) >> signal.SIGKILL - 1 & 1)
    return False


def is_stopped(pid: int) -> bool:
    """Whether somebody stopped a process (SIGSTOP, a debugger): it answers no more, and is not
    to blame."""
    return state(pid) in ("T", "t")
