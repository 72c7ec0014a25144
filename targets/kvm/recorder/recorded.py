"""Running a command under the recorder, on this machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
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


def run(command: Sequence[str], seconds: int) -> Recorded:
    """A command on this machine, told to end after so many seconds (0: never). Its output goes
    where ours does. Raises TransportError."""
    why = native.unavailable()
    if why:
        raise TransportError(
            f"recording needs arm64 with /dev/kvm, or --lab KERNEL:MODE to run COMMAND there: {why}"
        )
    program = build.build()
    with tempfile.TemporaryDirectory(prefix="vcpufuzz-") as place:
        log = Path(place, "log")
        done = subprocess.run([program, log, str(seconds), *command], check=False)
        text = log.read_text("utf-8", "replace") if log.exists() else ""
    return Recorded(done.returncode, text, "", "kvm:native")
