"""The guest's serial line, taken apart: kernel log text and doorbells, in the order they came."""

from __future__ import annotations

import re

from targets.kvm.lab.channel import DOORBELL, WAKE

_PANIC = re.compile(r"(Kernel panic - not syncing: .*)")


class Console:
    """Collects what the line says; each doorbell closes the log of one request."""

    def __init__(self) -> None:
        self._text = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """Take bytes in; for each doorbell among them, the log text that came before it."""
        *closed, rest = data.replace(WAKE, b"").split(DOORBELL)
        logs = []
        for part in closed:
            self._text += part
            logs.append(self.drain())
        self._text += rest
        return logs

    @property
    def pending(self) -> str:
        """The text since the last doorbell."""
        return self._text.decode("utf-8", "replace").replace("\r\n", "\n")

    def drain(self) -> str:
        """The text since the last doorbell, and forget it."""
        text = self.pending
        self._text.clear()
        return text


def last_words(log: str) -> str:
    """The panic line, else the last line, for a one-sentence message."""
    panic = _PANIC.search(log)
    if panic:
        return panic[1].strip()
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else ""
