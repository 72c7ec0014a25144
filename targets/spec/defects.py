"""Going on behind a leg's known defects: what they can spoil becomes unknown."""

from __future__ import annotations

from collections.abc import Callable

from corpus.isa.form import Args, Insn
from corpus.isa.operands import names_sp
from corpus.isa.pauth import ALL_ENABLES
from corpus.kept import Effect
from targets.spec.cpu import FPSR_STATEFUL, Cpu
from targets.spec.errors import UNDEFINED, Decides, GuestException, KnownDefect, Unpredictable
from targets.spec.sets import Set, join, unknown
from targets.spec.tags import plain


def worst(cpu: Cpu, effects: frozenset[Effect], insn: Insn) -> Effect | None:
    """The worst effect that the defects of an instruction have here and now, if any."""
    here = set(effects)
    for conditional, holds, then in (
        (Effect.MODES, not cpu.fpcr_plain(), Effect.RESULT),
        (Effect.INPLACE, _reads_its_destination(insn), Effect.RESULT),
        (Effect.ODD, cpu.vl // 16 % 2 == 1, Effect.RESULT),
        (Effect.UNEVEN, cpu.vl & cpu.vl - 1 != 0, Effect.RESULT),
        (Effect.UNKEYED, not _has_a_key(cpu), Effect.RESULT),
        (Effect.SHORT, cpu.vl == 16, Effect.STOP),
        (Effect.TAGS, bool(cpu.vcpu.tagged), Effect.TAGS),
        (Effect.STACK, cpu.el == 2 and cpu.is_with_sp_el0(), Effect.STOP),
        (Effect.SP_TAG, bool(cpu.vcpu.tagged) and not cpu.checks, Effect.STOP),
        (Effect.SP, any(map(names_sp, insn.form.operands, insn.args)), Effect.STOP),
    ):
        if conditional in here:
            here.remove(conditional)
            here |= {then} if holds else set()
    return max(here, key=lambda effect: effect.rank, default=None)


def spoiled(cpu: Cpu, effect: Effect, semantic: Callable[..., None], insn: Insn) -> None:
    """Execute an instruction that the leg is known to get wrong. Raises Unpredictable."""
    args = insn.args
    if effect is Effect.STOP:
        raise KnownDefect(cpu.rule)
    if effect is Effect.TAGS:
        _checked_at_first(cpu, semantic, args)
        return
    vcpu = cpu.vcpu
    before = [list(group) for group in (vcpu.z, vcpu.p, vcpu.x, vcpu.ffr)]
    flags, fpsr = vcpu.core["pstate"], join(vcpu.core["fpsr"])
    try:
        semantic(cpu, *args)
    except GuestException as exception:
        if exception.esr == UNDEFINED:
            raise  # at this vector length there is no result to be wrong
        raise KnownDefect(cpu.rule) from None
    if vcpu.origins.get("ram") == cpu.rule and effect is Effect.RESULT:
        raise Unpredictable(
            f"{cpu.rule}, a known defect of this leg, stored to RAM", Decides.NOTHING
        )
    width = vcpu.vector_bits
    if effect is Effect.TAIL:
        _blur(vcpu.z, before[0], (1 << cpu.vl * 8) - (1 << 128))
    elif effect is Effect.RESULT:
        for group, old, bits in (
            (vcpu.z, before[0], width),
            (vcpu.p, before[1], width // 8),
            (vcpu.x, before[2], 64),
            (vcpu.ffr, before[3], width // 8),
        ):
            _blur(group, old, (1 << bits) - 1)
        if vcpu.core["pstate"] is not flags:
            cpu.set_nzcv(0, 15)
        if "fp" in insn.form.group:
            vcpu.core["fpsr"] = unknown(fpsr[0], fpsr[1] | FPSR_STATEFUL & ~fpsr[0])


_DATA_ABORTS = (0x24, 0x25)
"""Exception classes."""


def _checked_at_first(cpu: Cpu, semantic: Callable[..., None], args: Args) -> None:
    """Execute an instruction of which the leg checks no tag but that of the address it begins at,
    accessed or not. Raises Unpredictable where that matters."""
    cpu.asked = cpu.differs = None
    known = KnownDefect(cpu.rule)
    try:
        semantic(cpu, *args)
    except GuestException as exception:
        if exception.esr >> 26 not in _DATA_ABORTS:
            raise
        if exception.far and plain(cpu.vcpu, exception.far) == cpu.asked == cpu.differs:
            raise
        raise known from None
    if cpu.differs is not None:
        raise known


def _has_a_key(cpu: Cpu) -> bool:
    """Whether SCTLR_ELx certainly enables a key of pointer authentication."""
    sctlr, _ = join(cpu.vcpu.sys[cpu.sctlr])
    return bool(sctlr & ALL_ENABLES)


def _reads_its_destination(insn: Insn) -> bool:
    """Whether a register that it writes is named as a source, too."""
    operands = tuple(zip(insn.form.operands, insn.args, strict=True))
    written = next(((o.name, v) for o, v in operands if o.name[1:2] == "d"), None)
    if written is None:
        return False
    name, number = written
    kinds = _VECTORS if name[0] in _VECTORS else name[0]
    return any(o.name[0] in kinds and o.name[1:] in _SOURCES and v == number for o, v in operands)


_SOURCES = frozenset({"n", "m", "a", "g"})
_VECTORS = "zvbhsdq"
"""First letters of the names by which operands call a vector register."""


def _blur(group: list[Set], old: list[Set], unknown: int) -> None:
    """The `unknown` bits of every register that changed may be anything."""
    for n, candidates in enumerate(group):
        if candidates is not old[n]:
            value, mask = join(candidates)
            group[n] = ((value & ~unknown, mask | unknown),)
