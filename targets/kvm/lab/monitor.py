"""What QEMU itself knows of a guest that no longer answers, asked through its monitor (QMP)."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

LIMIT_S = 5.0
"""A QEMU that can answer at all does so in milliseconds."""

LOOKS = 7
PAUSE_S = 0.02
"""A hung CPU may be looked at just while it serves an interrupt: several looks tell."""

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


def program_counters(line: socket.socket, limit_s: float = LIMIT_S) -> Sequence[Counter]:
    """Where each CPU is. `line`: this side of the monitor's socket, used once and closed.
    Raises Silent."""
    try:
        return asyncio.run(asyncio.wait_for(_ask(line), limit_s))
    except (TimeoutError, OSError, EOFError) as error:
        raise Silent(str(error)) from error


async def _ask(line: socket.socket) -> Sequence[Counter]:
    # Only a hang pays for the import.
    from qemu.qmp import ConnectError, QMPClient, QMPError  # noqa: PLC0415

    client = QMPClient("lab")

    async def say(words: str) -> str:
        # QMP has no registers; the human monitor has.
        answer = await client.execute("human-monitor-command", {"command-line": words})
        return cast(str, answer)

    try:
        await client.connect(line)
        try:
            looks = []
            for _ in range(LOOKS):
                looks.append(parse_registers(await say("info registers -a")))
                await asyncio.sleep(PAUSE_S)
            found = []
            for number, address, level in usual(looks):
                await say(f"cpu {number}")
                physical = _PHYSICAL.search(await say(f"gva2gpa {address:#x}"))
                where = int(physical[1], 16) if physical else None
                found.append(Counter(number, address, level, where))
            return found
        finally:
            await client.disconnect()
    except (ConnectError, QMPError) as error:
        raise Silent(str(error)) from error


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
