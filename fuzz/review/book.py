"""What a review says, as plain data: its JSON form."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Where(StrEnum):
    """On which of the two kernels something is wrong."""

    NEW = "new"  # on the newer one only
    GONE = "gone"  # on the older one only
    BOTH = "both"
    HIDDEN = "hidden"  # on one, while the other does something else before that is wrong
    CHANCE = "chance"  # seen once, and not again


class Broken(msgspec.Struct, frozen=True):
    """A divergence from the specification. `mode`: or several, with commas; `bucket`: where it is
    stored, such as B3, or nothing; `case`: its text."""

    where: Where
    mode: str
    rule: str
    strict: bool
    explanation: str
    case: str
    bucket: str = ""


class Differing(msgspec.Struct, frozen=True):
    """Something that both may do, and that the two do differently, in `count` cases. `case`: the
    first of them."""

    kind: str
    mode: str
    op: str
    rule: str
    label: str
    base: str
    new: str
    case: str
    count: int = 1


class ReviewedFunction(msgspec.Struct, frozen=True):
    """A function that differs. `how`: changed, new or gone; `mode`: where it was reached first,
    or nothing; `by`, `case`: the case that did."""

    area: str
    name: str
    how: str
    mode: str = ""
    by: str = ""
    case: str = ""


class Speed(msgspec.Struct, frozen=True):
    """Microseconds per case, in the guest alone. `spread`: by how much timings of one kernel
    differ, in percent."""

    mode: str
    base: float
    new: float
    spread: float = 0.0

    @property
    def percent(self) -> float:
        """How much longer the newer one takes."""
        return 100 * (self.new / self.base - 1) if self.base else 0.0


class KernelSide(msgspec.Struct, frozen=True):
    """One of the two. `name`: as in a leg's name; `release`: what it says of itself; `what`: of a
    revision, its subject."""

    name: str
    release: str = ""
    sha256: str = ""
    what: str = ""


class Review(msgspec.Struct):
    """All of it. `cases`: how many were run on both; `notes`: what could not be done."""

    base: KernelSide
    new: KernelSide
    modes: list[str]
    areas: list[str] = []
    functions: list[ReviewedFunction] = []
    broken: list[Broken] = []
    differing: list[Differing] = []
    speed: list[Speed] = []
    cases: int = 0
    seconds: float = 0.0
    notes: list[str] = []

    def of(self, where: Where) -> list[Broken]:
        """The divergences there, by rule: each with its shortest case, and all its modes."""
        by_rule: dict[str, list[Broken]] = {}
        for one in self.broken:
            if one.where is where:
                by_rule.setdefault(one.rule, []).append(one)
        return [
            msgspec.structs.replace(
                min(ones, key=lambda one: len(one.case)),
                mode=", ".join(dict.fromkeys(one.mode for one in ones)),
                bucket=", ".join(dict.fromkeys(one.bucket for one in ones if one.bucket)),
            )
            for ones in by_rule.values()
        ]

    @property
    def has_news(self) -> bool:
        """Whether the newer kernel has a divergence that the older one has not."""
        return any(one.where is Where.NEW for one in self.broken)
