"""Calls that one thread makes while another is at work on the same vcpu, or on another."""

from __future__ import annotations

import random
from collections.abc import Sequence

from corpus import registers as regs
from corpus.ops import (
    FEATURE_SVE,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Op,
    RegList,
    SetReg,
)
from fuzz.generate.registers import FILLS, draw_value

_CORE = tuple(regs.REGISTERS[name].id for name in ("pc", "sp", "pstate", "elr_el1", "x0", "x28"))
_CONTROL = tuple(
    regs.REGISTERS[name].id
    for name in ("zcr_el1", "fpcr", "fpsr", "cpacr_el1", "tpidr_el0", "esr_el1")
)
_SET = (*FILLS, *regs.X_IDS, *_CONTROL[:3])


def features_of(ops: Sequence[Op], slot: int) -> int:
    """What a vcpu was initialised with."""
    found = [op.features for op in ops if isinstance(op, Init) and op.vcpu == slot]
    return found[-1] if found else FEATURE_SVE


def calls(rng: random.Random, slot: int, features: int, count: int) -> list[Op]:
    """Calls that two threads may make at once; some of them twice, which shows the time."""
    made: list[Op] = []
    while len(made) < count:
        made += [_call(rng, slot, features)] * rng.choice((1, 1, 2))
    return made[:count]


def _call(rng: random.Random, slot: int, features: int) -> Op:
    roll = rng.random()
    if roll < 0.6:
        return GetReg(slot, rng.choice(rng.choice((_CORE, regs.X_IDS, FILLS, _CONTROL))))
    if roll < 0.8:
        return SetReg(slot, rng.choice(_SET), draw_value(rng))
    if roll < 0.85:  # seldom: a run that it comes before ends when its time is up
        return Init(slot, features)
    return rng.choice((RegList(slot), GetVls(slot), GetMp(slot), Finalize(slot)))
