"""Accesses to registers by class, and what each kind of access does to a buffer or an id."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from corpus import registers as regs
from corpus.isa.pauth import KEY_ENABLES
from corpus.ops import GetReg, Op, SetReg
from corpus.values import Pattern
from fuzz.generate.facts import CONTROLS, LENGTHS, class_of
from fuzz.generate.registers import FILLS, draw_value, malformed, random_pstate
from targets.spec.vcpu import RESET_SYSREGS, SCTLR_RESET

Maker: TypeAlias = Callable[[random.Random, int], list[Op]]
"""Draws a call and what belongs to it; the number is that of a register."""
Row: TypeAlias = tuple[tuple[str, bool], Maker]
"""A class of call, whether it fails, and what draws it."""

STOPS_JUDGING = frozenset({"sctlr_el1"})
"""Registers after whose SET to anything a run is not judged."""

HIDDEN = frozenset(
    row.name
    for row in regs.REGISTERS.values()
    if row.kind == "sysreg" and row.name not in RESET_SYSREGS
)
BY_CLASS: dict[str, list[regs.Register]] = {}
"""Registers by what KVM and the specification treat alike."""
for _register in regs.REGISTERS.values():
    BY_CLASS.setdefault(class_of(_register.id), []).append(_register)


def value_for(rng: random.Random, name: str) -> Pattern:
    """Contents for a register: what its class makes of them, single bits, or anything."""
    roll = rng.random()
    if name in CONTROLS and name != "pstate" and roll < 0.7:
        bits = CONTROLS[name]
        return Pattern("int", sum(rng.sample(bits, rng.randrange(1, len(bits) + 1))))
    if name == "pstate":
        return random_pstate(rng)
    if name == "sctlr_el1":
        enables = sum(bit for bit in KEY_ENABLES.values() if rng.random() < 0.8)
        return Pattern("int", SCTLR_RESET | enables)
    if roll < 0.3:
        return Pattern("noise", rng.randrange(1 << 16))
    if roll < 0.5:
        return Pattern("int", 1 << rng.randrange(64))
    if roll < 0.65:
        return Pattern("ones", rng.randrange(1, 257))
    return draw_value(rng)


def _edge(rng: random.Random, reg: int) -> int:
    """How much of a buffer for a register is mapped: around each size, and each length."""
    size = min(regs.size_of(reg), 256)
    around = (0, 1, size // 2, size - 1, 16 * rng.choice(LENGTHS), 2 * rng.choice(LENGTHS))
    return min(max(0, rng.choice(around) + rng.choice((0, 0, -1, 1))), size - 1)


def _row(rows: Sequence[regs.Register], number: int) -> regs.Register:
    return rows[number % len(rows)]


def accesses() -> Iterator[Row]:
    """GETs and SETs of each class, and whether a vcpu with SVE refuses them."""
    for name, rows in BY_CLASS.items():
        fails = name in HIDDEN or name == "v"

        def get(_: random.Random, number: int, rows: list[regs.Register] = rows) -> list[Op]:
            return [GetReg(0, _row(rows, number).id)]

        def put(rng: random.Random, number: int, rows: list[regs.Register] = rows) -> list[Op]:
            row = _row(rows, number)
            return [SetReg(0, row.id, value_for(rng, row.name))]

        yield (f"get {name}", fails), get
        yield (f"set {name}", fails or name in ("vls", "id")), put


def faulting(kind: type[GetReg | SetReg], name: str) -> Maker:
    """Accesses to a class whose buffer ends early."""
    rows = BY_CLASS[name]

    def make(rng: random.Random, number: int) -> list[Op]:
        row = _row(rows, number)
        edge = _edge(rng, row.id)
        if kind is GetReg:
            return [GetReg(0, row.id, edge)]
        return [SetReg(0, row.id, value_for(rng, row.name), edge)]

    return make


def _with(draw: Callable[[random.Random], int]) -> tuple[Maker, Maker]:
    """GET and SET of a register id that is drawn."""
    return (
        lambda rng, _: [GetReg(0, draw(rng))],
        lambda rng, _: [SetReg(0, draw(rng), draw_value(rng))],
    )


_CORE_IDS = tuple(row.id for row in regs.REGISTERS.values() if row.kind == "core")
MALFORMED = tuple(
    map(
        _with,
        (
            malformed,
            lambda rng: rng.choice(FILLS) | rng.randrange(1, 32),
            lambda rng: rng.choice(_CORE_IDS) + rng.choice((1, 1, 2, 3)),
            lambda rng: rng.choice((*FILLS, *_CORE_IDS)) ^ 1 << rng.randrange(56, 64),
        ),
    )
)
"""Ids that are nearly right: of any kind, of a slice, within a core register, of no arm64 vcpu."""
