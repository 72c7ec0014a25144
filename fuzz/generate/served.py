"""Guests that stay in the kernel by reading a device which KVM serves: for machines whose VMs may
have such a device, in place of other loops.

So the sequence of cases elsewhere is as if there were none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
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
"""The most that a loop may be told to spin."""


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
    ops = [_exchanged(op, _reading, _FOR) if _in_first_vm(op) else op for op in case.ops]
    ops.insert(rng.choice(places), CreateGic())
    return replace(case, ops=tuple(ops))


def woken(case: Case) -> Case:
    """`case`, in which no guest waits for its timer beside an interrupt controller, as vcpus with
    EL2 have one, too: nothing would wake it before the time of a run is up, after 2 s."""
    made = any(isinstance(op, CreateGic) for op in case.ops)
    if not made and not any(_has_el2(op) for op in case.ops):
        return case
    ops = tuple(_exchanged(op, _reading if made else _spinning) for op in case.ops)
    return replace(case, ops=ops) if ops != case.ops else case


def _has_el2(op: Op) -> bool:
    return isinstance(op, Init | Migrate) and bool(op.features & HAS_EL2)


def _exchanged(op: Op, instead: Callable[[Insn], Insn], forms: Collection[str] = (WFI_LOOP,)) -> Op:
    """An op with something else in place of some loops."""
    if not isinstance(op, Run | HostRun) or not _has_any(op, forms):
        return op
    program = tuple(instead(each) if each.form.name in forms else each for each in op.program)
    return replace(op, program=program)


def _has_any(op: Run | HostRun, forms: Collection[str]) -> bool:
    return any(each.form.name in forms for each in op.program)


def _reading(each: Insn) -> Insn:
    return insn(MMIO_LOOP, *each.args)


def _spinning(each: Insn) -> Insn:
    return insn(SPIN_LOOP, min(each.args[0], _MOST_SPINS))


def _in_first_vm(op: Op) -> bool:
    return getattr(op, "vcpu", 0) != OTHER_SLOT


def _has_loop(op: Op) -> bool:
    return isinstance(op, Run | HostRun) and _in_first_vm(op) and _has_any(op, _FOR)


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
