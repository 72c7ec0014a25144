"""Cases in a protected VM."""

from __future__ import annotations

import random
from dataclasses import replace

from corpus.case import MAX_OPS, Case
from corpus.ops import (
    FEATURE_SVE,
    VM_RESERVED,
    CreateVm,
    Finalize,
    HostRun,
    Init,
    Migrate,
    Op,
    Run,
    SetVls,
    Threads,
)
from corpus.wire import OTHER_SLOT, VM_PROTECTED
from targets.spec.cpu import BASE_CAPS, FP_CAPS

SHARE = 0.04
"""Of all cases, how many ask for a protected VM where some leg has such."""
_RESERVED = 0.05
"""How many of those ask for what there is not."""
_WITHOUT_SVE = 0.3
_PLAIN = 0.7
"""How often its vcpus have no SVE at all, and how often its guests leave SVE alone: any instruction
of it ends their programs."""
_OF_LENGTHS = Finalize, SetVls


def protected(rng: random.Random, case: Case) -> Case:
    """The case in a protected VM, without what is not judged there."""
    if any(
        isinstance(op, CreateVm | Threads) or getattr(op, "vcpu", 0) == OTHER_SLOT
        for op in case.ops
    ):
        return case
    kind = VM_RESERVED if rng.random() < _RESERVED else VM_PROTECTED
    sve = rng.random() >= _WITHOUT_SVE
    plain = rng.random() < _PLAIN
    ops: list[Op] = [CreateVm(kind)]
    for op in case.ops:
        if isinstance(op, Migrate) or (not sve and isinstance(op, _OF_LENGTHS)):
            continue
        ops.append(_told(op, sve, plain))
    return replace(case, ops=tuple(ops[:MAX_OPS]))


def _told(op: Op, sve: bool, plain: bool) -> Op:
    if isinstance(op, Init) and not sve:
        return replace(op, features=op.features & ~FEATURE_SVE)
    if isinstance(op, Run | HostRun) and plain:
        kept = tuple(insn for insn in op.program if insn.form.cap in BASE_CAPS | FP_CAPS)
        return replace(op, program=kept)
    return op
