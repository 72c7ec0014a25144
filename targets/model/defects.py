"""Going on behind a leg's known defects: what they can spoil becomes unknown."""

from __future__ import annotations

from collections.abc import Callable

from corpus.expect import Effect
from targets.model.cpu import Cpu
from targets.model.errors import GuestException, Unpredictable
from targets.model.sets import Set, join


def spoiled(cpu: Cpu, effect: Effect, semantic: Callable[..., None], args: tuple[int, ...]) -> None:
    """Execute an instruction that the leg is known to get wrong. Raises Unpredictable."""
    if effect is Effect.STOP:
        raise Unpredictable(f"{cpu.rule} is a known defect of this leg")
    if effect is Effect.MODES:
        if cpu.fpcr_plain():
            semantic(cpu, *args)
            return
        effect = Effect.RESULT
    vcpu = cpu.vcpu
    before = [list(group) for group in (vcpu.z, vcpu.p, vcpu.x, vcpu.ffr)]
    flags = vcpu.core["pstate"]
    try:
        semantic(cpu, *args)
    except GuestException:
        raise Unpredictable(f"{cpu.rule} is a known defect of this leg") from None
    if vcpu.origins.get("ram") == cpu.rule and effect is Effect.RESULT:
        raise Unpredictable(f"{cpu.rule}, a known defect of this leg, stored to RAM")
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


def _blur(group: list[Set], old: list[Set], unknown: int) -> None:
    """The `unknown` bits of every register that changed may be anything."""
    for n, candidates in enumerate(group):
        if candidates is not old[n]:
            value, mask = join(candidates)
            group[n] = ((value & ~unknown, mask | unknown),)
