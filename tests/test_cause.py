"""What shows in many ways comes from one op: divergences are traced back to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.case import MAX_OPS, Case
from corpus.text import parse_case
from fuzz.followup.cause import Cause, at_face_value, is_tail, trace_back
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Diverge
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile

RUN = "run v0 {\n    rdvl x0, #1\n}\n"
UP = "create v0\ninit v0\nfinalize v0\n"
ON = UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\n"


def leg_of(name: str) -> ModelTarget:
    mutant = MUTANTS[name]
    leg = ModelTarget(mutant.machine(Profile()), f"mutant:{name}", make=mutant.make)
    leg.kind = "mutant"
    return leg


def traced(name: str, case: Case) -> Cause:
    leg = leg_of(name)
    verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Diverge), "the case does not show the defect"
    found = trace_back(case, leg.name, verdict, Everywhere([leg]))
    again = judge(found.case, leg.run(found.case), leg.profile)
    assert isinstance(again, Diverge)
    assert (again.op_index, again.label) == (found.verdict.op_index, found.verdict.label)
    return found.cause


FILLED = ON + "set v0 z1 noise:1\n" + RUN
SHOWN_BY = {
    "a get": FILLED + "get v0 z1\n",
    "a look at all": FILLED + "read-all v0\n",
    "a migration": FILLED + "migrate v0\n",
    "what an instruction wrote": ON + "run v0 {\n    index z1.d, #1, #3\n}\nread-all v0\n",
    "a later run": FILLED + "run v0 {\n    add z2.d, z1.d, z1.d\n}\nget v0 z2\n",
}


@pytest.mark.parametrize("text", SHOWN_BY.values(), ids=list(SHOWN_BY))
def test_a_register_that_an_exit_cuts_is_one_cause_however_it_shows(text: str) -> None:
    cause = traced("exit-cuts-registers", parse_case(text))
    assert cause == Cause("run", "keeps", "vector")


def test_one_statement_about_all_forms_is_one_cause() -> None:
    for line in ("fadd v1.4s, v2.4s, v3.4s", "fmul s1, s2, s3"):
        case = parse_case(ON + f"set v0 z1 0xff*\nrun v0 {{\n    {line}\n}}\nget v0 z1\n")
        assert traced("asimd-keeps-tail", case) == Cause("run", "asimd.clears-tail", "z")


def test_a_wrong_vector_length_is_one_cause_whatever_it_spoils() -> None:
    for line in ("index z1.d, #1, #3", "ptrue p1.b", "cntb x3", "add z1.d, z1.d, z2.d"):
        text = (
            UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 1\nset v0 z1 0xff*\nset v0 z2 0x01*\n"
        )
        case = parse_case(text + f"run v0 {{\n    {line}\n}}\nread-all v0\n")
        assert traced("zcr-off-by-one", case) == Cause("run", "vl.as-asked", "length")


def test_a_run_that_ends_otherwise_for_its_vector_length_is_the_same_cause() -> None:
    for word in ("run", "host-run"):
        lines = "mov x0, #1\n    msr zcr_el1, x0\n    fmmla z0.d, z0.d, z0.d"
        case = parse_case(
            UP + f"set v0 cpacr_el1 0x330000\n{word} v0 {{\n    mrs x1, zcr_el1\n    {lines}\n}}\n"
        )
        assert traced("zcr-write-ignored", case) == Cause("run", "vl.as-asked", "length")


def test_an_instruction_that_alone_is_wrong_takes_the_blame() -> None:
    on = UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 2\n"
    case = parse_case(on + "set v0 p1 0xff*\nrun v0 {\n    zip1 p0.b, p1.b, p1.b\n}\nget v0 p0\n")
    assert traced("predicate-permute-odd", case) == Cause("run", "isa.zip1_p", "p")


def test_what_was_written_anew_was_not_to_be_kept() -> None:
    lines = "index z2.b, #0, #1\n    sqshlu v2.8b, v0.8b, #0"
    case = parse_case(ON + f"run v0 {{\n    {lines}\n}}\nread-all v0\n")
    assert traced("asimd-keeps-tail", case) == Cause("run", "asimd.clears-tail", "z")


@pytest.mark.parametrize("look", ["read-all v0", "get v0 z1"])
def test_who_only_read_what_an_earlier_one_left_is_not_blamed(look: str) -> None:
    lines = ("movi v0.2d, #0", "add z1.d, z0.d, z0.d", "dup z0.b, #0")
    body = "\n    ".join(lines)
    case = parse_case(ON + f"set v0 z0 0xff*\nrun v0 {{\n    {body}\n}}\n{look}\n")
    assert traced("asimd-keeps-tail", case) == Cause("run", "asimd.clears-tail", "z")


def test_a_vcpu_that_a_migration_made_is_looked_at_too() -> None:
    case = parse_case(
        UP + "migrate v0 to=v1\nrun v1 {\n    movz x0, #25, lsl #16\n    msr cpacr_el1, x0\n"
        "    isb\n    rdvl x1, #1\n}\nread-all v1\n"
    )
    assert traced("exit-leaves-maximum", case) == Cause("run", "keeps", "zcr_el1")


def test_a_register_that_only_a_get_reads_is_looked_at_too() -> None:
    case = parse_case(
        "create v0\ninit v0 features=sve,has_el2\nfinalize v0\nrun v0 {\n"
        "    movz x0, #25, lsl #16\n    msr cpacr_el1, x0\n    isb\n    mov x0, #1\n"
        "    msr zcr_el1, x0\n}\nget-mp v0\nget v0 zcr_el2\n"
    )
    assert traced("zcr-el2-stale-view", case) == Cause("run", "isa.msr", "zcr_el2")


def test_an_errno_is_taken_at_face_value() -> None:
    cause = traced("finalize-twice", parse_case(UP + "finalize v0\n"))
    assert cause == Cause("finalize", "finalize.twice", "op:EPERM->success")


def test_vector_lengths_are_set_in_one_way_however_it_is_told() -> None:
    case = parse_case(UP + "set-vls v0 1-16\n")
    leg = leg_of("vls-after-finalize")
    verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Diverge)
    by_id = parse_case(UP + "set v0 vls 0xffff\n")
    causes = {at_face_value(case, verdict), at_face_value(by_id, replace(verdict, op_word="set"))}
    assert causes == {Cause("set-vls", "vls.after-finalize", "op:EPERM->success")}


def test_a_case_without_room_for_looks_keeps_what_is_seen() -> None:
    text = ON + "set v0 z1 noise:1\n" + "get v0 z2\n" * (MAX_OPS - 8) + RUN + "get v0 z1\n"
    case = parse_case(text)
    assert len(case.ops) == MAX_OPS
    leg = leg_of("exit-cuts-registers")
    verdict = judge(case, leg.run(case), leg.profile)
    assert isinstance(verdict, Diverge)
    assert traced("exit-cuts-registers", case) == at_face_value(case, verdict)


def test_a_tail_begins_above_what_asimd_knows() -> None:
    assert is_tail(1 << 128)
    assert not is_tail(1 << 127 | 1 << 128)
    assert not is_tail(0)
