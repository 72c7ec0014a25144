"""Guests that stay in the kernel for long enough to meet what goes on beside them."""

from __future__ import annotations

import random
from dataclasses import replace

from corpus.fields import MAX_PROGRAM
from corpus.isa.form import Insn
from corpus.isa.system import HVC_LOOP, UNDEF_LOOP
from corpus.isa.table import insn
from corpus.ops import HostRun, Run

ROUNDS = (5, 20, 50, 100)
"""How often a guest calls its hypervisor. Without VHE a call is dear in the lab: QEMU forgets its
translations of addresses."""
CALL_NS = 50_000
"""What a call takes in the lab, about."""

CALLS_SHARE = 0.8
"""How many loops are of calls; in the others KVM has the guest take exceptions."""


def staying(rng: random.Random, run: Run | HostRun) -> tuple[Run | HostRun, int]:
    """The run with a loop in it, mostly at its end, and how often that goes round."""
    loop = rng.choice(ROUNDS)
    program: list[Insn] = list(run.program[: MAX_PROGRAM - 1])
    place = len(program) if rng.random() < 0.7 else rng.randrange(len(program) + 1)
    form = HVC_LOOP if rng.random() < CALLS_SHARE else UNDEF_LOOP
    program.insert(place, insn(form, loop))
    if isinstance(run, Run):
        run = replace(run, immediate=0)
    return replace(run, program=tuple(program)), loop
