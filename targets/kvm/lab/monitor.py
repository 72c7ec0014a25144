"""What QEMU itself knows of a guest that no longer answers, asked through its monitor (QMP)."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter as Tally
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

LIMIT_S = 5.0
"""A QEMU that can answer at all does so in milliseconds."""

LOOKS = 7
PAUSE_S = 0.02
"""A hung CPU may be looked at just while it serves an interrupt: several looks tell."""

VECTORS_END = 0x800
"""Bytes of a table of exception vectors; nothing else is at address 0 of the machine."""

_T = TypeVar("_T")

_CPU = re.compile(r"^CPU#(\d+)$", re.MULTILINE)
_PC = re.compile(r"\bPC=([0-9a-f]{16})\b")
_LEVEL = re.compile(r"\bPSTATE=\S+ .*?\b(EL[0-3])[ht]?\b")
_PHYSICAL = re.compile(r"gpa: (0x[0-9a-f]+)")


class Silent(Exception):
    """QEMU's monitor does not answer."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Where a CPU is: program counter, exception level (EL2, ...), and the physical address
    it stands for, None where it is not mapped."""

    cpu: int
    address: int
    level: str
    physical: int | None


class Monitor:
    """QEMU's monitor. `line`: this side of its socket, closed with it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None

    def program_counters(self, limit_s: float = LIMIT_S) -> Sequence[Counter]:
        """Where each CPU is. Raises Silent."""
        return self._run(self._counters(), limit_s)

    def is_astray(self, limit_s: float = LIMIT_S) -> bool:
        """Whether all CPUs only run through empty exception vectors. Raises Silent."""
        return is_astray(self._run(self._look(), limit_s))

    def close(self) -> None:
        """Idempotent."""
        if self._loop:
            with suppress(Silent):
                if self._client:
                    self._run(self._client.disconnect(), 1.0)
            self._loop.close()
            self._loop = self._client = None
        self._line.close()

    def _run(self, asking: Coroutine[Any, Any, _T], limit_s: float) -> _T:
        self._loop = self._loop or asyncio.new_event_loop()
        # Only a guest that makes no progress pays for the import.
        from qemu.qmp import QMPError  # noqa: PLC0415

        try:
            return self._loop.run_until_complete(asyncio.wait_for(asking, limit_s))
        except (TimeoutError, OSError, EOFError, QMPError) as error:
            raise Silent(str(error)) from error

    async def _say(self, words: str) -> str:
        from qemu.qmp import QMPClient  # noqa: PLC0415

        if self._client is None:
            client = QMPClient("lab")
            await client.connect(self._line)
            self._client = client
        # QMP has no registers; the human monitor has.
        answer = await self._client.execute("human-monitor-command", {"command-line": words})
        return cast(str, answer)

    async def _look(self) -> list[list[tuple[int, int, str]]]:
        looks = []
        for _ in range(LOOKS):
            looks.append(parse_registers(await self._say("info registers -a")))
            await asyncio.sleep(PAUSE_S)
        return looks

    async def _counters(self) -> Sequence[Counter]:
        found = []
        for number, address, level in usual(await self._look()):
            await self._say(f"cpu {number}")
            physical = _PHYSICAL.search(await self._say(f"gva2gpa {address:#x}"))
            where = int(physical[1], 16) if physical else None
            found.append(Counter(number, address, level, where))
        return found


def is_astray(looks: Sequence[Sequence[tuple[int, int, str]]]) -> bool:
    """Whether every look found every CPU in exception vectors at address 0: a kernel that took
    an exception before it set vectors of its own takes the next one there, for ever."""
    seen = [place for look in looks for place in look]
    return bool(seen) and all(
        address < VECTORS_END and level in ("EL1", "EL2") for _, address, level in seen
    )


def usual(looks: Sequence[Sequence[tuple[int, int, str]]]) -> list[tuple[int, int, str]]:
    """Per CPU, where it was most often; the earliest of several such places."""
    tallies: dict[int, Tally[tuple[int, str]]] = {}
    for look in looks:
        for number, address, level in look:
            tallies.setdefault(number, Tally())[address, level] += 1
    return [(number, *tally.most_common(1)[0][0]) for number, tally in tallies.items()]


def parse_registers(text: str) -> list[tuple[int, int, str]]:
    """(CPU, program counter, exception level) per CPU of `info registers -a`."""
    _, *parts = _CPU.split(text.replace("\r", ""))
    found = []
    for number, registers in zip(parts[::2], parts[1::2], strict=True):
        pc, level = _PC.search(registers), _LEVEL.search(registers)
        if pc:
            found.append((int(number), int(pc[1], 16), level[1] if level else "EL?"))
    return found
