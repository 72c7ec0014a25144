"""Cases of two threads, run until each of their runs is one KVM_RUN."""

from __future__ import annotations

from corpus.case import Case
from corpus.trace import Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.base import Target

TRIES = 6


def run_whole(leg: Target, case: Case) -> Trace:
    """What a leg does, all of which is right and judged. Where a machine is busy a run may be out
    of time, be looked at and go on: others could see it in parts, which is not judged."""
    for left in reversed(range(TRIES)):
        trace = leg.run(case)
        verdict = judge(case, trace, leg.profile)
        assert isinstance(verdict, Agree), verdict
        if not left or "in parts" not in verdict.reason:
            assert verdict.judged == len(case.ops), verdict.reason
            break
    return trace
