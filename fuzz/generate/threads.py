"""Two threads at work: a run that takes its time, and calls or another run beside it."""

from __future__ import annotations

import random
from dataclasses import replace

from corpus.case import MAX_OPS, Case
from corpus.ops import CreateVcpu, Op, ReadAll, Run, Threads
from fuzz.generate.beside import calls, features_of
from fuzz.generate.staying import staying
from fuzz.generate.together import together

_IDLE_NS = 200_000
"""How long a few calls take in the lab, about."""

ANY_VCPU = 0.25
"""How often the second thread is at work on any vcpu of the VM, mostly the same all the same."""
TOGETHER = 0.4
"""How often two vcpus run at once."""
WHOLE = 0.95
"""How often nothing ends a run that others look at."""


def threaded(rng: random.Random, case: Case) -> Case:
    """The case with one of its runs beside calls to the same vcpu, or a run of another one, or
    calls beside calls; and a look behind them."""
    runs = [(index, op) for index, op in enumerate(case.ops) if isinstance(op, Run)]
    if runs and rng.random() < TOGETHER:
        return together(rng, case)
    if runs and rng.random() < 0.85:
        at, run = rng.choice(runs)
        # What others saw of a run in parts is not judged.
        lead, most = staying(rng, run, case.ops[:at], whole=rng.random() < WHOLE)
        assert isinstance(lead, Run)
        slot, first, rest = run.vcpu, [lead], at + 1
    else:
        at = rest = rng.randrange(len(case.ops) + 1)
        slot, first, most = 0, [], _IDLE_NS
    features = features_of(case.ops[:at], slot)
    mine: list[Op] = [*first, *calls(rng, slot, features, rng.choice((0, 0, 1, 2, 3)))]
    there = [op.vcpu for op in case.ops[:at] if isinstance(op, CreateVcpu)]
    on = rng.choice(there) if there and rng.random() < ANY_VCPU else slot
    others = calls(rng, on, features, rng.choice((1, 1, 2, 3, 4)))
    after = rng.randrange(most) if rng.random() < 0.8 else 0
    both = Threads(after, len(mine) + len(others), len(mine))
    ops = (*case.ops[:at], both, *mine, *others, ReadAll(slot), *case.ops[rest:])
    return replace(case, ops=ops[:MAX_OPS])
