"""Guests that stay in the kernel by reading a device which KVM serves: for machines whose VMs may
have such a device, in place of other loops.

So the sequence of cases elsewhere is as if there were none.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from corpus.blocks import has_block
from corpus.case import MAX_OPS, Case
from corpus.isa.form import Insn
from corpus.isa.system import HVC_LOOP, MMIO_LOOP, SPIN_LOOP, WFI_LOOP
from corpus.isa.table import insn
from corpus.ops import (
    FEATURE_PMU,
    TIMER,
    CreateGic,
    CreateVcpu,
    DeviceAttr,
    HostRun,
    Init,
    Migrate,
    Op,
    Run,
)
from corpus.wire import OTHER_SLOT, Ask
from fuzz.generate.el2 import HAS_EL2
from targets.profile import Profile

SHARE = 0.25
"""How many of the cases with calls, or waits, beside which something goes on have this instead."""
_FOR = frozenset({HVC_LOOP, WFI_LOOP})
_MOST_SPINS = 64


def can_be(machines: Sequence[Profile]) -> bool:
    """Whether the VMs of some machine may have an interrupt controller that KVM serves."""
    return any(machine.gic for machine in machines)


def with_served(case: Case) -> Case:
    """`case`, or for SHARE of those in which a guest makes calls or waits while something goes on
    one in which it reads its interrupt controller; the same one always gives the same."""
    if not any(map(has_block, case.ops)) or not any(map(_has_loop, case.ops)):
        return case
    rng = random.Random(case.encoded)
    if rng.random() >= SHARE or any(map(_excludes, case.ops)) or len(case.ops) == MAX_OPS:
        return case
    places = _places(case.ops)
    if not places:
        return case
    ops = list(map(_reading, case.ops))
    ops.insert(rng.choice(places), CreateGic())
    return replace(case, ops=tuple(ops))


def woken(case: Case) -> Case:
    """`case`, in which no guest waits for its timer beside an interrupt controller, as vcpus with
    EL2 have one, too: nothing would wake it before the time of a run is up, after 2 s."""
    made = any(isinstance(op, CreateGic) for op in case.ops)
    if not made and not any(_has_el2(op) for op in case.ops):
        return case
    ops = tuple(_waking(op, made) for op in case.ops)
    return replace(case, ops=ops) if ops != case.ops else case


def _has_el2(op: Op) -> bool:
    return isinstance(op, Init | Migrate) and bool(op.features & HAS_EL2)


def _waking(op: Op, made: bool) -> Op:
    if not isinstance(op, Run | HostRun):
        return op
    if not any(each.form.name == WFI_LOOP for each in op.program):
        return op
    return replace(op, program=tuple(_awake(each, made) for each in op.program))


def _awake(each: Insn, made: bool) -> Insn:
    if each.form.name != WFI_LOOP:
        return each
    if made:
        return insn(MMIO_LOOP, *each.args)
    return insn(SPIN_LOOP, min(each.args[0], _MOST_SPINS))


def _in_first_vm(op: Op) -> bool:
    return getattr(op, "vcpu", 0) != OTHER_SLOT


def _has_loop(op: Op) -> bool:
    return (
        isinstance(op, Run | HostRun)
        and _in_first_vm(op)
        and any(each.form.name in _FOR for each in op.program)
    )


def _excludes(op: Op) -> bool:
    """Whether a VM with an interrupt controller would not be judged, has one, or lacks a vcpu."""
    if isinstance(op, Init):
        return bool(op.features & (FEATURE_PMU | HAS_EL2))
    if isinstance(op, DeviceAttr):
        return op.group == TIMER and op.ask == Ask.SET
    return isinstance(op, CreateGic | Migrate)


def _places(ops: Sequence[Op]) -> list[int]:
    """Where it can be made: behind all vcpus, in front of the first run, in no block."""
    made = [at for at, op in enumerate(ops) if isinstance(op, CreateVcpu) and _in_first_vm(op)]
    runs = [at for at, op in enumerate(ops) if isinstance(op, Run | HostRun)]
    inside = {
        place
        for at, op in enumerate(ops)
        if has_block(op)
        for place in range(at + 1, at + 1 + op.span)
    }
    places = range(made[-1] + 1 if made else 0, runs[0] + 1)
    return [place for place in places if place not in inside]


def _reading(op: Op) -> Op:
    if not (isinstance(op, Run | HostRun) and _has_loop(op)):
        return op
    return replace(op, program=tuple(map(_read, op.program)))


def _read(each: Insn) -> Insn:
    return insn(MMIO_LOOP, *each.args) if each.form.name in _FOR else each
