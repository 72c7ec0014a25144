"""Guests with stage 1 on: how often they are made, and where their accesses go."""

from __future__ import annotations

import random

import pytest

from corpus.isa.stage1 import PAGE_SIZE, PAGES, STAGE_1_ON
from corpus.isa.system import RETURN_VECTORS
from corpus.isa.table import insn
from corpus.isa.tagged import TAG_CHECKS
from corpus.ops import MTE, EnableCap, HostRun, Run
from fuzz.generate import is_memory, random_case
from fuzz.generate.edges import to_edges
from fuzz.generate.programs import GROUPS, random_program
from fuzz.worker.steering import Steering

DRAWS = 400


def test_a_fair_share_of_cases_has_such_a_guest() -> None:
    rng = random.Random(1)
    runs = [
        op
        for _ in range(300)
        for op in random_case(rng).ops
        if isinstance(op, Run | HostRun) and op.program
    ]
    mapped = sum(any(i.form.name == STAGE_1_ON for i in run.program) for run in runs)
    assert 0.02 < mapped / len(runs) < 0.1


def test_every_group_accesses_each_edge_of_the_data() -> None:
    """Within a vector's length of it, either way."""
    rng = random.Random(2)
    groups, pages, outlive = set(), set(), 0
    for _ in range(DRAWS):
        program = to_edges(rng, random_program(rng, 4))
        assert program[0].form.name == STAGE_1_ON
        outlive += insn(RETURN_VECTORS) in program
        groups |= {i.form.group for i in program if is_memory(i.form)}
        offsets = (i.args[1] for i in program if i.form.name == "lda")
        pages |= {at // PAGE_SIZE for at in offsets if min(at % PAGE_SIZE, -at % PAGE_SIZE) <= 256}
    assert groups == {name for name, forms in GROUPS.items() if any(map(is_memory, forms))}
    assert set(range(len(PAGES) // 2, len(PAGES))) <= pages
    assert DRAWS / 2 < outlive < DRAWS


@pytest.mark.long
def test_only_guests_with_tagged_memory_ask_for_checks_of_it() -> None:
    """Any other comes to no end, and costs a leg the time that a run may take."""
    steering, rng, asks = Steering(0), random.Random(3), 0
    cases = (random_case(rng) if n % 2 else steering.child(0.2) for n in range(800))
    for case in cases:
        tagged = EnableCap(MTE) in case.ops
        for op in case.ops:
            if isinstance(op, Run | HostRun):
                forms = [i.form.name for i in op.program]
                asks += TAG_CHECKS in forms
                assert TAG_CHECKS not in forms or (tagged and STAGE_1_ON in forms)
    assert asks
