"""Accesses to registers, and what is written there."""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpus import registers as regs
from corpus.ops import GetMp, GetReg, Op, RegList, SetMp, SetReg
from corpus.values import Pattern, PatternDomain
from fuzz.generate.facts import bits_of
from fuzz.generate.programs import source
from targets.spec.vcpu import OPTIONAL_PSTATE, PSTATE_IL

_VALUE = PatternDomain()


FILLS = tuple(regs.Z_IDS) + tuple(regs.P_IDS) + (regs.REGISTERS["ffr"].id,)
_CONTROLS = tuple(
    regs.REGISTERS[name].id for name in ("zcr_el1", "cpacr_el1", "fpcr", "fpsr", "ffr", "pstate")
)


def fill_registers(rng: random.Random, vcpu: int, sve: bool = True) -> list[Op]:
    """Give some vector and control registers interesting contents."""
    ops: list[Op] = []
    for _ in range(rng.randrange(5)):
        if rng.random() < 0.7:
            reg = rng.choice(FILLS if sve else regs.V_IDS)
            value = (
                Pattern("noise", rng.randrange(1 << 16)) if rng.random() < 0.5 else draw_value(rng)
            )
            if sve and reg not in regs.Z_IDS and rng.random() < 0.6:
                value = Pattern("ones", rng.randrange(257))
        else:
            reg = rng.choice(_CONTROLS)
            value = random_pstate(rng) if reg == _PSTATE else draw_value(rng)
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
MODES_OF_32 = (0x10, 0x11, 0x13, 0x16, 0x1F)
"""PSTATE's modes of AArch32: User, FIQ, Supervisor, Monitor, which KVM refuses, System."""
_MASKS = 0x3C0
_EACH_MASK, _OPTIONAL = bits_of(_MASKS), bits_of(OPTIONAL_PSTATE)


def random_pstate(rng: random.Random) -> Pattern:
    """A mode with interrupts masked, and sometimes the flags and what CPUs have or have not."""
    mode = rng.choice(_MODES if rng.random() < 0.93 else MODES_OF_32)
    value = rng.choice((0, 0, rng.randrange(16))) << 28 | unusual_masks(rng) | mode
    if rng.random() < 0.2:
        value |= rng.choice(_OPTIONAL)
    return Pattern("int", value | PSTATE_IL * (rng.random() < 0.05))


def unusual_masks(rng: random.Random) -> int:
    """D, A, I and F of PSTATE: mostly all, sometimes all but one."""
    return _MASKS ^ (rng.choice(_EACH_MASK) if rng.random() < 0.15 else 0)


def malformed(rng: random.Random) -> int:
    """A register id that is nearly right: another size, slice, coprocessor, index or half."""
    reg = rng.choice((*_RARE, *FILLS[:2], regs.X_IDS[3], regs.V_IDS[5], regs.VLS_ID))
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
            reg = malformed(rng)
            yield (
                GetReg(vcpu, reg, edge)
                if rng.random() < 0.8
                else SetReg(vcpu, reg, draw_value(rng))
            )
        elif kind == 2:
            yield SetReg(vcpu, rng.choice((*FILLS, regs.VLS_ID)), draw_value(rng), edge)
        elif kind == 3:
            yield SetReg(vcpu, _PSTATE, random_pstate(rng))
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
                yield SetReg(vcpu, reg, draw_value(rng), edge)
            yield GetReg(vcpu, reg, edge)


def draw_value(rng: random.Random) -> Pattern:
    """Any contents."""
    return _VALUE.draw(source(rng))


def host_like_vqs(rng: random.Random) -> int:
    """All lengths up to one of them; sometimes none, too many, or a set with holes."""
    roll = rng.random()
    if roll < 0.9:
        return (1 << rng.randrange(1, 17)) - 1
    return rng.choice((0, (1 << 17) - 1, 1 << 40 | 1, rng.randrange(1 << 16)))


def early_probe(rng: random.Random, vcpu: int) -> Op:
    """An access to the vector lengths before FINALIZE, in a buffer that may end early."""
    edge = rng.choice((None, 0, 8, 63, 64))
    if rng.random() < 0.5:
        return GetReg(vcpu, regs.VLS_ID, edge)
    return SetReg(vcpu, regs.VLS_ID, Pattern("int", host_like_vqs(rng) & (1 << 64) - 1), edge)
