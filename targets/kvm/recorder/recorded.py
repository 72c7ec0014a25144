"""Running a command under the recorder, on this machine."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from targets.kvm import native
from targets.kvm.recorder import build
from targets.transport import TransportError

CANNOT_TRACE, CANNOT_RUN = 125, 127


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a command ended, as the recorder does (128 + n: killed by signal n), and its log.
    `output`: what it wrote, where that went nowhere else; `leg`: where it ran."""

    code: int
    log: str
    output: str
    leg: str

    def check(self, command: str) -> None:
        """Raises TransportError for a command that never ran."""
        last = self.output.strip().rpartition("\n")[2].removeprefix("recorder: ")
        if self.code == CANNOT_TRACE and '"kind":"ioctl"' not in self.log:
            raise TransportError(f"{command} cannot be recorded: {last or 'it cannot be traced'}.")
        if self.code == CANNOT_RUN and '"kind":"ioctl"' not in self.log:
            raise TransportError(f"{command} cannot be run: {last or 'it was not found'}.")


def run(command: Sequence[str], seconds: int, asked: Callable[[], int] = lambda: 0) -> Recorded:
    """A command on this machine, told to end after so many seconds (0: never). Its output goes
    where ours does. `asked`: the signal that asks for an end, 0 for none, which is passed on; that
    of a terminal the command gets itself. Raises TransportError."""
    why = native.unavailable()
    if why:
        raise TransportError(
            f"recording needs arm64 with /dev/kvm, or --lab KERNEL:MODE to run COMMAND there: {why}"
        )
    program = build.build()
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as place:
        log = Path(place, "log")
        code = _followed([str(program), str(log), str(seconds), *command], asked)
        text = log.read_text("utf-8", "replace") if log.exists() else ""
    return Recorded(code, text, "", "kvm:native")


_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1


def _followed(argv: Sequence[str], asked: Callable[[], int]) -> int:
    """The exit code of the recorder, which does not outlive us."""
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    told = False
    with subprocess.Popen(argv, preexec_fn=die_with_parent) as process:  # noqa: PLW1509
        try:
            while process.poll() is None:
                if asked() in (signal.SIGTERM, signal.SIGHUP) and not told:
                    process.send_signal(asked())
                    told = True
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
        except BaseException:
            process.kill()  # and with it all that it follows
            raise
        return process.returncode
