"""Replaying kept cases: does every leg still do what is recorded?"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from corpus.kept import KeptCase
from fuzz.followup.disagreement import steady_difference
from fuzz.oracle.agreement import RULE
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Agree, Verdict
from targets.base import Target

NONE: Mapping[str, str] = {}


class Outcome(Enum):
    """How one kept case did on one leg."""

    OK = "ok"
    KNOWN = "known"  # diverges as recorded
    REGRESSION = "regression"  # diverges, and should not, or from another rule
    GONE = "gone"  # a recorded divergence no longer shows: the record wants an update
    NOT_RUN = "not run"  # the leg cannot run this case


@dataclass(frozen=True, slots=True)
class Result:
    """One kept case on one leg. `explanation` is one sentence unless all is well; `rule` and
    `op_index` say where it diverges, if it does."""

    kept: KeptCase
    leg: str
    outcome: Outcome
    explanation: str
    seconds: float
    choices: tuple[int, int] = (0, 0)
    rule: str = ""
    strict: bool = True
    op_index: int | None = None

    @property
    def fingerprint(self) -> str:
        """What stays the same from run to run: the case, the leg and the rule; 64 hexadecimal
        digits."""
        parts = (self.kept.case.id, self.leg, self.rule, str(self.outcome is Outcome.GONE))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def replay(
    kept: Sequence[KeptCase], legs: Sequence[Target], missing: Mapping[str, str] = NONE
) -> Iterator[Result]:
    """Run every case on every leg. `missing`: legs that cannot be had, and why. Raises
    TransportError."""
    for item in kept:
        for name, why in missing.items():
            yield Result(item, name, Outcome.NOT_RUN, why, 0.0)
    everywhere = Everywhere(legs)
    for item in kept:
        able = everywhere.only([leg.name for leg in legs if _can_run(item, leg)])
        for leg in legs:
            if leg not in able.legs:
                why = f"needs vq>={item.case.min_vq}, {leg.name} has {leg.profile.max_vq}"
                yield Result(item, leg.name, Outcome.NOT_RUN, why, 0.0)
        started = time.monotonic()
        seen = able.look(item.case)
        verdicts = {**seen.verdicts, **steady_difference(item.case, seen, able)}
        seconds = time.monotonic() - started
        for leg in able.legs:
            if _lacks_twin(item, leg, able):
                why = f"is about how {leg.name} differs from a leg that is not here"
                yield Result(item, leg.name, Outcome.NOT_RUN, why, seconds)
            else:
                yield _result(item, leg, verdicts[leg.name], seconds)


def _can_run(item: KeptCase, leg: Target) -> bool:
    return item.case.min_vq <= leg.profile.max_vq


def _lacks_twin(item: KeptCase, leg: Target, legs: Everywhere) -> bool:
    """Whether a difference is recorded, and there is no leg to differ from."""
    return item.covers(leg, RULE) and not any(leg.name in group.names for group in legs.twins)


def _result(item: KeptCase, leg: Target, verdict: Verdict, seconds: float) -> Result:
    if isinstance(verdict, Agree):
        choices = (verdict.choices.kept, verdict.choices.cleared)
        if not item.recorded(leg):
            return Result(item, leg.name, Outcome.OK, "", seconds, choices)
        why = "the recorded divergence no longer shows"
        return Result(item, leg.name, Outcome.GONE, why, seconds, choices)
    rule = responsible(item.case, verdict)
    outcome = Outcome.KNOWN if item.covers(leg, rule) else Outcome.REGRESSION
    over = item.expired(leg)
    expired = f"the record of this expired ({over}): " if over else ""
    return Result(
        *(item, leg.name, outcome, expired + verdict.explanation, seconds),
        rule=rule,
        strict=verdict.strict,
        op_index=verdict.op_index,
    )
