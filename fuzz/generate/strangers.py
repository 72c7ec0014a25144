"""Strangers around what a case does, and guests that stay long enough to meet them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM, DelayDomain
from corpus.isa.form import Insn
from corpus.isa.system import HVC_LOOP
from corpus.isa.table import insn
from corpus.ops import HOST_VLS, Disturb, HostRun, Op, Run
from corpus.wire import Stranger
from fuzz.generate.programs import source
from targets.profile import Profile

SHARE = 0.2
"""Of all cases, how many are disturbed where some leg can be: each takes some ms longer."""
LOOPS = (5, 20, 50, 100)
"""How often a guest calls its hypervisor. Without VHE a call is dear in the lab: QEMU forgets its
translations of addresses."""
CALL_NS = 50_000
"""What a call takes in the lab, about."""
_DELAY = DelayDomain()


def kinds(profiles: Sequence[Profile]) -> tuple[int, ...]:
    """The strangers that some of these machines have."""
    return tuple(s for s in Stranger if any(s.name.lower() in p.strangers for p in profiles))


def sometimes(rng: random.Random, case: Case, known: Sequence[int]) -> Case:
    """The case, or in a fair share of cases one that is disturbed; none where no stranger is
    known."""
    if known and rng.random() < SHARE:
        return disturbed(rng, case, known)
    return case


def disturbed(rng: random.Random, case: Case, known: Sequence[int]) -> Case:
    """The case with strangers of `known` kinds around one of its runs or what is near it."""
    runs = [index for index, op in enumerate(case.ops) if isinstance(op, Run | HostRun)]
    if not runs:
        return case
    at = rng.choice(runs)
    run, loop = _longer(rng, case.ops[at])
    first = at if rng.random() < 0.8 else max(0, at - rng.randrange(1, 4))
    span = at - first + rng.choice((1, 1, 1, 1, 2, 4))
    count = rng.choice((1, 1, 1, 2))
    around: list[Op] = []
    for depth in reversed(range(count)):
        delay = rng.randrange(1, CALL_NS * max(loop, 10))
        if rng.random() < 0.2:
            delay = _DELAY.draw(source(rng))
        around.append(Disturb(rng.choice(known), delay, HOST_VLS.draw(source(rng)), span + depth))
    ops = (*case.ops[:first], *around, *case.ops[first:at], run, *case.ops[at + 1 :])
    return replace(case, ops=ops[:MAX_OPS])


def _longer(rng: random.Random, run: Op) -> tuple[Op, int]:
    """The run with a loop in it, mostly at its end, and how often that goes round; sometimes by
    a thread with vectors."""
    assert isinstance(run, Run | HostRun)
    loop = rng.choice(LOOPS)
    program: list[Insn] = list(run.program[: MAX_PROGRAM - 1])
    place = len(program) if rng.random() < 0.7 else rng.randrange(len(program) + 1)
    program.insert(place, insn(HVC_LOOP, loop))
    if isinstance(run, HostRun):
        return replace(run, program=tuple(program)), loop
    if rng.random() < 0.2:
        return HostRun(run.vcpu, HOST_VLS.draw(source(rng)), tuple(program)), loop
    return Run(run.vcpu, 0, tuple(program)), loop
