"""What a register id can turn out to mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from targets.spec.permitted import Home
from targets.spec.sets import Set, exact


@dataclass(frozen=True, slots=True)
class Verdict:
    """What SET may answer for a value: errnos, 0 for success, and the rule that says so
    (empty: the register's own)."""

    errors: tuple[int, ...]
    rule: str = ""


ACCEPTED = Verdict((0,))


@dataclass(frozen=True, slots=True)
class Slot:
    """A register found: `size` bytes, kept at `home`.

    `copied`: bytes that SET really reads (facts 1.5: up to the vcpu maximum only).
    `check`: None where SET takes every value.
    """

    rule: str
    size: int
    home: Home
    copied: int
    kind: str
    check: Callable[[int], Verdict] | None = None
    stored: Callable[[int], Set] = exact
    """What the register holds once SET took a value."""

    @property
    def label(self) -> str:
        """The register's name, as parts of observations are labelled."""
        key = self.home[1]
        return key if isinstance(key, str) else f"{self.kind}{key}".replace("ffr0", "ffr")

    @property
    def candidates(self) -> Set:
        """What the register may hold."""
        found: Set = self.home[0][self.home[1]]
        return found


@dataclass(frozen=True, slots=True)
class Refused:
    """An id that GET and SET refuse."""

    rule: str
    err: int


@dataclass(frozen=True, slots=True)
class NotModelled:
    """An id about which the model says nothing: any outcome is permitted."""

    rule: str = "reg.not-modelled"
