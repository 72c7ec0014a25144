"""What made a machine, or the harness around it, break: a value that travels with a trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What went wrong; of what a kernel can say of itself, the most telling first."""

    HYP_PANIC = "hyp-panic"
    KASAN = "kasan"
    UBSAN = "ubsan"
    LOCKUP = "lockup"
    BUG = "bug"
    WARN = "warn"
    OOPS = "oops"
    PANIC = "panic"
    HANG = "hang"  # no progress
    LOST = "lost"  # the executor went away, with nobody at fault as far as is known
    CRASH = "crash"  # the executor died, and nothing is known of why


BY_KERNEL = frozenset(FaultKind) - {FaultKind.HANG, FaultKind.LOST, FaultKind.CRASH}
"""Kinds that only a kernel's own words can have."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind and a place: the kernel's function, or what became of the executor; empty where
    nothing is known. `of_guest`: the machine under test did it, not the harness or somebody
    outside, so it counts even if it never shows again. `line` is what to tell people first."""

    kind: FaultKind
    place: str = ""
    of_guest: bool = False
    line: str = ""

    @property
    def named(self) -> bool:
        """Whether kind and place tell it from others; else the case has to."""
        return bool(self.place) or self.kind in BY_KERNEL

    @property
    def rule(self) -> str:
        """What is broken, in the form of a rule's id."""
        return f"ending.{self.kind}"

    @property
    def rule_at(self) -> str:
        """The same with the place, as kept cases name it: two WARNs are two defects."""
        return f"{self.rule}@{self.place or '-'}"

    def is_like(self, other: Fault) -> bool:
        """Whether both are the same defect. A hung machine may be caught anywhere in its loop."""
        caught_anywhere = self.kind is FaultKind.HANG
        return self.kind is other.kind and (caught_anywhere or self.place == other.place)

    def __str__(self) -> str:
        word = ": " if self.kind is FaultKind.LOST else " in "
        return f"{self.kind}{word}{self.place}" if self.place else str(self.kind)
