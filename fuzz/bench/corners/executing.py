"""Wrong outcomes of instructions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from fuzz.bench.corners.outcomes import flipped
from targets.spec.cpu import NZCV_SHIFT, Cpu
from targets.spec.semantics.registry import Semantic
from targets.spec.sets import Set
from targets.spec.vcpu import Vcpu

Group = list[Set]


@dataclass(frozen=True, slots=True)
class WrongResult:
    """A wrong outcome of an instruction, made of the right one and of what was before."""

    about: str
    change: Callable[[Cpu, tuple[Group, ...]], None]


def _groups(vcpu: Vcpu) -> tuple[Group, ...]:
    return vcpu.z, vcpu.p, vcpu.x, vcpu.ffr


def _written(cpu: Cpu, before: tuple[Group, ...]) -> tuple[Group, int, int] | None:
    """The first register that changed: its group, its number, and the width that the
    instruction sees of it."""
    widths = (8 * cpu.vl, cpu.vl, 64, cpu.vl)
    for now, was, width in zip(_groups(cpu.vcpu), before, widths, strict=True):
        for number, candidates in enumerate(now):
            if candidates is not was[number]:
                return now, number, width
    return None


def _bit(rng: random.Random) -> WrongResult:
    place = rng.random()

    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        found = _written(cpu, before)
        if found:
            group, number, width = found
            group[number] = flipped(group[number], 1 << int(place * width))

    return WrongResult("a bit of its result is wrong", change)


def _lane(rng: random.Random) -> WrongResult:
    place, size = rng.random(), rng.choice((8, 16, 32, 64))

    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        found = _written(cpu, before)
        if found:
            group, number, width = found
            lane = ((1 << min(size, width)) - 1) << int(place * max(1, width // size)) * size
            group[number] = tuple((v & ~lane, m & ~lane) for v, m in group[number])

    return WrongResult(f"a lane of {size} bits of its result is 0", change)


def _lost(_: random.Random) -> WrongResult:
    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        for now, was in zip(_groups(cpu.vcpu), before, strict=True):
            now[:] = was

    return WrongResult("its result is lost", change)


def _beside(rng: random.Random) -> WrongResult:
    place = rng.random()

    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        found = _written(cpu, before)
        if found:
            group, number, width = found
            other = (number + 1) % len(group)
            group[other] = flipped(group[other], 1 << int(place * width))

    return WrongResult("a bit of the register after its result changes", change)


def _tail(_: random.Random) -> WrongResult:
    """Bits from 128 up: kept where the rule clears them, else cleared."""

    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        low = (1 << 128) - 1
        for number, candidates in enumerate(cpu.vcpu.z):
            was = before[0][number]
            if candidates is not was:
                high = was[0][0] & ~low
                if candidates[0][0] & ~low:
                    high = 0
                cpu.vcpu.z[number] = tuple((v & low | high, m & low) for v, m in candidates)

    return WrongResult("bits from 128 up are kept for cleared, or cleared for kept", change)


def _flags(rng: random.Random) -> WrongResult:
    flag = rng.randrange(4)

    def change(cpu: Cpu, before: tuple[Group, ...]) -> None:
        bit = 1 << NZCV_SHIFT + flag
        cpu.vcpu.core["pstate"] = flipped(cpu.vcpu.core["pstate"], bit)

    return WrongResult("a flag changes", change)


_KINDS = (_bit, _lane, _lost, _beside, _tail, _flags)


def draw_wrong_result(rng: random.Random) -> WrongResult:
    """Any of them."""
    return rng.choice(_KINDS)(rng)


def wrongly(
    right: Semantic, wrong: WrongResult, guard: Callable[[Cpu, int | None], bool]
) -> Semantic:
    """An instruction with a wrong outcome where `guard`, asked with the number of its first
    operand, says so."""

    def run(cpu: Cpu, *args: int) -> None:
        if not guard(cpu, args[0] if args else None):
            right(cpu, *args)
            return
        before = tuple(map(list, _groups(cpu.vcpu)))
        right(cpu, *args)
        wrong.change(cpu, before)

    return run
