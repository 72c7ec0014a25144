"""What lives of vcpus with EL2 hold besides: EL2 registers, and programs that cross levels."""

from __future__ import annotations

import random
from collections.abc import Sequence

from corpus import registers as regs
from corpus.case import Case
from corpus.isa.form import Insn
from corpus.isa.pauth import ALL_ENABLES, ENABLE_KEYS, KEY_ENABLES
from corpus.isa.system import NEEDS_ISB
from corpus.isa.table import FORMS, insn
from corpus.ops import FEATURE_PTRAUTH, GetReg, Init, Op, Run, SetReg
from corpus.values import Pattern
from targets.profile import Profile

HAS_EL2, WITHOUT_VHE = 1 << 7, 1 << 8
SHARE, SHARE_IF_ALL = 0.05, 0.4
"""Lives of vcpus with EL2, among all: where no leg has EL2, which refuses their INIT, and
where every leg has it."""


def share(profiles: Sequence[Profile]) -> float:
    """Lives of vcpus with EL2, among all, for legs on these machines."""
    having = sum(bool(profile.features & HAS_EL2) for profile in profiles)
    return SHARE + (SHARE_IF_ALL - SHARE) * having / max(1, len(profiles))


def all_have(profiles: Sequence[Profile]) -> bool:
    """Whether each machine has EL2 for its vcpus."""
    return all(profile.features & HAS_EL2 for profile in profiles)


_SYS = FORMS["msr"].operands[0].domain
_MODES = FORMS["eret_to"].operands[0].domain
_EL2_MODES = FORMS["eret_el2_to"].operands[0].domain
_ID = {name: regs.REGISTERS[name].id for name in (*regs.EL2_NAMES, "zcr_el1", "cpacr_el1")}
_PSTATE = regs.REGISTERS["pstate"].id

_ON = 0x33 << 16
_ON_WITHOUT_VHE = 0x32FF & ~(1 << 8)
_TCPAC = 1 << 31
_CPTR_HIGH = (*(_ON,) * 7, _ON | _TCPAC, *(n << 16 for n in (0x30, 0x03, 0x11, 0x13, 0)))
"""Values of CPTR_EL2 that MOVZ can make."""
_CPTR = (*_CPTR_HIGH, _ON_WITHOUT_VHE, 0x33FF)
_TGE = 1 << 27
_PTRAUTH_FREE = (1 << 41 | 1 << 40, 1 << 41, 1 << 40)
"""HCR_EL2.API and APK: what does not trap of pointer authentication."""
_HCR = (
    *(0, _TGE, 1 << 34, 1 << 34, 1 << 34 | 1 << 31, 1 << 34 | _TGE | 1 << 31),
    *(1 << 34 | 1 << 31 | free for free in (*_PTRAUTH_FREE, _PTRAUTH_FREE[0])),
)


def features(rng: random.Random, usual: int) -> int:
    """INIT features of a vcpu with EL2."""
    signs = FEATURE_PTRAUTH if rng.random() < 0.4 else 0
    without = WITHOUT_VHE if rng.random() < 0.12 else 0
    return usual & ~FEATURE_PTRAUTH | HAS_EL2 | signs | without


def controls(rng: random.Random, vcpu: int) -> list[Op]:
    """SETs of what governs vectors at both levels, the mode, and a look at some of it."""
    ops: list[Op] = []
    if rng.random() < 0.6:
        ops.append(SetReg(vcpu, _ID["cptr_el2"], Pattern("int", rng.choice(_CPTR))))
    for name in ("zcr_el2", "zcr_el1"):
        if rng.random() < 0.5:
            value = rng.randrange(16) if rng.random() < 0.9 else rng.getrandbits(64)
            ops.append(SetReg(vcpu, _ID[name], Pattern("int", value)))
    if rng.random() < 0.4:
        ops.append(SetReg(vcpu, _ID["cpacr_el1"], Pattern("int", rng.choice((_ON, _ON, 0)))))
    if rng.random() < 0.2:
        ops.append(SetReg(vcpu, _ID["hcr_el2"], Pattern("int", rng.choice(_HCR))))
    if rng.random() < 0.4:
        mode = rng.choice((0x9, 0x9, 0x8, 0x5, 0x5, 0x4, 0x0))
        ops.append(SetReg(vcpu, _PSTATE, Pattern("int", 0x3C0 | mode)))
    return ops


def look(rng: random.Random, vcpu: int) -> list[Op]:
    """GETs of EL2 registers."""
    return [GetReg(vcpu, _ID[name]) for name in regs.EL2_NAMES if rng.random() < 0.4]


def _move(rng: random.Random, register: str, value: int) -> list[Insn]:
    """MSR of a constant that has 16 bits, or 16 bits above 16 zeros; mostly synchronised."""
    first = insn("movz", 0, value) if value < 1 << 16 else insn("movz16", 0, value >> 16)
    synchronised = [insn("isb")] if register in NEEDS_ISB and rng.random() < 0.9 else []
    return [first, insn("msr", _SYS.parse(register), 0), *synchronised]


def prelude(rng: random.Random) -> list[Insn]:
    """Code for EL2 that prepares EL2, and often EL1, for vectors."""
    code: list[Insn] = []
    if rng.random() < 0.8:
        code += _move(rng, rng.choice(("cpacr_el1", "cptr_el2")), rng.choice(_CPTR_HIGH))
    if rng.random() < 0.6:
        code += _move(rng, rng.choice(("zcr_el1", "zcr_el2")), rng.randrange(16))
    if rng.random() < 0.5:
        code += _move(rng, "cpacr_el12", rng.choice((_ON, _ON, 0x13 << 16, 0)))
    if rng.random() < 0.4:
        code += _move(rng, "zcr_el12", rng.randrange(16))
    if rng.random() < 0.05:
        code += _move(rng, "hcr_el2", rng.choice((0, _TGE)))
    if rng.random() < 0.15:
        free = rng.choice(_PTRAUTH_FREE)
        code += [insn("movz", 0, 0), insn("movk", 0, free >> 32, 2)]
        code.append(insn("msr", _SYS.parse("hcr_el2"), 0))
    return code


def host_prelude(rng: random.Random) -> list[Insn]:
    """Code for EL2 that makes EL0 its own and goes there, with vectors set up for it."""
    code = [
        *_move(rng, "hcr_el2", _TGE),
        *_move(rng, "cptr_el2", rng.choice((_ON, _ON, 0x31 << 16))),
    ]
    for name in ("zcr_el2", "zcr_el12"):
        if rng.random() < 0.7:
            code += _move(rng, name, rng.randrange(16))
    if rng.random() < 0.5:
        code += _move(rng, "cpacr_el12", rng.choice((_ON, _ON, 0x13 << 16, 0)))
    return [*code, insn("eret_to", _MODES.parse("el0t"))]


def cross(rng: random.Random) -> list[Insn]:
    """A change of level: down by an exception return, or up by HVC."""
    if rng.random() < 0.2:
        return [insn("hvc", rng.choice((0, 1, 0xFFFF)))]
    if rng.random() < 0.5:
        return [insn("eret_to", _MODES.parse(rng.choice(("el1h", "el1h", "el1t", "el0t"))))]
    mode = rng.choice(("el1h", "el1h", "el1t", "el0t", "el2h", "el2t"))
    return [insn("eret_el2_to", _EL2_MODES.parse(mode))]


_NOT_AT_EL0 = ("msr", "eret_to", "eret_el2_to", ENABLE_KEYS)


def program(rng: random.Random, body: tuple[Insn, ...], room: int) -> tuple[Insn, ...]:
    """`body` with EL2 code before it and crossings in it, `room` instructions at most."""
    code = list(body)
    if rng.random() < 0.15:
        # What the body sets up first is UNDEFINED at EL0.
        keys = [i for i in code if i.form.name == ENABLE_KEYS][:1]
        allowed = [i for i in code if i.form.name not in _NOT_AT_EL0]
        return (*keys, *host_prelude(rng), *allowed)[:room]
    if rng.random() < 0.7:
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(code) + 1)
            code[at:at] = cross(rng)
    if rng.random() < 0.7:
        code[:0] = prelude(rng)
    return tuple(code[:room])


def beside(rng: random.Random, case: Case, vq: int) -> Case:
    """A case of one vcpu and one run with EL2, the run at EL2 or below, with vectors of `vq`
    quadwords and, if the vcpu signs, as many keys enabled at EL2 as SCTLR_EL1 enables."""
    ops = list(case.ops)
    at, run = next((n, op) for n, op in enumerate(ops) if isinstance(op, Run))
    first, init = next((n, op) for n, op in enumerate(ops) if isinstance(op, Init))
    without = WITHOUT_VHE if rng.random() < 0.1 else 0
    ops[first] = Init(0, init.features | HAS_EL2 | without)
    values = {"cptr_el2": _ON_WITHOUT_VHE if without else _ON, "zcr_el2": vq - 1}
    program = run.program
    if rng.random() < 0.5:
        free = rng.choice((0, 0, *_PTRAUTH_FREE, _PTRAUTH_FREE[0]))
        values |= {"hcr_el2": 1 << 34 | 1 << 31 | free, "pstate": 0x3C5}
    elif any(insn.form.group == "pauth" for insn in program) and rng.random() < 0.8:
        bits = rng.choice((ALL_ENABLES, ALL_ENABLES, *KEY_ENABLES.values()))
        program = (insn(ENABLE_KEYS, bits), *program)
    sets = [SetReg(0, _ID.get(name, _PSTATE), Pattern("int", v)) for name, v in values.items()]
    return Case((*ops[:at], *sets, Run(0, 0, program), *ops[at + 1 :]), case.min_vq)
