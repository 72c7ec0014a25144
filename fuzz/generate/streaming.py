"""Host threads that have ZA on, or are in streaming mode, when they make KVM_RUN."""

from __future__ import annotations

import random
from dataclasses import replace

from corpus.case import Case
from corpus.ops import HostRun
from corpus.wire import SVCR_SM, SVCR_ZA

SHARE = 0.5
"""Of the threads with vector state of their own, how many make use of SME."""
_SVCR = (SVCR_SM, SVCR_ZA, SVCR_SM | SVCR_ZA)


def streaming(rng: random.Random, case: Case) -> Case:
    """The case, in which a share of the host's threads make use of SME."""
    if not any(isinstance(op, HostRun) for op in case.ops):
        return case
    ops = tuple(
        replace(op, svcr=rng.choice(_SVCR))
        if isinstance(op, HostRun) and rng.random() < SHARE
        else op
        for op in case.ops
    )
    return replace(case, ops=ops)
