"""Cases cut down to what is disturbed: in the same time more of them run."""

from __future__ import annotations

from dataclasses import replace

from corpus.blocks import has_block
from corpus.case import MAX_OPS, Case
from corpus.ops import (
    CreateVcpu,
    GetEvents,
    GetMp,
    GetReg,
    GetVls,
    HostRun,
    Op,
    PreferredTarget,
    ReadAll,
    ReadMem,
    RegList,
    Run,
)

_LEFT_OUT = (
    *(GetEvents, GetMp, GetReg, GetVls, PreferredTarget, ReadAll, ReadMem, RegList),
    *(HostRun, Run),
)
"""What looks, and what runs: both are dear, and few defects need them before they are met."""


def concise(case: Case) -> Case:
    """What sets things up for the first block, that block, and a look at each vcpu; the case as
    it is where there is no block."""
    at = next((index for index, op in enumerate(case.ops) if has_block(op)), None)
    if at is None:
        return case
    block = case.ops[at]
    assert has_block(block)
    before = [op for op in case.ops[:at] if not isinstance(op, _LEFT_OUT)]
    slots = dict.fromkeys(op.vcpu for op in before if isinstance(op, CreateVcpu))
    looks: list[Op] = [ReadAll(slot) for slot in slots]
    ops = (*before, *case.ops[at : at + 1 + block.span], *looks)
    return replace(case, ops=ops[:MAX_OPS])
