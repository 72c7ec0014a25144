"""Ops that fail, and when: what an earlier call may have returned, and what defects of
failed calls show at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corpus import registers as regs
from corpus.ops import (
    FEATURE_SVE,
    CreateVcpu,
    Finalize,
    GetReg,
    GetVls,
    Init,
    Op,
    RegList,
    Run,
    SetMp,
    SetReg,
    SetVls,
)
from corpus.values import Pattern
from fuzz.bench.corners.recipe import Stage
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Permitted

_NOISE = Pattern("noise", 99)
_ID = {name: row.id for name, row in regs.REGISTERS.items()}

_EARLY: tuple[Op, ...] = (
    *(SetReg(0, _ID["z1"], _NOISE), GetReg(0, _ID["z1"]), SetReg(0, _ID["ffr"], _NOISE)),
    *(RegList(0), Run(0, 0, ()), SetVls(0, 0), SetVls(0, 5), SetVls(0, 1 << 20 | 1)),
    *(Finalize(0, 3), GetReg(0, regs.VLS_ID, 8), SetReg(0, regs.VLS_ID, _NOISE, 8)),
    *(Init(0, FEATURE_SVE, 0), Init(0, FEATURE_SVE | 1 << 5), CreateVcpu(0)),
)
_LATE: tuple[Op, ...] = (
    *(Finalize(0), Finalize(0, 2), Finalize(0, 9), SetVls(0, 1), SetVls(0, 0xFFFF)),
    *(Init(0, FEATURE_SVE, 1), Init(0, FEATURE_SVE | 1 << 6), Init(0, FEATURE_SVE | 1 << 40)),
    *(Init(0, 0), CreateVcpu(0), SetMp(0, 1), SetMp(0, 11), RegList(0, 0), RegList(0, 43)),
    *(SetReg(0, _ID["v3"], _NOISE), GetReg(0, _ID["v3"]), SetReg(0, _ID["z2"] | 1, _NOISE)),
    *(GetReg(0, _ID["z2"] | 1), SetReg(0, _ID["x1"] + 1, _NOISE), GetReg(0, _ID["x1"] + 1)),
    *(SetReg(0, _ID["smcr_el1"], _NOISE), GetReg(0, _ID["svcr"]), GetReg(0, _ID["zcr_el2"])),
    *(SetReg(0, _ID["pstate"], Pattern("int", 0x3C9)), SetReg(0, _ID["pstate"], _NOISE)),
    *(SetReg(0, _ID["z4"], _NOISE, 16), GetReg(0, _ID["z4"], 16), SetReg(0, _ID["x2"], _NOISE, 4)),
    *(GetReg(0, _ID["x2"], 4), SetReg(0, _ID["fpcr"], _NOISE, 0), GetReg(0, _ID["fpsr"], 0)),
    *(SetReg(0, _ID["zcr_el1"], _NOISE, 4), SetReg(0, _ID["p2"], _NOISE, 1)),
    *(SetReg(0, _ID["id_aa64pfr0_el1"], _NOISE), Run(0, 1, ()), GetVls(2), SetReg(2, 0, _NOISE)),
    *(GetReg(0, _ID["x1"] ^ 1 << 60), SetReg(0, _ID["x1"] ^ 1 << 60, _NOISE)),
)


@dataclass(frozen=True, slots=True)
class Failing:
    """An op that fails at a stage of a vcpu's life, with which errno and by which rule."""

    stage: Stage
    op: Op
    err: int
    rule: str


def _answer(stage: Stage, op: Op) -> Permitted:
    """The specification's answer on a vcpu with SVE."""
    model = Model(Profile())
    for before in (CreateVcpu(0), Init(0), *([Finalize(0)] if stage is Stage.LATE else [])):
        model.step(before)
    return model.step(op)


def _failing() -> Iterator[Failing]:
    for stage, ops in ((Stage.EARLY, _EARLY), (Stage.LATE, _LATE)):
        for op in ops:
            permitted = _answer(stage, op)
            if not permitted.anything and permitted.outcomes[0].err:
                yield Failing(stage, op, permitted.outcomes[0].err, permitted.rule)


PROVOKING = tuple(_failing())
