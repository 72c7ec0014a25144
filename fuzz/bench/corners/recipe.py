"""A case put together from what the parts of a guard ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from corpus import registers as regs
from corpus.case import MAX_OPS, Case
from corpus.isa.form import Insn
from corpus.isa.table import FORMS, insn
from corpus.ops import (
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    GetMp,
    GetReg,
    GetVls,
    Init,
    Op,
    ReadAll,
    ReadMem,
    RegList,
    Run,
    SetReg,
    SetVls,
)
from corpus.values import Pattern


class Stage(Enum):
    """How far a vcpu's life has come."""

    NEW = "new"
    EARLY = "initialised"
    LATE = "finalised"


_MSR = FORMS["msr"].operands[0].domain
ENABLE: tuple[Insn, ...] = (
    insn("movz16", 0, 0x33),
    insn("msr", _MSR.parse("cpacr_el1"), 0),
    insn("isb"),
)
"""Guest code that switches its vector units on."""

_ID = {name: row.id for name, row in regs.REGISTERS.items()}
NOISE = Pattern("noise", 4711)
_LOOK_AT = ("tpidr_el1", "sctlr_el1", "vbar_el1", "zcr_el2")
_PSTATE_EL1H = 0x3C5


@dataclass(slots=True)
class Recipe:
    """The ops around the one at which a defect shows. `vqs`: longest vector in quadwords, 0
    to leave it; `site`: makes the op; `needs` is done before it for its sake."""

    stage: Stage
    site: Callable[[Recipe], list[Op]]
    needs: list[Op] = field(default_factory=list)
    features: int = FEATURE_SVE
    vqs: int = 0
    number: int = 0
    value: Pattern = NOISE
    edge: int | None = None
    early: list[Op] = field(default_factory=list)
    held: list[Op] = field(default_factory=list)
    again: int = 0
    setup: list[Op] = field(default_factory=list)
    controls: dict[str, int] = field(default_factory=dict)
    last: list[Op] = field(default_factory=list)
    second: Stage | None = None
    second_ran: bool = False

    def case(self) -> Case:
        """The whole life, with a look at everything at its end."""
        sve = bool(self.features & FEATURE_SVE)
        ops: list[Op] = [CreateVcpu(0)]
        ops += [CreateVcpu(1)] if self.second else []
        if self.stage is not Stage.NEW:
            ops.append(Init(0, self.features))
            ops += [SetVls(0, (1 << self.vqs) - 1)] if self.vqs else []
        ops += self.early
        if self.stage is Stage.LATE:
            ops += [Finalize(0)] if sve else []
            if self.held or self.again:
                ops += [*self.held, *[Init(0, self.features)] * max(1, self.again)]
            ops += self._second(sve)
        ops += [*self.setup, *self._controls(), *self.needs, *self.last, *self.site(self)]
        if self.stage is Stage.NEW:
            ops += [Init(0, self.features)]
        if self.stage is not Stage.LATE and sve:
            ops += [GetVls(0), Finalize(0)]
        ops += [ReadAll(0), GetVls(0), GetMp(0), RegList(0), ReadMem(0xC000, 512)]
        ops += [GetReg(0, _ID[name]) for name in _LOOK_AT]
        ops += [ReadAll(1)] if self.second else []
        ops += [Run(0, 0, ENABLE), ReadAll(0)]
        return Case(tuple(ops[:MAX_OPS]))

    def _second(self, sve: bool) -> list[Op]:
        if self.second in (None, Stage.NEW):
            return []
        ops: list[Op] = [Init(1, self.features)]
        if self.second is Stage.LATE and sve:
            ops.append(Finalize(1))
        return [*ops, *([Run(1, 0, ())] if self.second_ran else [])]

    def _controls(self) -> list[Op]:
        values = dict(self.controls)
        if "pstate" in values:
            values["pstate"] ^= _PSTATE_EL1H
        return [SetReg(0, _ID[name], Pattern("int", n)) for name, n in values.items()]


def set_named(name: str, value: int | Pattern) -> SetReg:
    """SET of a register by name."""
    pattern = value if isinstance(value, Pattern) else Pattern("int", value)
    return SetReg(0, _ID[name], pattern)
