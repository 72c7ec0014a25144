"""Guests that run, or stay in the kernel, for long enough to meet what goes on beside them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from corpus import registers as regs
from corpus.case import Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.system import HVC_LOOP, LOOPS, SPIN_LOOP, UNDEF_LOOP, WFI_LOOP
from corpus.isa.table import insn
from corpus.ops import FEATURE_PMU, HostRun, Op, Run, SetReg
from corpus.wire import DELAY_LIMIT
from fuzz.generate.beside import features_of
from fuzz.generate.el2 import HAS_EL2

ROUNDS = (5, 20, 50, 100)
"""How often a guest calls its hypervisor. Without VHE a call is dear in the lab: QEMU forgets its
translations of addresses."""
CALL_NS = 50_000
"""What a call takes in the lab, about."""
SPIN_NS = 4_000
"""What a guest's own round takes, about."""
WAIT_NS = 200_000
"""What it takes to wait for a timer, about."""


class _Loop(NamedTuple):
    """A loop, how often it is drawn, how long one round takes, into how many parts the number of
    rounds is divided, since where a machine is busy, a timer's interrupt is late by tens of ms,
    whether KVM_RUN is over meanwhile, and is made again, whether guests come to its end in any
    mode, and not in EL1h alone, in which they begin: else the time is up first, after 2 s; and
    features of vcpus that are not judged in it."""

    form: str
    weight: int
    round_ns: int
    parts: int = 1
    ends_runs: bool = False
    any_mode: bool = False
    not_with: int = 0


_LOOPS = (
    _Loop(HVC_LOOP, 10, CALL_NS, any_mode=True),
    _Loop(SPIN_LOOP, 4, SPIN_NS, 2, any_mode=True),
    _Loop(UNDEF_LOOP, 3, CALL_NS, not_with=FEATURE_PMU | HAS_EL2),
    _Loop(WFI_LOOP, 4, WAIT_NS, 10, ends_runs=True, not_with=HAS_EL2),
)
_NOT_JUDGED = 0.05
"""How often a guest gets a loop of which is not known what it does there."""
_PSTATE = regs.REGISTERS["pstate"].id
_RETURNS = frozenset({"eret_to", "eret_el2_to"})
"""Forms behind which a guest may be in another mode."""
LEAST_NS = 10 * CALL_NS
"""Of a run without much of a loop."""


def staying(
    rng: random.Random, run: Run | HostRun, before: Sequence[Op], whole: bool = False
) -> tuple[Run | HostRun, int]:
    """The run, that comes behind ops, with a loop in it, mostly at its end, and how many ns it
    takes, about, as a delay. A guest that begins with the loop has its vector registers still in
    memory all that time. `whole`: it is to be one KVM_RUN."""
    program: list[Insn] = list(run.program[: MAX_PROGRAM - 1])
    place = rng.choice((0, len(program), len(program), len(program), _somewhere(rng, program)))
    at_any = rng.random() < _NOT_JUDGED
    features = features_of(before, run.vcpu)
    moved = _sets_pstate(before, run.vcpu)
    elsewhere = any(insn.form.name in _RETURNS for insn in program[:place])
    loops = [
        loop
        for loop in _LOOPS
        if not (whole and loop.ends_runs)
        and (at_any or not features & loop.not_with)
        and (at_any or not moved or loop.form != UNDEF_LOOP)
        and (loop.any_mode or not elsewhere)
    ]
    (loop,) = rng.choices(loops, [loop.weight for loop in loops])
    rounds = max(rng.choice(ROUNDS) // loop.parts, 1)
    program.insert(place, insn(loop.form, rounds))
    if isinstance(run, Run):
        run = replace(run, immediate=0)
    takes = max(loop.round_ns * rounds, LEAST_NS)
    return replace(run, program=tuple(program)), min(takes, DELAY_LIMIT)


def _sets_pstate(before: Sequence[Op], slot: int) -> bool:
    """Whether a vcpu may begin elsewhere than at EL1 with an SP of its own."""
    return any(isinstance(op, SetReg) and (op.vcpu, op.reg) == (slot, _PSTATE) for op in before)


def _somewhere(rng: random.Random, program: Sequence[Insn]) -> int:
    return rng.randrange(len(program) + 1)


_MOST = dict.fromkeys(LOOPS, ROUNDS[-1]) | {loop.form: ROUNDS[-1] // loop.parts for loop in _LOOPS}


def in_time(case: Case) -> Case:
    """`case`, with no more rounds of a loop than are drawn here: a mutation may ask for a thousand,
    which take about as long as a run may, so that it is over in time now and not then."""
    ops = tuple(map(_shortened, case.ops))
    return replace(case, ops=ops) if ops != case.ops else case


def _shortened(op: Op) -> Op:
    if not isinstance(op, Run | HostRun) or all(_fits(each) for each in op.program):
        return op
    program = (i if _fits(i) else insn(i.form.name, _MOST[i.form.name]) for i in op.program)
    return replace(op, program=tuple(program))


def _fits(each: Insn) -> bool:
    return each.form.name not in LOOPS or each.args[0] <= _MOST[each.form.name]
