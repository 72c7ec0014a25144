"""Two threads at work on one vcpu: a run that takes its time, and calls beside it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.ops import (
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Op,
    ReadAll,
    RegList,
    Run,
    SetReg,
    Threads,
)
from fuzz.generate.registers import FILLS, draw_value
from fuzz.generate.staying import CALL_NS, staying

_CORE = tuple(regs.REGISTERS[name].id for name in ("pc", "sp", "pstate", "elr_el1", "x0", "x28"))
_CONTROL = tuple(
    regs.REGISTERS[name].id
    for name in ("zcr_el1", "fpcr", "fpsr", "cpacr_el1", "tpidr_el0", "esr_el1")
)
_SET = (*FILLS, *regs.X_IDS, *_CONTROL[:3])
_IDLE_NS = 200_000
"""How long a few calls take in the lab, about."""


ANY_VCPU = 0.25
"""How often the second thread is at work on any vcpu of the VM, mostly the same all the same."""


def threaded(rng: random.Random, case: Case) -> Case:
    """The case with one of its runs beside calls to the same vcpu, or calls beside calls; and a
    look behind them."""
    runs = [(index, op) for index, op in enumerate(case.ops) if isinstance(op, Run)]
    if runs and rng.random() < 0.85:
        at, run = rng.choice(runs)
        lead, loop = staying(rng, run)
        assert isinstance(lead, Run)
        slot, first, most, rest = run.vcpu, [lead], CALL_NS * max(loop, 10), at + 1
    else:
        at = rest = rng.randrange(len(case.ops) + 1)
        slot, first, most = 0, [], _IDLE_NS
    features = _features(case.ops[:at], slot)
    mine: list[Op] = [*first, *_calls(rng, slot, features, rng.choice((0, 0, 1, 2, 3)))]
    there = [op.vcpu for op in case.ops[:at] if isinstance(op, CreateVcpu)]
    on = rng.choice(there) if there and rng.random() < ANY_VCPU else slot
    others = _calls(rng, on, features, rng.choice((1, 1, 2, 3, 4)))
    after = rng.randrange(most) if rng.random() < 0.8 else 0
    both = Threads(after, len(mine) + len(others), len(mine))
    ops = (*case.ops[:at], both, *mine, *others, ReadAll(slot), *case.ops[rest:])
    return replace(case, ops=ops[:MAX_OPS])


def _features(ops: Sequence[Op], slot: int) -> int:
    """What a vcpu was initialised with."""
    found = [op.features for op in ops if isinstance(op, Init) and op.vcpu == slot]
    return found[-1] if found else FEATURE_SVE


def _calls(rng: random.Random, slot: int, features: int, count: int) -> list[Op]:
    """Calls that two threads may make at once; some of them twice, which shows the time."""
    calls: list[Op] = []
    while len(calls) < count:
        call = _call(rng, slot, features)
        calls += [call] * rng.choice((1, 1, 2))
    return calls[:count]


def _call(rng: random.Random, slot: int, features: int) -> Op:
    roll = rng.random()
    if roll < 0.6:
        return GetReg(slot, rng.choice(rng.choice((_CORE, regs.X_IDS, FILLS, _CONTROL))))
    if roll < 0.8:
        return SetReg(slot, rng.choice(_SET), draw_value(rng))
    if roll < 0.85:  # seldom: a run that it comes before ends when its time is up
        return Init(slot, features)
    return rng.choice((RegList(slot), GetVls(slot), GetMp(slot), Finalize(slot)))
