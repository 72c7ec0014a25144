"""Cases of one fixed shape, and how many of them the model alone can run."""

from __future__ import annotations

import random
import time
from statistics import median

from corpus import registers as regs
from corpus.case import Case
from corpus.isa.table import insn
from corpus.ops import (
    CreateVcpu,
    Finalize,
    GetReg,
    GetVls,
    Init,
    Op,
    ReadAll,
    Run,
    SetReg,
    SetVls,
)
from corpus.values import Pattern
from fuzz.generate import random_program
from targets.model.target import ModelTarget
from targets.profile import Profile

INSTRUCTIONS = 15


def typical_cases(count: int = 200, seed: int = 1) -> list[Case]:
    """Cases of 15 ops, with one run of 15 instructions and vectors of 256 bits."""
    rng = random.Random(seed)
    cases: list[Case] = []
    start = (CreateVcpu(0), Init(0), SetVls(0, 3), Finalize(0))
    length = SetReg(0, regs.REGISTERS["zcr_el1"].id, Pattern("int", 1))
    look = (ReadAll(0), GetReg(0, regs.Z_IDS[0]), GetVls(0))
    while len(cases) < count:
        program = random_program(rng, INSTRUCTIONS)[:INSTRUCTIONS]
        if len(program) < INSTRUCTIONS or program[0] != insn("movz16", 0, 0x33):
            continue  # with the vector units off
        fills = [_fill(rng) for _ in range(6)]
        cases.append(Case((*start, *fills, length, Run(0, 0, program), *look)))
    return cases


def _fill(rng: random.Random) -> Op:
    reg = rng.choice((*regs.Z_IDS, *regs.P_IDS))
    return SetReg(0, reg, Pattern("noise", rng.randrange(1 << 16)))


def model_alone(turns: int = 5) -> float:
    """Typical cases per second of the plain model: the median of `turns` turns."""
    cases, leg = typical_cases(), ModelTarget(Profile())
    rates = []
    for _ in range(turns + 1):  # the first warms up
        began = time.monotonic()
        for case in cases:
            leg.run(case)
        rates.append(len(cases) / (time.monotonic() - began))
    return median(rates[1:])
