"""Which bucket: every part of a signature, and which rule is named."""

from __future__ import annotations

import pytest
from scripted import diverge

from corpus import registers as regs
from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import parse_case
from db.records import SignatureRecord
from fuzz.followup.cause import at_face_value
from fuzz.followup.signature import signature as bucket_of
from fuzz.oracle.culprit import responsible
from fuzz.oracle.verdict import Diverge
from targets.spec.permitted import Context

CASE = parse_case(
    "create v0\ninit v0\nfinalize v0\nget v0 z3\nset v0 p1 0x1\nget v0 0x6030000000123456\n"
)
GET, SET, RAW = 3, 4, 5


def signature(case: Case, verdict: Diverge, legs: str) -> SignatureRecord:
    """The bucket of a verdict as far as it tells itself."""
    return bucket_of(verdict.oracle, at_face_value(case, verdict), legs)


def test_every_part_comes_from_the_verdict() -> None:
    context = Context(16, 32, 64)
    found = signature(CASE, diverge(op_index=GET, context=context), "every kvm")
    assert found == SignatureRecord("conformance", "get", "sve.z", "vector", "-", "every kvm")
    of_insn = diverge(op_index=GET, rule="isa.add_z", context=context)
    assert signature(CASE, of_insn, "every kvm") == SignatureRecord(
        "conformance", "get", "isa.add_z", "z", "guest<vcpu<host", "every kvm"
    )


@pytest.mark.parametrize(
    ("label", "register"),
    [
        *((name, "vector") for name in ("z3", "z31", "p0", "v7", "ffr")),
        *(
            ("x30", "x"),
            ("fpsr", "fpsr"),
            ("mmio address", "mmio address"),
            ("zcr_el1", "zcr_el1"),
        ),
        *(("0x6030000000123456", "raw-id"), ("0xzz", "0xzz"), ("xz3", "xz3"), ("z3x", "z3x")),
    ],
)
def test_registers_go_by_their_class(label: str, register: str) -> None:
    assert signature(CASE, diverge(op_index=0, label=label), "m").register_class == register


@pytest.mark.parametrize(("label", "register"), [("z3", "z"), ("p0", "p"), ("ffr", "ffr")])
def test_what_an_instruction_writes_goes_by_its_kind(label: str, register: str) -> None:
    """Who saves and restores vector state tells it not apart; an instruction does."""
    verdict = diverge(op_index=0, rule="isa.add_z", label=label)
    assert signature(CASE, verdict, "m").register_class == register


@pytest.mark.parametrize(
    ("index", "register"), [(GET, "z:E->O"), (SET, "p:E->O"), (RAW, "raw-id:E->O"), (0, "op:E->O")]
)
def test_an_errno_goes_by_the_register_that_was_asked_for_and_by_both_errnos(
    index: int, register: str
) -> None:
    verdict = diverge(op_index=index, label="errno", expected="E", observed="O")
    assert signature(CASE, verdict, "m").register_class == register


def test_another_label_is_not_replaced_by_the_register_of_the_op() -> None:
    assert signature(CASE, diverge(op_index=GET, label="buffer"), "m").register_class == "buffer"


@pytest.mark.parametrize(
    ("lengths", "relation"),
    [
        ((16, 16, 16), "guest=vcpu=host"),
        ((16, 32, 32), "guest<vcpu=host"),
        ((32, 32, 64), "guest=vcpu<host"),
        ((16, 32, 64), "guest<vcpu<host"),
        ((None, 32, 64), "-"),
        ((16, 0, 64), "-"),
    ],
)
def test_lengths_go_by_their_relation(lengths: tuple[int | None, int, int], relation: str) -> None:
    context = Context(*lengths)
    assert context.relation == relation
    of_insn = diverge(op_index=GET, rule="isa.add_z", context=context)
    assert signature(CASE, of_insn, "m").vl_relation == relation
    assert signature(CASE, diverge(op_index=GET, context=context), "m").vl_relation == "-"


def test_a_context_is_said_in_bytes() -> None:
    assert str(Context(None, 0, 0)) == "no SVE"
    told = str(Context(16, 32, 64, (("zcr_el1", 0), ("zcr_el2", 15))))
    assert told == "guest VL 16 (ZCR_EL1 0x0, ZCR_EL2 0xf), vcpu VL 32, host VL 64 bytes"
    assert str(Context(None, 32, 64)).startswith("guest VL not known (), vcpu VL 32")


def test_a_named_fault_goes_by_kind_and_place_alone() -> None:
    warn = Fault(FaultKind.WARN, "kvm_reset_sve", True)
    context = Context(16, 32, 64)
    verdict = diverge(oracle="ending", op_index=GET, label="ending", fault=warn, context=context)
    expected = SignatureRecord("ending", "kvm_reset_sve", "ending.warn", "", "-", "m")
    assert signature(CASE, verdict, "m") == expected
    nowhere = diverge(oracle="ending", label="ending", fault=Fault(FaultKind.BUG, "", True))
    assert signature(CASE, nowhere, "m") == SignatureRecord(
        "ending", "-", "ending.bug", "", "-", "m"
    )


def test_a_fault_without_a_name_goes_by_the_case() -> None:
    crash = diverge(
        oracle="ending",
        op_index=GET,
        rule="ending.ok",
        label="ending",
        fault=Fault(FaultKind.CRASH),
    )
    expected = SignatureRecord("ending", "get", "ending.ok", "ending", "-", "m")
    assert signature(CASE, crash, "m") == expected


PROGRAM = """
run v0 {
    ptrue p0.b, all
    mov x0, #1
}
run v0 {
    mov x0, #1
}
run v0 {
    ptrue p0.b, all
    ldr x1, [x2, #8]
    isb
}
get v0 x0
"""


@pytest.mark.parametrize("rule", ["run.exit", "run.fails", "ending.ok"])
def test_a_run_that_ends_otherwise_names_its_last_vector_or_memory_instruction(rule: str) -> None:
    case = parse_case(PROGRAM)
    vector, _, memory = (op.program for op in case.ops[:3])  # type: ignore[attr-defined]
    ptrue, load = vector[0].form.name, memory[1].form
    assert (load.cap, load.group) == ("base", "mem")
    assert responsible(case, diverge(rule=rule, op_index=0)) == f"isa.{ptrue}"
    assert responsible(case, diverge(rule=rule, op_index=1)) == rule
    assert responsible(case, diverge(rule=rule, op_index=2)) == f"isa.{load.name}"
    assert responsible(case, diverge(rule=rule, op_index=3)) == rule
    assert responsible(parse_case("create v0"), diverge(rule=rule)) == rule
    unnamed = Fault(FaultKind.HANG)
    assert responsible(case, diverge(rule=rule, op_index=0, fault=unnamed)) == f"isa.{ptrue}"


def test_a_rule_that_says_something_is_named_itself() -> None:
    case = parse_case(PROGRAM)
    assert responsible(case, diverge(rule="isa.xtn", op_index=0)) == "isa.xtn"
    panic = Fault(FaultKind.PANIC, "do_exit", True)
    assert (
        responsible(case, diverge(rule="ending.ok", op_index=0, fault=panic))
        == "ending.panic@do_exit"
    )


def test_raw_ids_are_what_the_registers_module_says() -> None:
    assert regs.name_of(0x6030000000123456).startswith("0x")
