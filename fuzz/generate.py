"""New cases from a random source: mostly plausible lives of a vcpu, some nonsense.

Everything that can be drawn is drawn through the domains, so a new row in a table is
generated without a change here; the phases only decide *where* in a case ops go.
"""

from __future__ import annotations

import random

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Form, Insn
from corpus.isa.table import FORMS, insn
from corpus.ops import (
    FEATURE_SVE,
    OPS,
    CreateVcpu,
    Finalize,
    GetReg,
    Init,
    Op,
    ReadAll,
    ReadMem,
    Run,
    SetReg,
    SetVls,
    WriteMem,
    fields_of,
)
from corpus.stream import Source
from corpus.values import Pattern, PatternDomain
from corpus.wire import RAM_SIZE

_VALUE = PatternDomain()
_DATA = 0x8000


def source(rng: random.Random, size: int = 96) -> Source:
    """Random bytes for a domain's `draw`."""
    return Source(rng.randbytes(size))


def random_op(rng: random.Random) -> Op:
    """Any op with any fields."""
    kind = rng.choice(list(OPS.values()))
    return kind(*(field.domain.draw(source(rng, 256)) for field in fields_of(kind)))


def random_insn(rng: random.Random, form: Form | None = None) -> Insn:
    """Any instruction, or one of `form`."""
    form = form or rng.choice(_FORMS)
    return Insn(form, form.draw(source(rng)))


_FORMS = list(FORMS.values())
_GROUPS: dict[str, list[Form]] = {}
for _form in _FORMS:
    _GROUPS.setdefault(_form.group, []).append(_form)
_GROUP_NAMES = list(_GROUPS)


def _enable_vectors(rng: random.Random) -> list[Insn]:
    """CPACR_EL1 := both units on, sometimes something else."""
    value = 0x33 if rng.random() < 0.9 else rng.randrange(0x40)
    return [insn("movz16", 0, value), insn("msr", _SYS["cpacr_el1"], 0), insn("isb")]


def _set_length(rng: random.Random) -> list[Insn]:
    return [insn("movz", 0, rng.randrange(16)), insn("msr", _SYS["zcr_el1"], 0)]


_SYS = {
    name: FORMS["msr"].operands[0].domain.parse(name) for name in ("zcr_el1", "cpacr_el1", "fpcr")
}


def _base_of(form: Form) -> tuple[int, str] | None:
    """The operand that is a memory form's base register."""
    for index, operand in enumerate(form.operands):
        if operand.name == "xn":
            return index, operand.name
    return None


def memory_access(rng: random.Random, form: Form) -> list[Insn]:
    """A memory instruction with its base register pointed into RAM, rarely at its edge."""
    access = random_insn(rng, form)
    base = _base_of(form)
    if base is None:
        return [access]
    args = list(access.args)
    setup = []
    for index, operand in enumerate(form.operands):
        if operand.name == "xm" and index != base[0]:
            args[index] = 5
            setup.append(insn("movz", 5, rng.choice((0, 1, 2, 8, 16, 32))))
    register = rng.choice((1, 2, 3, 4))
    args[base[0]] = register
    middle = _DATA + 0x4000 + 16 * rng.randrange(64)
    edge = RAM_SIZE - 16 * rng.randrange(1, 40)
    setup.append(insn("lda", register, middle if rng.random() < 0.9 else edge))
    return [*setup, Insn(form, tuple(args))]


def is_memory(form: Form) -> bool:
    """Whether an instruction of this form accesses memory."""
    return any(word in form.group for word in ("mem", "load", "store", "gather", "scatter"))


def random_program(rng: random.Random, length: int | None = None) -> tuple[Insn, ...]:
    """A guest program that usually switches its vector units on first."""
    program: list[Insn] = []
    if rng.random() < 0.9:
        program += _enable_vectors(rng)
    if rng.random() < 0.6:
        program += _set_length(rng)
    want = length or rng.choice((0, 1, 2, 4, 8, 12, 16))
    for _ in range(want):
        roll = rng.random()
        if roll < 0.07:
            program += _set_length(rng)
        elif roll < 0.15:
            program += _predicate(rng)
        else:
            form = (
                rng.choice(_GROUPS[rng.choice(_GROUP_NAMES)]) if roll < 0.6 else rng.choice(_FORMS)
            )
            if form.group == "sys" and form.name in _ENDS_RUN and rng.random() < 0.8:
                continue
            program += memory_access(rng, form) if is_memory(form) else [random_insn(rng, form)]
    return tuple(program[:MAX_PROGRAM])


_ENDS_RUN = ("svc", "brk", "udf")


def _predicate(rng: random.Random) -> list[Insn]:
    form = FORMS.get("ptrue")
    return [random_insn(rng, form)] if form else []


def random_run(rng: random.Random, vcpu: int) -> Run:
    """A run of a random program."""
    return Run(vcpu, 1 if rng.random() < 0.03 else 0, random_program(rng))


_FILLS = tuple(regs.Z_IDS) + tuple(regs.P_IDS) + (regs.REGISTERS["ffr"].id,)
_CONTROLS = tuple(
    regs.REGISTERS[name].id for name in ("zcr_el1", "cpacr_el1", "fpcr", "fpsr", "ffr", "pstate")
)


def fill_registers(rng: random.Random, vcpu: int) -> list[Op]:
    """Give some vector and control registers interesting contents."""
    ops: list[Op] = []
    for _ in range(rng.randrange(5)):
        if rng.random() < 0.7:
            reg = rng.choice(_FILLS)
            value = Pattern("noise", rng.randrange(1 << 16)) if rng.random() < 0.5 else _value(rng)
            if reg not in regs.Z_IDS and rng.random() < 0.6:
                value = Pattern("ones", rng.randrange(257))
        else:
            reg, value = rng.choice(_CONTROLS), _value(rng)
        ops.append(SetReg(vcpu, reg, value))
    return ops


def _value(rng: random.Random) -> Pattern:
    return _VALUE.draw(source(rng))


def _host_like_vqs(rng: random.Random) -> int:
    return (1 << rng.randrange(1, 17)) - 1


def on_vcpu(op: Op, vcpu: int) -> Op:
    """The same op on another vcpu."""
    values = [vcpu if f.name == "vcpu" else getattr(op, f.name) for f in fields_of(type(op))]
    return type(op)(*values)


def _disturb(rng: random.Random, ops: list[Op]) -> None:
    """Ops out of place: strangers, repetitions, and a second vcpu with the same life."""
    while rng.random() < 0.4:
        ops.insert(rng.randrange(len(ops) + 1), random_op(rng))
    while rng.random() < 0.3:
        at = rng.randrange(len(ops))
        ops.insert(rng.randrange(at, len(ops)) + 1, ops[at])
    if rng.random() < 0.1:
        twins = [on_vcpu(op, 1) for op in ops if rng.random() < 0.8]
        at = rng.randrange(len(ops) + 1)
        ops[at:at] = twins


def random_case(rng: random.Random) -> Case:
    """A life of one vcpu, sometimes two, with a few ops that do not belong."""
    vcpu = 0
    sve = rng.random() < 0.9
    ops: list[Op] = [CreateVcpu(vcpu)]
    features = FEATURE_SVE if sve else 4
    if rng.random() < 0.15:
        features = fields_of(Init)[1].domain.draw(source(rng))
    ops.append(Init(vcpu, features))
    if sve and rng.random() < 0.5:
        ops.append(SetVls(vcpu, _host_like_vqs(rng)))
    if sve:
        ops.append(Finalize(vcpu))
    if rng.random() < 0.2:
        ops.append(WriteMem(_DATA + 0x4000, _value(rng), 256))
    for _ in range(rng.randrange(1, 4)):
        ops += fill_registers(rng, vcpu)
        if rng.random() < 0.9:
            ops.append(random_run(rng, vcpu))
        roll = rng.random()
        if roll < 0.6:
            ops.append(ReadAll(vcpu))
        elif roll < 0.75:
            ops.append(GetReg(vcpu, rng.choice(_FILLS)))
        elif roll < 0.85:
            ops.append(ReadMem(_DATA + 0x4000, 512))
        elif roll < 0.92:
            ops.append(Init(vcpu, features))
    _disturb(rng, ops)
    if not isinstance(ops[-1], ReadAll):
        ops.append(ReadAll(vcpu))
    return Case(tuple(ops[-MAX_OPS:] if len(ops) > MAX_OPS else ops))
