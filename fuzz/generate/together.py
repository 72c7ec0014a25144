"""Two vcpus, of one VM or of two, that run at once: each must come to what it comes to alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.system import ANY
from corpus.ops import (
    FEATURE_SVE,
    MAX_VCPUS,
    CreateVcpu,
    Finalize,
    Init,
    Op,
    ReadAll,
    Run,
    SetVls,
    Threads,
)
from corpus.wire import OTHER_SLOT
from fuzz.generate.beside import calls, features_of
from fuzz.generate.programs import DATA, random_program
from fuzz.generate.registers import fill_registers, host_like_vqs
from fuzz.generate.staying import staying

_APART = 0x2000
"""How far the second guest's data is from the first one's, in bytes: what either stores and the
other reaches is not judged."""
_OTHER_VM = 0.3
"""How often the second is a vcpu of another VM."""
_SAME_PROGRAM = 0.3
_OTHER_LENGTHS = 0.5
_APART_SHARE = 0.6
"""How often both do the same, how often the second has vector lengths of its own choosing, and how
often each thread keeps to its own vcpu, where runs may be in parts."""


def together(rng: random.Random, case: Case) -> Case:
    """The case with one of its runs beside one of another vcpu, whose life it gets, too, and a
    look at both behind them; as it is where nothing runs."""
    runs = [(index, op) for index, op in enumerate(case.ops) if isinstance(op, Run)]
    if not runs:
        return case
    at, run = rng.choice(runs)
    before, behind = case.ops[:at], case.ops[at + 1 :]
    other = _beside(rng, run.vcpu)
    features = features_of(before, run.vcpu)
    program = run.program if rng.random() < _SAME_PROGRAM else tuple(random_program(rng))
    apart = rng.random() < _APART_SHARE
    theirs = program if other == OTHER_SLOT else _moved(program)
    life = _life(rng, other, features)
    mine, takes = _alone(rng, Run(run.vcpu, 0, run.program), before, not apart)
    its, _ = _alone(rng, Run(other, 0, theirs), life, not apart)
    on = [run.vcpu, other] if apart else [rng.choice((run.vcpu, other)) for _ in range(2)]
    first = [mine, *calls(rng, on[0], features, rng.choice((0, 0, 0, 1)))]
    second = [its, *calls(rng, on[1], features, rng.choice((0, 0, 1, 2)))]
    after = rng.randrange(takes) if rng.random() < 0.7 else 0
    both = Threads(after, len(first) + len(second), len(first))
    filled = fill_registers(rng, other, bool(features & FEATURE_SVE))
    looks = ReadAll(run.vcpu), ReadAll(other)
    ops = (*life, *before, *filled, both, *first, *second, *looks, *behind)
    return replace(case, ops=ops[:MAX_OPS])


def _beside(rng: random.Random, slot: int) -> int:
    """Another vcpu's slot, in the same VM or in another one."""
    if slot != OTHER_SLOT and rng.random() < _OTHER_VM:
        return OTHER_SLOT
    return rng.choice([other for other in range(MAX_VCPUS) if other != slot])


def _life(rng: random.Random, slot: int, features: int) -> Sequence[Op]:
    """What a vcpu needs to run. It comes before all else: one that is created late is not run in
    protected mode."""
    ops: list[Op] = [CreateVcpu(slot), Init(slot, features)]
    if features & FEATURE_SVE:
        if rng.random() < _OTHER_LENGTHS:
            ops.append(SetVls(slot, host_like_vqs(rng)))
        ops.append(Finalize(slot))
    return ops


def _alone(rng: random.Random, run: Run, before: Sequence[Op], whole: bool) -> tuple[Run, int]:
    """A run that takes its time, of a guest that asks nothing of others, and how many ns that
    is, about."""
    kept = tuple(insn for insn in run.program if insn.form.name not in ("hvc", ANY))
    longer, takes = staying(rng, replace(run, program=kept[:MAX_PROGRAM]), before, whole)
    assert isinstance(longer, Run)
    return longer, takes


def _moved(program: Sequence[Insn]) -> tuple[Insn, ...]:
    """The program with its data elsewhere."""
    return tuple(
        replace(insn, args=(insn.args[0], insn.args[1] - _APART))
        if insn.form.name == "lda" and insn.args[1] >= DATA + _APART
        else insn
        for insn in program
    )
