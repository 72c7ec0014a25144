"""A case told otherwise comes to the same: what is retold how, and who is found out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from strategies import seeds

from corpus import registers as regs
from corpus.ops import GetReg, Op, Run, SetReg
from corpus.text import format_case, parse_case
from db.records import FindingRecord
from fuzz.followup.otherwise import Otherwise
from fuzz.followup.suspicion import Confirmed, Dropped
from fuzz.generate.lives import random_case
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.selfsame import SET_ORDER, SPLIT_RUN, compare, retellings
from fuzz.oracle.verdict import Diverge
from fuzz.worker import session
from targets.model.target import ModelTarget, clear, keep
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Permitted
from targets.spec.rules import RULES
from targets.spec.sets import ZERO, Set, exact

START = "create v0\ninit v0\nfinalize v0\n"
ORDER = START + "set v0 z5 noise:1\nset v0 fpcr 0x1000000\nset v0 z5 noise:2\nset v0 zcr_el1 3\n"
READ = START + "set v0 ffr ones:16\nget v0 ffr\nget v0 ffr\nget v0 z1\nget v0 z3"
RUN = (
    START + "set v0 cpacr_el1 0x330000\nrun v0 {\nmov x5, #7\nisb\nmov x6, #1\nadd x7, x6, x5\n"
    "ptrue p1.b, all\n}\nread-all v0"
)


def told(text: str) -> dict[str, str]:
    """The retellings of a case, by rule."""
    case = parse_case(text)
    trace = ModelTarget(Profile()).run(case)
    return {r.rule: format_case(r.case) for r in retellings(case, trace)}


def test_sets_stand_backwards_but_for_those_of_one_register() -> None:
    lines = told(ORDER + "read-all v0")["self.set-order"].splitlines()
    assert lines[3:7] == [
        *("set v0 zcr_el1 3", "set v0 fpcr 0x1000000", "set v0 z5 noise:1", "set v0 z5 noise:2"),
    ]


@pytest.mark.parametrize(
    "between", ["run v0 { }", "get v0 z1", "set v0 cpacr_el1 0", "create v1\nset v1 z1 1"]
)
def test_blocks_end_where_something_else_happens(between: str) -> None:
    text = START + f"set v0 z1 1\n{between}\nset v0 z2 2\n"
    assert "self.set-order" not in told(text)


def test_what_is_read_last_is_kept() -> None:
    text = START + "get v0 z1\nset v0 z1 1\nget v0 z2\nread-all v0\nget v0 z1"
    assert told(text)["self.reading"] == START + "set v0 z1 1\nget v0 z1\n"


def test_cases_with_calls_are_read_as_they_are() -> None:
    text = START + "get v0 z1\nrun v0 {\nhvc #0\n}\nread-all v0"
    assert "self.reading" not in told(text)


def test_what_was_read_is_set_again() -> None:
    text = START + "set v0 x3 0x1234\nset v0 z2 0xab*\nset v0 z4 noise:1\n"
    text += "get v0 x3\nget v0 z2\nget v0 z4\nget v0 pstate"
    assert told(text)["self.writing-back"].splitlines()[6:] == [
        *("get v0 x3", "set v0 x3 0x1234", "get v0 z2", "set v0 z2 0xab*"),
        *("get v0 z4", "get v0 pstate"),
    ]


def test_a_run_is_split_behind_what_only_one_run_can_do() -> None:
    first, second = told(RUN)["self.split-run"].split("run v0 {\n")[1:]
    assert [line.strip() for line in first.splitlines()][:-1] == [
        *("mov x5, #7", "isb", "mov x6, #1"),
    ]
    assert second.startswith("    add x7, x6, x5")


@pytest.mark.parametrize(
    "program",
    [
        "mov x1, #1",
        "mov x1, #1\nmsr zcr_el1, x1",
        "mov x1, #1\nadd x30, x1, x1\nadd x2, x30, x30",
        "mov x1, #1\nmov x2, #2\nbrk #1",
        "lda x1, ram+49152\nldr x2, [x1, #0]\nmov x3, #3",
    ],
)
def test_other_runs_are_left_whole(program: str) -> None:
    assert "self.split-run" not in told(START + f"run v0 {{\n{program}\n}}\nread-all v0")


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_model_comes_to_the_same(seed: int) -> None:
    """But for what a look at it decides: the model alone makes a choice when it is asked."""
    case = random_case(random.Random(seed))
    for choose in (keep, clear):
        leg = ModelTarget(Profile(), choose=choose)
        trace = leg.run(case)
        for retold in retellings(case, trace):
            again = leg.run(retold.case)
            if retold.rule in (SET_ORDER, SPLIT_RUN) and len(again.observations) == len(
                retold.case.ops
            ):
                assert compare(case, trace, retold, again) is None, format_case(case)


class Defective(Model):
    """Does to registers what an op has nothing to do with."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        vcpu = self.vm.vcpus.get(0)
        if isinstance(op, SetReg) and op.reg == regs.REGISTERS["fpcr"].id and vcpu:
            vcpu.z[5] = ZERO
        if isinstance(op, GetReg) and op.reg == regs.REGISTERS["ffr"].id and vcpu:
            vcpu.z[3] = exact(1)
        if isinstance(op, SetReg) and op.reg == regs.REGISTERS["x3"].id and vcpu:
            vcpu.x[3] = ((op.value.arg + 1, 0),)
        if isinstance(op, Run) and vcpu:
            vcpu.x[8] = ((vcpu.x[8][0][0] + 1, 0),)
        return permitted


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (START + "set v0 z5 noise:1\nset v0 fpcr 0\nget v0 z5", "self.set-order"),
        (READ, "self.reading"),
        (START + "get v0 x3\nget v0 x3", "self.writing-back"),
        (RUN, "self.split-run"),
    ],
)
def test_a_leg_that_does_otherwise_is_found_out(text: str, rule: str) -> None:
    case = parse_case(text)
    leg = ModelTarget(Profile(), "model", Defective)
    trace = leg.run(case)
    found = {}
    for retold in retellings(case, trace):
        verdict = compare(case, trace, retold, leg.run(retold.case))
        if verdict:
            found[verdict.rule] = verdict
    assert rule in found
    assert found[rule].strict == (RULES[rule].cls != "IMPL")
    legs = Everywhere([leg])
    confirmed = Otherwise(case, "model", found[rule]).confirm(legs, print, 1.0)
    assert isinstance(confirmed, Confirmed)
    assert confirmed.shown.verdict == found[rule]
    assert Otherwise(case, "model", found[rule]).shows(case, legs)


def test_a_leg_that_is_merely_free_is_not_blamed() -> None:
    rng = random.Random(5)

    def choose(candidates: Set) -> int:
        return rng.randrange(len(candidates))

    case = parse_case(
        START + "set v0 z5 noise:1\nset v0 fpcr 0\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\nadd z1.b, z2.b, z3.b\n}\nread-all v0"
    )
    leg = ModelTarget(Profile(), choose=choose)
    legs = Everywhere([leg])
    for _ in range(20):
        trace = leg.run(case)
        for retold in retellings(case, trace):
            verdict = compare(case, trace, retold, leg.run(retold.case))
            if isinstance(verdict, Diverge):
                dropped = Otherwise(case, "model", verdict).confirm(legs, print, 1.0)
                assert isinstance(dropped, Dropped)
                assert not dropped.harness
                return
    pytest.fail("the leg never differed")


class Wavering(ModelTarget):
    """Always does what is permitted, but which of it depends on the register set last."""

    def __init__(self) -> None:
        self.last = 0
        leg = self

        class Watched(Model):
            def step(self, op: Op) -> Permitted:
                if isinstance(op, SetReg) and op.reg != regs.REGISTERS["cpacr_el1"].id:
                    leg.last = op.reg
                return super().step(op)

        def choose(candidates: Set) -> int:
            return 0 if leg.last == regs.REGISTERS["fpcr"].id else len(candidates) - 1

        super().__init__(Profile(), "emulator:keep", Watched, choose)
        self.kind = "emulator"


def test_a_campaign_finds_what_no_model_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RETOLD_SHARE", 1)
    case = parse_case(
        START + "set v0 x3 1\nset v0 z5 noise:1\nset v0 fpcr 0\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\nadd z1.b, z2.b, z3.b\n}\nread-all v0"
    )
    found: list[FindingRecord] = []
    worker = session.Session([Wavering()], None, found.append, print, print)
    worker.execute(case.encoded)
    assert [record.signature.rule for record in found] == ["self.set-order"]
    assert found[0].strict
    assert worker.tally.retold == 1
    assert "self.set-order" in worker.exercised["emulator:keep"]
    kept = [type(op).__name__ for op in found[0].minimal.ops]
    assert kept.count("SetReg") == 3
    assert found[0].reproduced == (3, 3)
