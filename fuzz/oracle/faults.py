"""What a bad ending is: its kind and its place, from what the machine said. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.trace import Ending
from targets.kvm.lab import kernellog

HANG, LOST, CRASH = "hang", "lost", "crash"
"""Kinds beside those of a kernel's own words."""


_BARE = {Ending.HANG: HANG, Ending.LOST: LOST}


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind (panic, oops, warn, hang, lost, ...) and a place: the kernel's function, or what
    became of QEMU; empty where nothing is known. `of_guest`: the machine under test did it,
    so it counts even if it never shows again. `line` is the log line that says most."""

    kind: str
    place: str
    of_guest: bool
    line: str

    @property
    def named(self) -> bool:
        """Whether kind and place tell it from others; else the case has to."""
        return bool(self.place) or self.kind in list(kernellog.Kind)

    @property
    def rule(self) -> str:
        """What is broken, in the form of a rule's id."""
        return f"ending.{self.kind}"

    def is_like(self, other: Fault) -> bool:
        """Whether both are the same defect. A hung machine may be caught anywhere in its loop."""
        if HANG in (self.kind, other.kind):
            return self.kind == other.kind
        return (self.kind, self.place) == (other.kind, other.place)

    def __str__(self) -> str:
        word = ": " if self.kind == LOST else " in "
        return f"{self.kind}{word}{self.place}" if self.place else self.kind


def fault_of(ending: Ending, log: str) -> Fault | None:
    """The fault behind an ending; None for a good one."""
    if ending is Ending.OK:
        return None
    line = kernellog.headline(log)[:200]
    said = kernellog.find(log)
    if said:
        return Fault(said.kind.value, said.function, True, line)
    hung = kernellog.HUNG_AT.search(log)
    if hung:
        return Fault(HANG, hung[1], True, line)
    lost = kernellog.LOST_BY.search(log)
    if lost:
        return Fault(LOST, lost[1][:80], lost[1] == kernellog.BY_ITSELF, line)
    return Fault(_BARE.get(ending, CRASH), "", False, line)
