"""Drawn programs: what the vcpu can execute, with results that stay to be seen."""

from __future__ import annotations

import random

import pytest

from corpus.isa.form import Insn
from corpus.isa.table import FORMS, insn
from corpus.ops import Run
from corpus.text import parse_case
from fuzz.generate.mutate import fresh
from fuzz.generate.pairs import Pairs
from fuzz.generate.programs import random_insn
from fuzz.generate.reached import KEPT, reached
from fuzz.generate.results import Results
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec import run
from targets.spec.cpu import BASE_CAPS, FP_CAPS, Cpu

(RUN,) = parse_case(
    """run v0 {
    ptrue p0.b, all
    fadd d0, d1, d2
    msr zcr_el1, x0
    msr tpidr_el1, x0
    mrs x1, cpacr_el1
    msr tpidr_el0, x0
    paciasp
    hvc #0
    nop
}
"""
).ops
assert isinstance(RUN, Run)
CODE = RUN.program
DRAWS = 400


def _left(sve: bool, pauth: bool, at_el0: bool) -> list[set[int]]:
    """Which instructions stayed, draw by draw."""
    rng = random.Random(3)
    found = []
    for _ in range(DRAWS):
        code = reached(rng, CODE, sve=sve, pauth=pauth, at_el0=at_el0)
        assert code == [each for each in CODE if each in code]
        found.append({CODE.index(each) for each in code})
    return found


@pytest.mark.parametrize(
    ("sve", "pauth", "at_el0", "gone"),
    [
        (True, True, False, set()),
        (False, True, False, {0, 2}),
        (True, False, False, {6}),
        (True, True, True, {2, 3, 4, 7}),
        (False, False, True, {0, 2, 3, 4, 6, 7}),
    ],
)
def test_what_would_end_a_run_at_once_is_mostly_left_out(
    sve: bool, pauth: bool, at_el0: bool, gone: set[int]
) -> None:
    every = set(range(len(CODE)))
    found = _left(sve, pauth, at_el0)
    assert {frozenset(one) for one in found} == {frozenset(every), frozenset(every - gone)}
    if gone:
        share = sum(one == every for one in found) / DRAWS
        assert abs(share - KEPT) < 0.06


def test_no_vector_unit_but_svees_own_is_left_out() -> None:
    rng = random.Random(1)
    code = [random_insn(rng, form) for form in FORMS.values()]
    left = min((reached(rng, code, sve=False, pauth=True, at_el0=False) for _ in range(9)), key=len)
    names = {each.form.name for each in left}
    plain = {f.name for f in FORMS.values() if f.cap in BASE_CAPS | FP_CAPS}
    assert names in (plain, plain - {"msr"}, plain - {"mrs"}, plain - {"mrs", "msr"})


def test_results_go_where_none_is_yet() -> None:
    rng, results = random.Random(2), Results()
    form = FORMS["add_zz"]
    written: list[int] = []
    for _ in range(28):
        drawn = random_insn(rng, form)
        kept = results.spared(rng, drawn)
        assert (kept.form, kept.args[1:]) == (drawn.form, drawn.args[1:])
        if drawn.args[0] not in written:
            assert kept == drawn
        written.append(kept.args[0])
    by_chance = 32 * (1 - (1 - 1 / 32) ** 28)
    assert len(set(written)) > by_chance + 2
    for number in range(32):  # and where all are taken, over another
        results.spared(rng, Insn(form, (number, 0, 0, *drawn.args[3:])))
    assert results.spared(rng, drawn) == drawn


def test_addresses_and_stores_stay_where_they_are() -> None:
    rng, results = random.Random(2), Results()
    for each in (insn("movz", 3, 1), insn("str_z", 3, 1, 0), insn("nop"), insn("add_imm", 3, 3, 1)):
        for _ in range(20):
            assert results.spared(rng, each) == each


@pytest.mark.long
def test_most_drawn_instructions_are_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each op counts once, by the last of the ways that its run was tried."""
    counted: dict[int, tuple[int, int]] = {}
    right, step = run._execute, run._step_outlived
    executed = 0

    def counting(cpu: Cpu, each: Insn) -> None:
        nonlocal executed
        step(cpu, each)
        executed += 1

    def execute(cpu: Cpu, program: tuple[Insn, ...]) -> run.Ended:
        nonlocal executed
        executed = 0
        try:
            return right(cpu, program)
        finally:
            counted[id(program)] = min(executed, len(program)), len(program)

    monkeypatch.setattr(run, "_step_outlived", counting)
    monkeypatch.setattr(run, "_execute", execute)
    rng, pairs, leg = random.Random(7), Pairs(), ModelTarget(Profile())
    done = drawn = 0
    for _ in range(300):
        case = fresh(rng, pairs)
        pairs.add(case, leg.run(case))
        done += sum(a for a, _ in counted.values())
        drawn += sum(b for _, b in counted.values())
        counted.clear()
    assert done / drawn > 0.75
