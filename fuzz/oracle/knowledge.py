"""What is known of legs' defects: the one place that says what the records mean for a leg."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Protocol

from corpus.case import Case
from corpus.isa.table import FORMS
from corpus.kept import (
    ABORT_RULE,
    FORGETS_ABORTS_RULE,
    FPSR_RULE,
    SYNDROME_RULE,
    Described,
    Effect,
    KeptCase,
    load_kept,
)
from corpus.store import kept_files
from fuzz.oracle.culprit import responsible
from fuzz.oracle.verdict import Diverge
from targets.profile import Profile

_OTHERS = FPSR_RULE, SYNDROME_RULE, ABORT_RULE, FORGETS_ABORTS_RULE
_SPOILING = (*(f"isa.{form}" for form in FORMS), *_OTHERS)
"""Rules about what an instruction, or an abort, leaves behind, which a campaign goes on from."""


class Machine(Described, Protocol):
    """A leg, and the machine behind it."""

    @property
    def name(self) -> str:
        """What it is called here."""

    @property
    def profile(self) -> Profile:
        """As its probe described it."""


class Knowledge:
    """Recorded defects, by the cases that show them. A leg is known by what it is: its kind and
    its fingerprint, never its name."""

    def __init__(self, kept: Sequence[KeptCase] = ()) -> None:
        self.kept = tuple(kept)

    @classmethod
    def shipped(cls) -> Knowledge:
        """The defects that are recorded in `corpus/known`. Raises TextError, OSError."""
        return cls([load_kept(path) for path in kept_files("known")])

    def machine(self, leg: Machine) -> Profile:
        """The machine behind a leg as it is to be judged: what its defects can spoil is not
        judged, and what would kill it is avoided."""
        return replace(leg.profile, defects=self.spoiled(leg), avoid=self.avoided(leg))

    def spoiled(self, leg: Described) -> Mapping[str, frozenset[Effect]]:
        """Rules that a leg is known to break, with what that can spoil."""
        found: dict[str, frozenset[Effect]] = {}
        for item in self.kept:
            for known in item.recorded(leg):
                for rule in _SPOILING:
                    if fnmatchcase(rule, known.rule):
                        found[rule] = found.get(rule, frozenset()) | {known.effect}
        return found

    def avoided(self, leg: Described) -> frozenset[str]:
        """Rules that a campaign must not come to on a leg."""
        return frozenset(rule for item in self.kept for rule in item.avoided(leg))

    def shown_by(self, legs: Iterable[Machine]) -> Iterable[tuple[KeptCase, list[Machine]]]:
        """The cases whose defect some of the legs have, each with those legs."""
        legs = tuple(legs)
        for item in self.kept:
            those = [leg for leg in legs if item.recorded(leg)]
            if those:
                yield item, those

    def expired(self, legs: Iterable[Described]) -> list[str]:
        """A sentence for each record that would be about one of the legs, and is not believed
        any more."""
        legs = tuple(legs)
        found = []
        for item in self.kept:
            over = next((why for leg in legs if (why := item.expired(leg))), None)
            if over is not None:
                found.append(
                    f"{item.path.name} expired ({over}): the defect that it records is judged"
                    " again."
                )
        return found

    def explanation(self, legs: Iterable[Described], rule: str) -> KeptCase | None:
        """The record that explains why these legs, all of them, break `rule`; None if there is
        none, or no leg."""
        legs = tuple(legs)
        covering = (item for item in self.kept if all(item.covers(leg, rule) for leg in legs))
        return next(covering, None) if legs else None

    def explains(self, leg: Described, case: Case, verdict: Diverge) -> KeptCase | None:
        """The record that explains what was found on a leg: the one of this very case, if it
        has one."""
        rule = responsible(case, verdict)
        own = (item for item in self.kept if item.case == case and item.covers(leg, rule))
        return next(own, None) or self.explanation((leg,), rule)


NOTHING = Knowledge()
"""No defect is recorded: everything is judged."""
