"""New cases from a random source: mostly plausible lives of a vcpu, some nonsense.

Everything that can be drawn is drawn through the domains, so a new row in a table is
generated without a change here; the phases only decide *where* in a case ops go.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.domain import Domain, TextError
from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Form, Insn
from corpus.isa.system import OF_EL2
from corpus.isa.table import FORMS, insn
from corpus.ops import (
    FEATURE_SVE,
    HOST_VLS,
    OPS,
    CreateVcpu,
    Finalize,
    GetMp,
    GetReg,
    HostRun,
    Init,
    Migrate,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetMp,
    SetReg,
    SetVls,
    WriteMem,
    fields_of,
)
from corpus.stream import Source
from corpus.values import Pattern, PatternDomain
from corpus.wire import MMIO_BASE, RAM_SIZE
from fuzz import generate_el2

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
    """Any instruction, or one of `form`; often with a register named twice."""
    form = form or rng.choice(_FORMS)
    drawn = Insn(form, form.draw(source(rng)))
    return _aliased(rng, drawn) if rng.random() < 0.25 else drawn


def _aliased(rng: random.Random, drawn: Insn) -> Insn:
    """The same with some registers equal to another of their kind, where that can be encoded."""
    args = list(drawn.args)
    places: dict[str, list[int]] = {}
    for index, operand in enumerate(drawn.form.operands):
        if operand.name[0] in "zpvx" and len(operand.name) == 2:
            places.setdefault(operand.name[0], []).append(index)
    for same_kind in places.values():
        number = args[rng.choice(same_kind)]
        for index in same_kind:
            if rng.random() < 0.7 and _takes(drawn.form.operands[index].domain, number):
                args[index] = number
    aliased = Insn(drawn.form, tuple(args))
    return drawn if drawn.form.valid and not drawn.form.valid(aliased.args) else aliased


def _takes(domain: Domain[int], value: int) -> bool:
    try:
        return domain.parse(domain.format(value)) == value
    except TextError:
        return False


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
    roll = rng.random()
    if roll < 0.03:
        setup.append(insn("movz16", register, MMIO_BASE >> 16))
    else:
        setup.append(insn("lda", register, middle if roll < 0.9 else edge))
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
        elif roll < 0.17:
            program += hypercall(rng)
        elif roll < 0.18:
            program.append(random_insn(rng, FORMS["eret_to"]))
        else:
            form = (
                rng.choice(_GROUPS[rng.choice(_GROUP_NAMES)]) if roll < 0.6 else rng.choice(_FORMS)
            )
            if form.group == "sys" and form.name in _ENDS_RUN and rng.random() < 0.6:
                continue
            if form.name in ("mrs", "msr"):
                program.append(_system_access(rng, form))
                continue
            program += memory_access(rng, form) if is_memory(form) else [random_insn(rng, form)]
    return tuple(program[:MAX_PROGRAM])


_ENDS_RUN = ("svc", "brk", "udf")


def _system_access(rng: random.Random, form: Form) -> Insn:
    """An MRS or MSR; rarely of a register that is UNDEFINED below EL2, which ends a run."""
    access = random_insn(rng, form)
    while rng.random() < 0.9 and any(arg in _OF_EL2 for arg in access.args):
        access = random_insn(rng, form)
    return access


_OF_EL2 = frozenset(FORMS["msr"].operands[0].domain.parse(name) for name in OF_EL2)

_FUNCTIONS: dict[int, float] = {
    **dict.fromkeys((0xC400_0003, 0x8400_0003), 12),  # CPU_ON
    **dict.fromkeys((0xC400_0004, 0x8400_0004), 5),  # AFFINITY_INFO
    **dict.fromkeys((0x8400_0000, 0x8000_0000, 0x8400_0006), 3),  # versions, MIGRATE_INFO_TYPE
    **dict.fromkeys((0x8400_0008, 0x8400_0009, 0x8400_0012, 0xC400_0012), 2),  # SYSTEM_*
    0x8400_000A: 4,  # PSCI_FEATURES
    **dict.fromkeys((0, 0x8400_00FF, 0xC200_0000), 2),  # nobody's
    0x95C1_BA60: 2,  # CPU_ON of PSCI 0.1
    **dict.fromkeys((0x8400_0002, 0xC400_0001), 0.05),  # CPU_OFF, CPU_SUSPEND
}
"""Functions that a guest calls, with weights. CPU_OFF and CPU_SUSPEND are rare: each costs
a KVM leg the whole time limit of a run."""


def _constant(register: int, value: int) -> list[Insn]:
    """Code that loads a 32-bit constant."""
    return [insn("movz", register, value & 0xFFFF), insn("movk", register, value >> 16, 1)]


def hypercall(rng: random.Random) -> list[Insn]:
    """A call of the hypervisor with plausible arguments."""
    function = rng.choices(list(_FUNCTIONS), list(_FUNCTIONS.values()))[0]
    first = rng.choice((0, 1, 1, 2, 9))
    if function == 0x8400_000A:
        first = rng.choice(list(_FUNCTIONS))
    code = [*_constant(0, function), *_constant(1, first)]
    code += [insn("movz", 2, rng.choice((0, 0, 1, 3, 4, 0x1000)))]
    return [*code, insn("movz", 3, rng.randrange(1 << 16)), insn("hvc", 0)]


def _predicate(rng: random.Random) -> list[Insn]:
    form = FORMS.get("ptrue")
    return [random_insn(rng, form)] if form else []


def random_run(rng: random.Random, vcpu: int, *, el2: bool = False) -> Op:
    """A run of a random program, sometimes by a host thread with vector state; `el2`: for a
    vcpu that has EL2."""
    program = random_program(rng)
    if el2:
        program = generate_el2.program(rng, program, MAX_PROGRAM)
    if rng.random() < 0.04:
        return HostRun(vcpu, HOST_VLS.draw(source(rng)), program)
    return Run(vcpu, 1 if rng.random() < 0.03 else 0, program)


EL2_SHARE = 0.05
"""Lives of vcpus with EL2, among all. Elsewhere than on nested legs their INIT is refused."""


_FILLS = tuple(regs.Z_IDS) + tuple(regs.P_IDS) + (regs.REGISTERS["ffr"].id,)
_CONTROLS = tuple(
    regs.REGISTERS[name].id for name in ("zcr_el1", "cpacr_el1", "fpcr", "fpsr", "ffr", "pstate")
)


def fill_registers(rng: random.Random, vcpu: int, sve: bool = True) -> list[Op]:
    """Give some vector and control registers interesting contents."""
    ops: list[Op] = []
    for _ in range(rng.randrange(5)):
        if rng.random() < 0.7:
            reg = rng.choice(_FILLS if sve else regs.V_IDS)
            value = Pattern("noise", rng.randrange(1 << 16)) if rng.random() < 0.5 else _value(rng)
            if sve and reg not in regs.Z_IDS and rng.random() < 0.6:
                value = Pattern("ones", rng.randrange(257))
        else:
            reg = rng.choice(_CONTROLS)
            value = _pstate(rng) if reg == _PSTATE else _value(rng)
        ops.append(SetReg(vcpu, reg, value))
    return ops


_RARE = tuple(
    row.id
    for row in regs.REGISTERS.values()
    if row.kind not in ("z", "p", "v") and row.id not in regs.X_IDS
)
_ID_REGS = tuple(row.id for row in regs.REGISTERS.values() if row.kind == "id")
_STOPS_JUDGING = (regs.REGISTERS["sctlr_el1"].id, regs.REGISTERS["pstate"].id)
_MP_STATES = (0, 5, 10, 1, 11)
_ID_VALUES = tuple(Pattern("int", n) for n in (0, 1, 1 << 32, 1 << 24, 0x11, (1 << 64) - 1))


_PSTATE = regs.REGISTERS["pstate"].id
_MODES = (0x0, 0x4, 0x5, 0x5, 0x8, 0x9, 0xC, 0xD, 0x1, 0x6)
_AARCH32_MODES = (0x10, 0x11, 0x13, 0x16, 0x1F)


def _pstate(rng: random.Random) -> Pattern:
    """A mode with interrupts masked, and sometimes the flags."""
    mode = rng.choice(_MODES if rng.random() < 0.93 else _AARCH32_MODES)
    return Pattern("int", rng.choice((0, 0, rng.randrange(16))) << 28 | 0x3C0 | mode)


def _malformed(rng: random.Random) -> int:
    """A register id that is nearly right: another size, slice, coprocessor, index or half."""
    reg = rng.choice((*_RARE, *_FILLS[:2], regs.X_IDS[3], regs.V_IDS[5], regs.VLS_ID))
    change = rng.randrange(5)
    if change == 0:
        return reg & ~(0xF << 52) | rng.randrange(16) << 52
    if change == 1:
        return reg ^ 1 << rng.randrange(5)
    if change == 2:
        return reg + rng.choice((1, 2, 0x20, 0xD6, 0x100))
    return reg ^ 1 << (rng.randrange(16) if change == 3 else rng.randrange(28, 64))


def probe_registers(rng: random.Random, vcpu: int) -> Iterator[Op]:
    """Accesses to the registers, ids and buffers that ordinary lives rarely meet."""
    for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
        kind = rng.randrange(8)
        edge = rng.choice((0, 4, 16, 32, 64, 200)) if rng.random() < 0.2 else None
        if kind == 0:
            reg = rng.choice(_ID_REGS)
            yield GetReg(vcpu, reg)
            yield SetReg(vcpu, reg, rng.choice(_ID_VALUES))
        elif kind == 1:
            reg = _malformed(rng)
            yield GetReg(vcpu, reg, edge) if rng.random() < 0.8 else SetReg(vcpu, reg, _value(rng))
        elif kind == 2:
            yield SetReg(vcpu, rng.choice((*_FILLS, regs.VLS_ID)), _value(rng), edge)
        elif kind == 3:
            yield SetReg(vcpu, _PSTATE, _pstate(rng))
        elif kind == 5:
            yield RegList(vcpu, rng.choice((1024, 1024, 0, 93)))
        elif kind == 4:
            yield SetMp(vcpu, rng.choice(_MP_STATES))
            yield GetMp(vcpu)
            if rng.random() < 0.7:
                yield SetMp(vcpu, 0)
        else:
            reg = rng.choice(_RARE)
            if rng.random() < 0.4 and reg not in _STOPS_JUDGING:
                yield SetReg(vcpu, reg, _value(rng), edge)
            yield GetReg(vcpu, reg, edge)


def _value(rng: random.Random) -> Pattern:
    return _VALUE.draw(source(rng))


def _host_like_vqs(rng: random.Random) -> int:
    """All lengths up to one of them; sometimes none, too many, or a set with holes."""
    roll = rng.random()
    if roll < 0.9:
        return (1 << rng.randrange(1, 17)) - 1
    return rng.choice((0, (1 << 17) - 1, 1 << 40 | 1, rng.randrange(1 << 16)))


def _early_probe(rng: random.Random, vcpu: int) -> Op:
    """An access to the vector lengths before FINALIZE, in a buffer that may end early."""
    edge = rng.choice((None, 0, 8, 63, 64))
    if rng.random() < 0.5:
        return GetReg(vcpu, regs.VLS_ID, edge)
    return SetReg(vcpu, regs.VLS_ID, Pattern("int", _host_like_vqs(rng) & (1 << 64) - 1), edge)


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
    call = [*_constant(0, _AFFINITY_INFO), insn("movz", 1, 1), insn("movz", 2, 0), insn("hvc", 0)]
    call = call if rng.random() < 0.3 else []
    call += [*_constant(0, _CPU_ON), *_constant(1, 1), insn("movz", 2, 0x2000), insn("hvc", 0)]
    program = (*random_program(rng, 2)[: MAX_PROGRAM - len(call)], *call)
    later: list[Op] = [Run(0, 0, program), rng.choice((ReadAll(1), random_run(rng, 1)))]
    at = rng.randrange(1, len(ops) + 1)
    ops[at:at] = [*setup, *later, ReadAll(1)]


def _disturb(rng: random.Random, ops: list[Op], features: int) -> None:
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


def random_case(rng: random.Random) -> Case:
    """A life of one vcpu, sometimes two, with a few ops that do not belong."""
    vcpu = 0
    sve = rng.random() < 0.9
    ops: list[Op] = [CreateVcpu(vcpu)]
    features = FEATURE_SVE if sve else PSCI_0_2
    if rng.random() < 0.3:
        features |= PSCI_0_2
    if rng.random() < 0.15:
        features = fields_of(Init)[1].domain.draw(source(rng))
    if rng.random() < EL2_SHARE:
        features = generate_el2.features(rng, features)
    el2 = bool(features & generate_el2.HAS_EL2)
    ops.append(Init(vcpu, features))
    if sve and rng.random() < 0.5:
        ops.append(SetVls(vcpu, _host_like_vqs(rng)))
    if rng.random() < 0.05:
        ops.append(_early_probe(rng, vcpu))
    if sve:
        ops.append(Finalize(vcpu))
    if rng.random() < 0.2:
        ops.append(WriteMem(_DATA + 0x4000, _value(rng), 256))
    for _ in range(rng.randrange(1, 4)):
        ops += fill_registers(rng, vcpu, sve)
        ops += probe_registers(rng, vcpu)
        if el2:
            ops += generate_el2.controls(rng, vcpu)
        if rng.random() < 0.9:
            ops.append(random_run(rng, vcpu, el2=el2))
        if el2:
            ops += generate_el2.look(rng, vcpu)
        roll = rng.random()
        if roll < 0.6:
            ops.append(ReadAll(vcpu))
        elif roll < 0.75:
            ops.append(GetReg(vcpu, rng.choice(_FILLS)))
        elif roll < 0.85:
            ops.append(ReadMem(_DATA + 0x4000, 512))
        elif roll < 0.92:
            again = features if rng.random() < 0.7 else features ^ 1 << rng.randrange(8)
            ops.append(Init(vcpu, again))
    _disturb(rng, ops, features)
    if not isinstance(ops[-1], ReadAll):
        ops.append(ReadAll(vcpu))
    return Case(tuple(ops[-MAX_OPS:] if len(ops) > MAX_OPS else ops))
