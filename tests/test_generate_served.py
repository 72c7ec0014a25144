"""Guests that read what KVM serves, in place of other loops: where a machine has that, and where
all of it is judged."""

from __future__ import annotations

import random

import pytest

from corpus.blocks import has_block
from corpus.case import Case
from corpus.isa.system import HVC_LOOP, MMIO_LOOP, WFI_LOOP
from corpus.ops import CreateGic, CreateVcpu, HostRun, Run
from corpus.text import format_case, parse_case
from corpus.wire import OTHER_SLOT, Stranger
from fuzz.generate import random_case
from fuzz.generate.served import SHARE, can_be, with_served, woken
from fuzz.generate.strangers import Beside, accompanied
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree
from targets.model.target import ModelTarget
from targets.profile import Profile

BESIDE = Beside(tuple(Stranger), threads=True)
CASES = [
    accompanied(rng, random_case(rng, 0.05), BESIDE)
    for rng in (random.Random(n) for n in range(600))
]
CHANGED = [(case, changed) for case in CASES if (changed := with_served(case)) != case]
LIFE = "create v0\ninit v0 features=sve\nfinalize v0\n"
RUN = "disturb signal after=5000 {\nrun v0 {\nhvc-loop #20\nwfi-loop #3\n}\n}\n"


def loops(case: Case) -> list[tuple[int, str]]:
    """Slots, and the loops of calls, of waits and of reads that they have."""
    return [
        (op.vcpu, each.form.name)
        for op in case.ops
        if isinstance(op, Run | HostRun)
        for each in op.program
        if each.form.name in (HVC_LOOP, WFI_LOOP, MMIO_LOOP)
    ]


def variants(text: str) -> list[Case]:
    """The case with registers of its own, many times, each with what becomes of it where that is
    something else."""
    cases = [parse_case(text.replace("finalize", f"set v0 x3 {n}\nfinalize")) for n in range(60)]
    return [changed for case in cases if (changed := with_served(case)) != case]


def test_machines_that_have_it_get_it() -> None:
    assert can_be([Profile(gic=False), Profile()])
    assert not can_be([Profile(gic=False), Profile(gic=None)])
    assert not can_be([])


def test_a_fair_share_of_the_cases_with_calls_or_waits_is_changed() -> None:
    having = sum(any(slot != OTHER_SLOT for slot, _ in loops(case)) for case in CASES)
    assert 0.4 * SHARE * having < len(CHANGED) < SHARE * having * 1.1
    for before, after in CHANGED:
        assert len(loops(before)) == len(loops(after))
        for (slot, old), (_, new) in zip(loops(before), loops(after), strict=True):
            assert new == (old if slot == OTHER_SLOT else MMIO_LOOP)
        assert parse_case(format_case(after)) == after


def test_the_controller_is_made_behind_all_vcpus_before_a_run_and_in_no_block() -> None:
    for before, after in CHANGED:
        (at,) = (index for index, op in enumerate(after.ops) if isinstance(op, CreateGic))
        assert len(after.ops) == len(before.ops) + 1
        behind, front = after.ops[at + 1 :], after.ops[:at]
        assert not any(isinstance(op, CreateVcpu) and op.vcpu != OTHER_SLOT for op in behind)
        assert not any(isinstance(op, Run | HostRun) for op in front)
        assert not any(has_block(op) and at <= index + op.span for index, op in enumerate(front))


def test_what_it_becomes_is_judged_no_worse() -> None:
    worse = 0
    for before, after in CHANGED:
        ways = []
        for case in (before, after):
            machine = Profile(strangers=frozenset({"signal", "thread", "step"}), two_vms=True)
            verdict = judge(case, ModelTarget(machine).run(case), machine)
            assert isinstance(verdict, Agree)
            ways.append(len(case.ops) - verdict.judged)
        worse += ways[1] > ways[0]
    assert len(CHANGED) > 30
    assert worse < 0.1 * len(CHANGED)


def test_the_same_case_always_becomes_the_same_and_only_once() -> None:
    for before, after in CHANGED:
        assert with_served(before) == after
        assert with_served(after) is after


@pytest.mark.parametrize(
    "text",
    [
        f"{LIFE}run v0 {{\nhvc-loop #20\n}}\n",
        f"{LIFE}disturb signal after=5000 {{\nrun v0 {{\nspin-loop #20\n}}\n}}\n",
        f"{LIFE}run v0 {{\nnop\n}}\ncreate v1\n{RUN}",
        f"{LIFE}{RUN}migrate v0 to=v2\n",
        f"{LIFE}attr v0 set timer value=0x17\n{RUN}",
        f"{LIFE.replace('sve', 'sve,pmu_v3')}{RUN}",
        f"{LIFE.replace('sve', 'sve,has_el2')}{RUN}",
        f"disturb signal after=5000 {{\n{LIFE}{RUN}}}\n",
        f"create v3\ninit v3\nset v0 x3 0\nfinalize v3\n{RUN.replace('v0', 'v3')}",
    ],
)
def test_where_it_would_not_be_judged_it_is_left_alone(text: str) -> None:
    assert variants(f"{LIFE}{RUN}")
    assert not variants(text)


@pytest.mark.parametrize(
    ("having", "instead"),
    [
        ("init v0\ncreate-gic\n", "mmio-loop #70"),
        ("init v0 features=sve,has_el2\n", "spin-loop #64"),
        ("init v0\nmigrate v0 features=has_el2\n", "spin-loop #64"),
        ("init v0\n", "wfi-loop #70"),
    ],
)
def test_nobody_waits_where_nothing_wakes_him(having: str, instead: str) -> None:
    text = (
        f"create v0\n{having}run v0 {{{{\nhvc-loop #3\n{{}}\n}}}}\nhost-run v0 {{{{\n{{}}\n}}}}\n"
    )
    case = parse_case(text.format("wfi-loop #70", "wfi-loop #70"))
    assert woken(case) == parse_case(text.format(instead, instead))
