"""What a leg did with a case: pure data, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from corpus.fault import Fault


class Ending(Enum):
    """How the execution of a whole case ended."""

    OK = "ok"
    CRASH = "crash"  # the leg died: guest kernel panic, emulator abort
    HANG = "hang"  # no progress within the leg's time limit
    HOST_LOG = "host-log"  # finished, but the kernel logged a WARN, BUG or Oops
    LOST = "lost"  # not at fault: it was queued behind a case that broke the leg


@dataclass(frozen=True, slots=True)
class Observation:
    """What one op returned.

    `err` is 0 or a positive errno. `aux` and `data` are laid out per op as
    described in `corpus.wire`.
    """

    err: int
    aux: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Trace:
    """One observation per op, then an ending, and behind a bad one the `fault`; `log` is the
    kernel's or emulator's own words, for people. `at`: index of the op that was under way when
    the leg broke, where that is known."""

    observations: tuple[Observation, ...]
    ending: Ending = Ending.OK
    log: str = ""
    at: int | None = None
    fault: Fault | None = None
