"""What goes on beside a case: strangers around what it does, and two threads that do it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.blocks import looks_inside
from corpus.case import MAX_OPS, Case
from corpus.fields import DelayDomain
from corpus.ops import HOST_VLS, Disturb, HostRun, Op, Run, Threads
from corpus.wire import DELAY_LIMIT, Stranger
from fuzz.generate.concise import concise
from fuzz.generate.programs import source
from fuzz.generate.protected import SHARE as PROTECTED_SHARE
from fuzz.generate.protected import protected
from fuzz.generate.staying import LEAST_NS, staying
from fuzz.generate.streaming import streaming
from fuzz.generate.threads import WHOLE, threaded
from targets.profile import Profile
from targets.spec.protected import can_be

SHARE = 0.2
"""Of all cases, how many are disturbed where some leg can be: each takes some ms longer."""
THREADS_SHARE = 0.3
"""Of those, how many have two threads at work, where that can be."""
CONCISE = 0.6
"""How many cases are cut down to what is disturbed: a tenth more of them run in the same time."""
CROWDED = 0.2
"""How many of those have a stranger, too."""
LOOPS_STEPPED = 0.15
"""How many runs that a debugger steps through have a loop for something to happen in, which each
round of costs some KVM_RUNs there, and which a debugger does not need."""
_END_RUNS = (Stranger.SIGNAL, Stranger.STEP)
_DELAY = DelayDomain()


@dataclass(frozen=True, slots=True)
class Beside:
    """What can go on beside a case on some machine: the `kinds` of strangers, whether two
    threads can be at work, whether the thread that makes KVM_RUN has SME (`sme`), and whether a VM
    may be `protected`."""

    kinds: tuple[int, ...] = ()
    threads: bool = False
    sme: bool = False
    protected: bool = False

    @classmethod
    def of(cls, profiles: Sequence[Profile]) -> Beside:
        """What some of these machines have."""
        known = (s for s in Stranger if any(s.name.lower() in p.strangers for p in profiles))
        return cls(
            tuple(known),
            threads=any(profile.threads for profile in profiles),
            sme=any(profile.svqs for profile in profiles),
            protected=any(True in can_be(profile) for profile in profiles),
        )

    @property
    def others(self) -> bool:
        """Whether anybody but the thread itself can be at work."""
        return bool(self.kinds) or self.threads


NOTHING = Beside()


def sometimes(rng: random.Random, case: Case, beside: Beside, share: float = SHARE) -> Case:
    """The case, or in a fair share of cases one with something beside it."""
    if beside.protected and rng.random() < PROTECTED_SHARE:
        return protected(rng, case)
    if beside.others and rng.random() < share:
        case = accompanied(rng, case, beside)
    return streaming(rng, case) if beside.sme else case


def accompanied(rng: random.Random, case: Case, beside: Beside) -> Case:
    """The case with two threads at work, or with strangers, and often little else."""
    case = _accompanied(rng, case, beside)
    return concise(case) if rng.random() < CONCISE else case


def _accompanied(rng: random.Random, case: Case, beside: Beside) -> Case:
    if beside.threads and (not beside.kinds or rng.random() < THREADS_SHARE):
        case = threaded(rng, case)
        crowded = beside.kinds and rng.random() < CROWDED
        return _around_threads(rng, case, beside.kinds) if crowded else case
    return disturbed(rng, case, beside.kinds)


def _around_threads(rng: random.Random, case: Case, known: Sequence[int]) -> Case:
    """The case with a stranger around its first two lists, which strikes the first."""
    at, lists = next(
        ((index, op) for index, op in enumerate(case.ops) if isinstance(op, Threads)), (0, None)
    )
    if lists is None:
        return case
    if looks_inside(lists, case.ops[at + 1 : at + 1 + lists.span]) and rng.random() < WHOLE:
        known = [kind for kind in known if kind not in _END_RUNS]
    if not known:
        return case
    delay = rng.randrange(1, 4 * max(lists.after, LEAST_NS))
    vl = HOST_VLS.draw(source(rng))
    stranger = Disturb(rng.choice(known), min(delay, DELAY_LIMIT), vl, 1 + lists.span)
    return replace(case, ops=(*case.ops[:at], stranger, *case.ops[at:])[:MAX_OPS])


def disturbed(rng: random.Random, case: Case, known: Sequence[int]) -> Case:
    """The case with strangers of `known` kinds around one of its runs or what is near it."""
    runs = [index for index, op in enumerate(case.ops) if isinstance(op, Run | HostRun)]
    if not runs:
        return case
    at = rng.choice(runs)
    kinds = [rng.choice(known) for _ in range(rng.choice((1, 1, 1, 2)))]
    run, takes = case.ops[at], LEAST_NS
    if Stranger.STEP not in kinds or rng.random() < LOOPS_STEPPED:
        run, takes = _longer(rng, run, case.ops[:at])
    first = at if rng.random() < 0.8 else max(0, at - rng.randrange(1, 4))
    span = at - first + rng.choice((1, 1, 1, 1, 2, 4))
    around: list[Op] = []
    for depth, kind in reversed(tuple(enumerate(kinds))):
        delay = rng.randrange(1, takes)
        if rng.random() < 0.2:
            delay = _DELAY.draw(source(rng))
        around.append(Disturb(kind, delay, HOST_VLS.draw(source(rng)), span + depth))
    ops = (*case.ops[:first], *around, *case.ops[first:at], run, *case.ops[at + 1 :])
    return replace(case, ops=ops[:MAX_OPS])


def _longer(rng: random.Random, run: Op, before: Sequence[Op]) -> tuple[Op, int]:
    """The run with a loop in it, and how many ns it takes, about; sometimes by a thread with
    vectors."""
    assert isinstance(run, Run | HostRun)
    longer, takes = staying(rng, run, before)
    if isinstance(longer, Run) and rng.random() < 0.2:
        return HostRun(longer.vcpu, HOST_VLS.draw(source(rng)), program=longer.program), takes
    return longer, takes
