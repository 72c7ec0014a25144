"""Looks: a defect in state that nobody reads is not found.

A call that fails, one that begins a new part of a vcpu's life, and one whose buffer faults may
each change what they should not. In a fair share of cases such a call is followed by a look at
all that it could have changed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from corpus import registers as regs
from corpus.case import MAX_OPS
from corpus.ops import (
    EXACT,
    FEATURE_SVE,
    FINALIZE_SVE,
    GENERIC_V8,
    ONE_LESS,
    CreateVcpu,
    Finalize,
    GetEvents,
    GetMp,
    GetReg,
    GetVls,
    HostRun,
    Init,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetEvents,
    SetMp,
    SetReg,
    SetVls,
    WriteMem,
)

SHARE = 0.5
"""Of the calls after which a look is due, how many get one."""
FULL_LIST = 500
"""Room in a REG_LIST that every vcpu's list fits in."""

_MP_STATES = frozenset({0, 5, 10})


@dataclass(slots=True)
class Life:
    """What is known of a vcpu without running anything."""

    initialised: bool = False
    finalised: bool = False
    features: int = 0

    @property
    def sve(self) -> bool:
        """Whether it has SVE."""
        return bool(self.features & FEATURE_SVE)


@dataclass(slots=True)
class Lives:
    """The vcpus of a case, op by op."""

    vcpus: dict[int, Life] = field(default_factory=dict)

    def due(self, op: Op) -> bool:
        """Whether a look is due after `op`, which is now done: it probably fails, begins a
        new part of a life, or writes to, or from, where nothing is mapped."""
        if isinstance(op, CreateVcpu):
            again = op.vcpu in self.vcpus
            self.vcpus.setdefault(op.vcpu, Life())
            return again
        if isinstance(op, WriteMem | ReadMem):
            return False
        life = self.vcpus.get(getattr(op, "vcpu", 0))
        return life is None or self._changes(op, life) or _fails(op, life)

    def _changes(self, op: Op, life: Life) -> bool:
        if isinstance(op, Init):
            if op.target == GENERIC_V8 and not life.initialised:
                life.initialised, life.features = True, op.features
            return True
        if isinstance(op, Finalize):
            fine = life.initialised and life.sve and op.what == FINALIZE_SVE
            life.finalised = life.finalised or fine
            return True
        if isinstance(op, Migrate):
            self.vcpus[op.to] = Life(True, life.finalised, op.features)
            return True
        return False


def _fails(op: Op, life: Life) -> bool:
    """Whether an op on a vcpu fails, as far as can be told without running it."""
    if isinstance(op, SetMp):
        return op.state not in _MP_STATES
    if isinstance(op, ReadAll | GetMp):
        return False
    if not life.initialised:
        return True
    if isinstance(op, SetEvents):
        return op.reserved != 0
    if isinstance(op, SetVls):
        return life.finalised or not life.sve
    if isinstance(op, RegList):
        return op.room < FULL_LIST or op.room == ONE_LESS
    if isinstance(op, Run | HostRun):
        return life.sve and not life.finalised
    if isinstance(op, GetReg | SetReg):
        return _is_refused(op.reg, op.edge, life)
    return False


def _is_refused(reg: int, edge: int | None, life: Life) -> bool:
    row = regs.BY_ID.get(reg)
    if edge is not None or row is None:
        return True
    if row.kind in ("z", "p", "ffr"):
        return not life.finalised
    return row.kind == "v" and life.sve


def look(rng: random.Random, vcpu: int, others: Iterable[int] = ()) -> list[Op]:
    """A look at all that a call on `vcpu` could have changed; sometimes at other vcpus."""
    ops: list[Op] = [ReadAll(vcpu)]
    more: tuple[tuple[float, Op], ...] = (
        (0.35, GetVls(vcpu)),
        (0.25, GetMp(vcpu)),
        (0.1, GetEvents(vcpu)),
        (0.15, RegList(vcpu, rng.choice((EXACT, 1024)))),
        *((0.15, ReadAll(other)) for other in others if other != vcpu),
    )
    ops += [op for share, op in more if rng.random() < share]
    rng.shuffle(ops)
    return ops


def with_looks(rng: random.Random, ops: Sequence[Op], share: float = SHARE) -> list[Op]:
    """`ops` with looks where they are due, and one at the end; MAX_OPS at most."""
    lives = Lives()
    found: list[Op] = []
    for index, op in enumerate(ops):
        found.append(op)
        due = lives.due(op)
        if due and len(found) + len(ops) - index < MAX_OPS - 3 and rng.random() < share:
            slot = op.to if isinstance(op, Migrate) else getattr(op, "vcpu", 0)
            following = ops[index + 1] if index + 1 < len(ops) else None
            if following != ReadAll(slot):
                found += look(rng, slot, lives.vcpus)
    return ended(rng, found, lives)


def ended(rng: random.Random, ops: list[Op], lives: Lives) -> list[Op]:
    """`ops` with a look at every vcpu at the end, cut to make room for it."""
    last: list[Op] = [ReadAll(slot) for slot in sorted(lives.vcpus) or (0,)]
    last += [op for op in (GetVls(0), GetMp(0)) if rng.random() < 0.25]
    del ops[MAX_OPS - len(last) :]
    while last and last[0] in ops[-1:]:
        del last[0]
    return [*ops, *last]


def insert_look(rng: random.Random, ops: list[Op]) -> None:
    """Put a look after one of the ops where it is due, else anywhere."""
    lives = Lives()
    due = [index for index, op in enumerate(ops) if lives.due(op)]
    at = rng.choice(due) if due and rng.random() < 0.8 else rng.randrange(len(ops) + 1)
    slot = getattr(ops[at], "vcpu", 0) if at < len(ops) else 0
    ops[at + 1 : at + 1] = look(rng, slot, lives.vcpus)


__all__ = ["Life", "Lives", "insert_look", "look", "with_looks"]
