"""Replaying kept cases: does every leg still do what is recorded?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from corpus.kept import KeptCase
from corpus.trace import Trace
from fuzz.followup.confirm import judge_all, run_everywhere, steady_difference
from fuzz.followup.signature import responsible
from fuzz.oracle.agreement import RULE
from fuzz.oracle.twins import twins
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.base import Target


class Outcome(Enum):
    """How one kept case did on one leg."""

    OK = "ok"
    KNOWN = "known"  # diverges as recorded
    REGRESSION = "regression"  # diverges, and should not, or from another rule
    GONE = "gone"  # a recorded divergence no longer shows: the record wants an update
    NOT_RUN = "not run"  # the leg cannot run this case


@dataclass(frozen=True, slots=True)
class Result:
    """One kept case on one leg. `explanation` is one sentence unless all is well."""

    kept: KeptCase
    leg: str
    outcome: Outcome
    explanation: str
    seconds: float
    choices: tuple[int, int] = (0, 0)


def replay(kept: Sequence[KeptCase], legs: Sequence[Target]) -> Iterator[Result]:
    """Run every case on every leg. Raises TransportError."""
    for item in kept:
        able = [leg for leg in legs if _can_run(item, leg)]
        for leg in legs:
            if leg not in able:
                why = f"needs vq>={item.case.min_vq}, {leg.name} has {leg.profile.max_vq}"
                yield Result(item, leg.name, Outcome.NOT_RUN, why, 0.0)
        started = time.monotonic()
        traces: dict[str, Trace] = run_everywhere(item.case, able)
        verdicts = judge_all(item.case, traces, able)
        verdicts |= steady_difference(item.case, traces, verdicts, able)
        seconds = time.monotonic() - started
        for leg in able:
            if _lacks_twin(item, leg, able):
                why = f"is about how {leg.name} differs from a leg that is not here"
                yield Result(item, leg.name, Outcome.NOT_RUN, why, seconds)
            else:
                yield _result(item, leg, verdicts[leg.name], seconds)


def _can_run(item: KeptCase, leg: Target) -> bool:
    return item.case.min_vq <= leg.profile.max_vq


def _lacks_twin(item: KeptCase, leg: Target, legs: Sequence[Target]) -> bool:
    """Whether a difference is recorded, and there is no leg to differ from."""
    if not item.covers(leg.name, leg.fingerprint, RULE):
        return False
    return not any(leg.name in group.names for group in twins(legs))


def _result(item: KeptCase, target: Target, verdict: Verdict, seconds: float) -> Result:
    leg = target.name
    choices = (0, 0)
    if isinstance(verdict, Agree):
        choices = (verdict.choices.kept, verdict.choices.cleared)
        if not item.expects(leg, target.fingerprint):
            return Result(item, leg, Outcome.OK, "", seconds, choices)
        why = "the recorded divergence no longer shows"
        return Result(item, leg, Outcome.GONE, why, seconds, choices)
    assert isinstance(verdict, Diverge)
    if item.covers(leg, target.fingerprint, responsible(item.case, verdict)):
        return Result(item, leg, Outcome.KNOWN, verdict.explanation, seconds)
    return Result(item, leg, Outcome.REGRESSION, verdict.explanation, seconds)
