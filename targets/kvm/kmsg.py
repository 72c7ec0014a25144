"""What this machine's kernel logs while a case runs, from /dev/kmsg (Documentation/ABI)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

DEVICE = Path("/dev/kmsg")
_RECORD = 8192
_CAP = 1 << 16


class KernelLog:
    """Reads what is logged from now on. `trouble`: why it cannot, in a few words."""

    def __init__(self, device: Path = DEVICE) -> None:
        self.trouble = ""
        self._device, self._fd = device, -1
        self.reopen()

    def reopen(self) -> None:
        """Begin anew where it was closed."""
        if self._fd >= 0:
            return
        try:
            self._fd = os.open(self._device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.trouble = f"{self._device}: {(error.strerror or '').lower()}"
            return
        with suppress(OSError):  # what cannot be sought in has no past
            os.lseek(self._fd, 0, os.SEEK_END)

    def new(self) -> str:
        """Lines logged since this was last asked; the last of them if they are many."""
        lines: list[str] = []
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _RECORD)
            except BrokenPipeError:  # records were overwritten before they were read
                continue
            except OSError:
                break
            if not data:
                break
            lines += filter(None, map(_line, data.decode("utf-8", "replace").splitlines()))
        return "".join(lines)[-_CAP:]

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _line(record: str) -> str:
    """`level,number,microseconds,flags;text` as the console would show it; the lines below
    it, which begin with a space, say nothing about faults."""
    head, semicolon, text = record.partition(";")
    stamp = head.split(",")
    if record.startswith(" ") or not semicolon or len(stamp) < 3 or not stamp[2].isdigit():
        return ""
    seconds, microseconds = divmod(int(stamp[2]), 1_000_000)
    return f"[{seconds:5}.{microseconds:06}] {text}\n"
