"""Instructions that few machines have: drawn for these alone, and then about as often as others."""

from __future__ import annotations

import random
from collections import Counter

from corpus.case import Case
from corpus.isa.sve21_pred import GROUP
from corpus.isa.system import ANY
from corpus.isa.table import COMMON, FORMS, draw_insn, insn, parse_insn
from corpus.isa.unallocated import NEWER
from corpus.ops import Run
from corpus.stream import Source
from fuzz.generate import random_case
from fuzz.generate.newer import BESIDE, SHARE, code, share, with_newer
from fuzz.report.disassemble import disassemble
from fuzz.suites.isa import suite
from targets.profile import Profile

CASES = [random_case(random.Random(n)) for n in range(400)]
HAVING, LACKING = Profile(), Profile(lacks=frozenset({NEWER}))


def programs(case: Case) -> list[str]:
    return [each.form.name for op in case.ops if isinstance(op, Run) for each in op.program]


def count_newer(cases: list[Case]) -> int:
    return sum(FORMS[name].cap == NEWER for case in cases for name in programs(case))


def test_they_are_drawn_for_machines_that_have_them() -> None:
    assert share([]) == share([LACKING]) == 0
    assert share([HAVING]) == 1
    assert share([HAVING, LACKING, LACKING, HAVING]) == BESIDE < 0.1


def test_without_such_a_machine_none_is_drawn() -> None:
    assert count_newer(CASES) == 0
    assert all(with_newer(case, 0) is case for case in CASES)
    rng = random.Random(1)
    drawn = [draw_insn(Source(rng.randbytes(64))) for _ in range(3000)]
    assert all(each.form.name in COMMON for each in drawn)


def test_their_share_is_that_of_their_forms() -> None:
    changed = [with_newer(case, 1) for case in CASES]
    vectors = sum(FORMS[n].cap in ("sve", "sve2") for case in CASES for n in programs(case))
    newer = count_newer(changed)
    assert 0.6 * SHARE < newer / vectors < 1.6 * SHARE
    assert 0.1 < SHARE < 0.2
    half = count_newer([with_newer(case, 0.5) for case in CASES])
    assert 0.3 * newer < half < 0.7 * newer


def test_the_same_case_always_becomes_the_same_and_has_no_more_the_next_time() -> None:
    for case in CASES[:100]:
        once = with_newer(case, 1)
        assert once == with_newer(case, 1)
        if once != case:
            assert with_newer(once, 1) is once


def test_each_form_is_drawn_sooner_or_later() -> None:
    rng = random.Random(2)
    forms = [form for form in FORMS.values() if form.cap == NEWER]
    read: Counter[bool] = Counter()
    for form in forms:
        for _ in range(12):
            made = code(rng, form)
            assert made[-1].form is form
            names = [operand.name for operand in form.operands]
            if "pn" in names[1:] and made[-1].args[names.index("pn")] >= 8:
                before = [each for each in made if each.form.name not in COMMON][:-1]
                counter = made[-1].args[names.index("pn")]
                read[any(each.args[0] == counter for each in before)] += 1
    assert read[True] > read[False] > 0, "most counters that are read were made before"


def test_the_suite_gives_counters_to_what_reads_them() -> None:
    forms = [form for form in FORMS.values() if form.group == GROUP]
    cases = [tested.case for tested in suite(random.Random(3), forms, (2,), 2)]
    assert sum(count_newer([case]) for case in cases) >= 2 * len(forms)
    assert insn("ptrue_pn", 8, 0).format() == "ptrue pn8.b"


def test_what_capstone_does_not_know_is_disassembled_by_the_table() -> None:
    program = [parse_insn("faddqv v1.4s, p0, z2.s"), parse_insn("rdvl x0, #1"), insn(ANY, 0)]
    texts = [line.split("  ", 1)[1] for line in disassemble(program)]
    assert texts == ["faddqv v1.4s, p0, z2.s", "rdvl x0, #1", "udf #0"]
