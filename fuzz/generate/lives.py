"""New cases from a random source: mostly plausible lives of a vcpu, some nonsense.

Everything that can be drawn is drawn through the domains, so a new row in a table is
generated without a change here; the phases only decide *where* in a case ops go.
"""

from __future__ import annotations

import random
from dataclasses import replace

from corpus.blocks import BLOCKS
from corpus.case import Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.table import insn
from corpus.isa.tagged import TAG_CHECKS
from corpus.opfields import fields_of
from corpus.ops import (
    FEATURE_PTRAUTH,
    FEATURE_SVE,
    HOST_VLS,
    MTE,
    OPS,
    CreateGic,
    CreateVcpu,
    CreateVm,
    EnableCap,
    Finalize,
    GetReg,
    HostRun,
    Init,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    Run,
    SetVls,
    WriteMem,
)
from fuzz.generate import edges, tagging
from fuzz.generate import el2 as of_el2
from fuzz.generate.looks import with_looks
from fuzz.generate.programs import MIDDLE, constant, random_program, source, stores
from fuzz.generate.registers import (
    FILLS,
    draw_value,
    early_probe,
    fill_registers,
    host_like_vqs,
    probe_registers,
)


def random_op(rng: random.Random) -> Op:
    """Any op with any fields; no guest in it asks for checks of tags that its VM has not: it would
    come to no end."""
    kind = rng.choice(_KINDS)
    op = kind(*(field.domain.draw(source(rng, 256)) for field in fields_of(kind)))
    if isinstance(op, Run | HostRun):
        return replace(op, program=tuple(i for i in op.program if i.form.name != TAG_CHECKS))
    return op


_KINDS = [kind for kind in OPS.values() if kind not in (*BLOCKS, CreateVm, CreateGic)]
"""What goes on beside a case, and what VM it is in, has a place of its own, where legs have any."""


def random_run(
    rng: random.Random, vcpu: int, *, el2: bool = False, tags: bool = False
) -> Run | HostRun:
    """A run of a random program, sometimes by a host thread with vector state; `el2`: for a
    vcpu that has EL2; `tags`: in a VM that asked for memory tagging."""
    program = random_program(rng)
    if el2:
        program = of_el2.program(rng, program, MAX_PROGRAM)
    elif tags and rng.random() < tagging.SHARE:
        program = tagging.to_tags(rng, program)
    elif rng.random() < edges.SHARE:
        program = edges.to_edges(rng, program)
    if rng.random() < 0.04:
        return HostRun(vcpu, HOST_VLS.draw(source(rng)), program=program)
    return Run(vcpu, 1 if rng.random() < 0.03 else 0, program)


def on_vcpu(op: Op, vcpu: int) -> Op:
    """The same op on another vcpu."""
    values = [vcpu if f.name == "vcpu" else getattr(op, f.name) for f in fields_of(type(op))]
    return type(op)(*values)


POWER_OFF, PSCI_0_2 = 1, 4
_CPU_ON, _AFFINITY_INFO = 0xC400_0003, 0xC400_0004


def _turn_on_another(rng: random.Random, ops: list[Op], features: int) -> None:
    """A stopped second vcpu, which the first turns on by PSCI, and what it then looks like."""
    setup: list[Op] = [CreateVcpu(1)]
    if rng.random() < 0.1:
        setup.append(Init(1, features ^ 1 << rng.randrange(1, 7)))
    setup.append(Init(1, features | POWER_OFF))
    if features & FEATURE_SVE and rng.random() < 0.8:
        setup.append(Finalize(1))
    setup += fill_registers(rng, 1)
    call = [*constant(0, _AFFINITY_INFO), insn("movz", 1, 1), insn("movz", 2, 0), insn("hvc", 0)]
    call = call if rng.random() < 0.3 else []
    call += [*constant(0, _CPU_ON), *constant(1, 1), insn("movz", 2, 0x2000), insn("hvc", 0)]
    program = (*random_program(rng, 2)[: MAX_PROGRAM - len(call)], *call)
    later: list[Op] = [Run(0, 0, program), rng.choice((ReadAll(1), random_run(rng, 1)))]
    at = rng.randrange(1, len(ops) + 1)
    ops[at:at] = [*setup, *later, ReadAll(1)]


def out_of_place(rng: random.Random, ops: list[Op], features: int) -> None:
    """Ops out of place: strangers, repetitions, and a second vcpu with the same life."""
    while rng.random() < 0.4:
        ops.insert(rng.randrange(len(ops) + 1), random_op(rng))
    while rng.random() < 0.3:
        at = rng.randrange(len(ops))
        ops.insert(rng.randrange(at, len(ops)) + 1, ops[at])
    if rng.random() < 0.08:
        _turn_on_another(rng, ops, features)
    if rng.random() < 0.08:
        at = rng.randrange(len(ops) // 2, len(ops) + 1)
        target = rng.choice((1, 2, 2, 2))
        ops[at:at] = [Migrate(0, target, features), random_run(rng, target), ReadAll(target)]
    if rng.random() < 0.1:
        twins = [on_vcpu(op, 1) for op in ops if rng.random() < 0.8]
        at = rng.randrange(len(ops) + 1)
        ops[at:at] = twins


def _look_at_memory(rng: random.Random) -> Op:
    """A part of RAM in which most stores end."""
    return ReadMem(MIDDLE + rng.choice((-256, 0, 0, 256)), 512)


def random_case(rng: random.Random, el2_share: float = of_el2.SHARE) -> Case:
    """A life of one vcpu, sometimes two, with a few ops that do not belong. `el2_share`: how
    many of them have EL2."""
    vcpu = 0
    sve = rng.random() < 0.9
    tags = rng.random() < tagging.VMS
    ops: list[Op] = [EnableCap(MTE)] if tags else []
    ops.append(CreateVcpu(vcpu))
    features = FEATURE_SVE if sve else PSCI_0_2
    if rng.random() < 0.3:
        features |= PSCI_0_2
    if rng.random() < 0.12:
        features |= FEATURE_PTRAUTH
    if rng.random() < 0.15:
        features = fields_of(Init)[1].domain.draw(source(rng))
    if rng.random() < el2_share:
        features = of_el2.features(rng, features)
    el2 = bool(features & of_el2.HAS_EL2)
    ops.append(Init(vcpu, features))
    if sve and rng.random() < 0.5:
        ops.append(SetVls(vcpu, host_like_vqs(rng)))
    if rng.random() < 0.05:
        ops.append(early_probe(rng, vcpu))
    if sve:
        ops.append(Finalize(vcpu))
    if rng.random() < 0.2:
        ops.append(WriteMem(MIDDLE, draw_value(rng), 256))
    for _ in range(rng.randrange(1, 4)):
        ops += fill_registers(rng, vcpu, sve)
        ops += probe_registers(rng, vcpu)
        if el2:
            ops += of_el2.controls(rng, vcpu)
        if rng.random() < 0.9:
            run = random_run(rng, vcpu, el2=el2, tags=tags)
            ops.append(run)
            if stores(run.program) and rng.random() < 0.3:
                ops.append(_look_at_memory(rng))
        if el2:
            ops += of_el2.look(rng, vcpu)
        roll = rng.random()
        if roll < 0.6:
            ops.append(ReadAll(vcpu))
        elif roll < 0.75:
            ops.append(GetReg(vcpu, rng.choice(FILLS)))
        elif roll < 0.85:
            ops.append(_look_at_memory(rng))
        elif roll < 0.92:
            again = features if rng.random() < 0.7 else features ^ 1 << rng.randrange(8)
            ops.append(Init(vcpu, again))
    out_of_place(rng, ops, features)
    return Case(tuple(with_looks(rng, ops)))
