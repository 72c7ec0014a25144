"""Cases in which two vcpus run at once: what they are made of, and that they are judged."""

from __future__ import annotations

import random
from collections.abc import Iterator

from test_orders import MACHINE, history

from corpus.case import MAX_OPS, Case, decode
from corpus.isa.system import HVC_LOOP, LOOPS, MMIO_LOOP, SPIN_LOOP
from corpus.ops import CreateVcpu, Disturb, Finalize, GetMp, Init, ReadAll, Run, SetVls, Threads
from corpus.text import parse_case
from corpus.wire import OTHER_SLOT, Stranger
from fuzz.generate.mutate import fresh
from fuzz.generate.staying import staying
from fuzz.generate.strangers import Beside, accompanied
from fuzz.generate.together import together
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.spec.errors import Unpredictable

LIFE = (
    "create v0\ninit v0 features=sve\nfinalize v0\nrun v0 {\nlda x1, ram+0xc000\nhvc #0\nisb\n}\n"
)


def pairs(case: Case) -> Iterator[tuple[int, Run, Run]]:
    """Where two vcpus run at once, and how."""
    for at, op in enumerate(case.ops):
        if isinstance(op, Threads) and 0 < op.first < op.span:
            mine, its = case.ops[at + 1], case.ops[at + 1 + op.first]
            if isinstance(mine, Run) and isinstance(its, Run):
                yield at, mine, its


def test_a_second_vcpu_gets_a_life_and_a_run_of_its_own() -> None:
    rng = random.Random(1)
    plain = parse_case(LIFE)
    told = [together(rng, plain) for _ in range(60)]
    for case in told:
        ((at, mine, its),) = pairs(case)
        assert mine.vcpu == 0 != its.vcpu
        assert case.ops[0] == CreateVcpu(its.vcpu)
        kinds = [type(op) for op in case.ops[:at] if getattr(op, "vcpu", None) == its.vcpu]
        assert {CreateVcpu, Init, Finalize} <= set(kinds)
        assert {ReadAll(0), ReadAll(its.vcpu)} <= set(case.ops[at:])
        assert all(insn.form.name != "hvc" for run in (mine, its) for insn in run.program)
        assert all("loop" in str(run.program) for run in (mine, its))
    assert any(isinstance(op, SetVls) for case in told for op in case.ops)
    data = [
        {i.args[1] for i in its.program if i.form.name == "lda"}
        for c in told
        for *_, its in pairs(c)
    ]
    assert {0xA000} in data
    others = {its.vcpu for case in told for *_, its in pairs(case)}
    assert others == {1, 2, OTHER_SLOT}
    where = [its.vcpu for case in told for *_, its in pairs(case)]
    apart = [slot for slot, each in zip(where, data, strict=True) if each == {0xC000}]
    assert set(apart) == {OTHER_SLOT}  # its RAM is its own
    nothing_runs = Case((GetMp(0),))
    assert together(rng, nothing_runs) is nothing_runs


def test_most_of_them_are_judged_to_their_ends() -> None:
    rng = random.Random(3)
    judged = met = 0
    for _ in range(60):
        case = together(rng, fresh(rng, el2_share=0))
        assert len(case.ops) <= MAX_OPS
        for at, *_ in list(pairs(case))[:1]:
            met += 1
            both = case.ops[at]
            assert isinstance(both, Threads)
            try:
                verdict = judge(case, history(case, range(both.span)), MACHINE)
            except Unpredictable:
                continue
            assert isinstance(verdict, Agree)
            judged += verdict.judged > at + 1
    assert met > 45
    assert judged > 0.6 * met


def test_what_goes_on_beside_a_case_begins_within_it() -> None:
    rng = random.Random(4)
    beside = Beside(tuple(Stranger), threads=True)
    for _ in range(300):
        case = accompanied(rng, parse_case(LIFE), beside)
        assert decode(case.encoded) == case


def test_sometimes_there_is_a_stranger_around_them() -> None:
    rng = random.Random(2)
    beside = Beside((Stranger.SIGNAL, Stranger.MOVE), threads=True)
    cases = [accompanied(rng, parse_case(LIFE), beside) for _ in range(400)]
    two = [(case, at) for case in cases for at, *_ in pairs(case)]
    assert 20 < len(two) < 120
    crowded = [op for case, at in two if isinstance(op := case.ops[at - 1], Disturb)]
    assert 0 < len(crowded) < len(two)


def test_loops_that_may_not_end_in_other_modes_are_not_behind_an_exception_return() -> None:
    """A handler is not where the exception goes, or the timer is not the guest's: such a run would
    last its 2 s."""
    rng = random.Random(5)
    *life, run = parse_case(
        "create v0\ninit v0 features=sve\nfinalize v0\nrun v0 {\nisb\neret-to el1t\nisb\n}\n"
    ).ops
    assert isinstance(run, Run)
    before = set()
    for _ in range(400):
        names = [insn.form.name for insn in staying(rng, run, life)[0].program]
        (loop,) = set(names) & LOOPS
        before.add((loop, names.index(loop) < names.index("eret_to")))
    anywhere = {(HVC_LOOP, False), (SPIN_LOOP, False)}
    assert before == {*((loop, True) for loop in LOOPS - {MMIO_LOOP}), *anywhere}
