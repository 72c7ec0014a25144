"""Values for people: what differs is shown, wherever in a register it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.case import Case
from corpus.text import parse_case
from corpus.trace import Trace
from fuzz.followup.cause import at_face_value
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Diverge
from fuzz.report.compare import compare
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.hexdump import rows_with, show
from targets.spec.judge import invent, nearest
from targets.spec.model import Model
from targets.spec.permitted import Permitted
from targets.spec.sets import Candidate
from targets.spec.stepper import Stepper

NOISE = int.from_bytes(bytes((7 * i) & 0xFF for i in range(256)), "little")
FAR = """
create v0
init v0
finalize v0
set v0 zcr_el1 15
set v0 z1 noise:7
get v0 z1
"""


@pytest.mark.parametrize(
    ("candidate", "size", "rows", "text"),
    [
        ((0x12, 0), 4, (), "0x00000012"),
        ((0x10, 0x3), 1, (), "0x10 (unknown 0x3)"),
        ((0, 0), 256, (), "[0..255]=00"),
        ((0xFF << 1016, 0), 256, (), "[0..126]=00 [127]=ff [128..255]=00"),
        ((0, 0xFF << 8), 16, (), "[0]=00 [1]=.. [2..15]=00"),
        ((0, 0x0F), 16, (), "[0]=00? [1..15]=00"),
        ((NOISE, 0), 48, (2,), "[32..47]=e0e7eef5fc030a11181f262d343b4249 ..."),
    ],
)
def test_a_value_is_told(candidate: Candidate, size: int, rows: tuple[int, ...], text: str) -> None:
    assert show(candidate, size, rows) == text


@given(st.integers(0, 255), st.integers(1, 255))
def test_the_byte_that_differs_is_always_shown(at: int, flip: int) -> None:
    wrong = NOISE ^ flip << 8 * at
    rows = rows_with(nearest(((NOISE, 0),), wrong), 256)
    assert rows == [at // 16]
    assert show((NOISE, 0), 256, rows) != show((wrong, 0), 256, rows)


def far_off() -> tuple[Trace, Trace]:
    """A case's trace, and one that differs in byte 200 of a register."""
    case = parse_case(FAR)
    right = ModelTarget(Profile()).run(case)
    *others, last = right.observations
    data = bytearray(last.data)
    data[200] ^= 1
    return right, Trace((*others, type(last)(0, 0, bytes(data))))


def test_a_verdict_and_a_comparison_show_a_byte_far_up() -> None:
    case = parse_case(FAR)
    right, wrong = far_off()
    verdict = judge(case, wrong, Profile())
    assert isinstance(verdict, Diverge)
    assert verdict.detail == "byte 200"
    assert "[192..207]=" in verdict.expected
    assert verdict.expected != verdict.observed
    machines = {"right": Profile(), "wrong": Profile()}
    step = compare(case, {"right": right, "wrong": wrong}, machines)[-1]
    (row,) = [row for row in step.rows if row.label == "z1"]
    assert row.remarkable
    assert "[192..207]=" in row.expected[0]
    assert row.cells["right"].text == row.expected[0]
    assert row.cells["wrong"].text != row.expected[0]
    assert [row.cells[name].permitted for name in ("right", "wrong")] == [True, False]


def test_a_vcpu_with_el2_is_as_long_as_its_hypervisor_lets_it() -> None:
    path = Path(__file__).parents[1] / "corpus" / "regressions" / "nested-context-vl.case"
    case = parse_case(path.read_text())
    machine = Profile(features=0x1FF, kernel=(7, 2), mode="nested")
    trace = ModelTarget(machine).run(case)
    *others, last = trace.observations
    spoilt = Trace((*others, type(last)(0, 0, last.data[:-1] + b"\x77")))
    verdict = judge(case, spoilt, machine)
    assert isinstance(verdict, Diverge)
    assert str(verdict.context) == (
        "guest VL 16 (ZCR_EL1 0x7, ZCR_EL2 0x0), vcpu VL 256, host VL 256 bytes"
    )
    assert at_face_value(case, verdict).relation == "guest<vcpu=host"


def test_of_several_outcomes_the_one_that_was_taken_is_shown() -> None:
    """Without an ISB the guest may trap, or not yet: neither is to look wrong."""
    case = parse_case(
        "create v0\ninit v0\nfinalize v0\nrun v0 {\n    movz x0, #25, lsl #16\n"
        "    msr cpacr_el1, x0\n    mov x1, #1\n    msr zcr_el1, x1\n}\n"
    )
    ends = set()
    for seen in _ways(case):
        (row,) = [
            r
            for r in compare(case, {"a": seen}, {"a": Profile()})[-1].rows
            if r.label == "mmio address"
        ]
        assert row.cells["a"].permitted
        ends.add(row.cells["a"].text)
    assert len(ends) == 2


def _ways(case: Case) -> list[Trace]:
    """What may be observed: the model's own way, and the same with every other outcome at last."""
    made = ModelTarget(Profile()).run(case)
    stepper = Stepper(Model(Profile()), case, made)
    for _ in case.ops[:-1]:
        permitted = stepper.permitted()
        assert permitted is not None
        stepper.narrow(permitted)
    last = stepper.permitted()
    assert last is not None
    ends = [invent(Permitted(last.rule, (outcome,)), lambda _: 0) for outcome in last.outcomes]
    return [Trace((*made.observations[:-1], end)) for end in ends]
