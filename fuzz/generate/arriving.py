"""Migrations to vcpus of other features: kernels before 6.5 take them, and what arrives is not
judged there. So beside such kernels they are few; elsewhere INIT refuses them, and that is judged.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.case import Case
from corpus.ops import Init, Migrate, Op
from targets.profile import Profile
from targets.spec.rules import in_force

OTHERS = 0.1
"""How many of the migrations to other features stay as they are."""
_POWER_OFF = 1
"""Is none of the features that both vcpus must have."""


def takes_others(machines: Sequence[Profile]) -> bool:
    """Whether some machine lets the vcpus of one VM have features of their own."""
    return not all(in_force("init.vm-wide-features", machine.kernel) for machine in machines)


def to_its_own(case: Case) -> Case:
    """`case`, or most of its migrations changed to have the features that the vcpu has which
    leaves, as its last INIT gave them; the same one always gives the same."""
    rng = random.Random(case.encoded)
    given: dict[int, int] = {}
    ops: list[Op] = []
    for op in case.ops:
        if isinstance(op, Init):
            given[op.vcpu] = op.features
        elif isinstance(op, Migrate):
            features = given.get(op.vcpu, op.features)
            if (features ^ op.features) & ~_POWER_OFF and rng.random() >= OTHERS:
                op = replace(op, features=features)  # noqa: PLW2901
            given[op.to] = op.features
        ops.append(op)
    return replace(case, ops=tuple(ops)) if tuple(ops) != case.ops else case
