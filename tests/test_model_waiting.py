"""Guests that wait in KVM for their timer, and what that leaves."""

from __future__ import annotations

import pytest

from corpus.text import parse_case
from corpus.trace import Observation
from corpus.wire import MMIO_BASE
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget
from targets.profile import Profile

BEGIN = "create v0\ninit v0 features={features}\nfinalize v0\nset v0 x0 7\nset v0 z3 0xab*\n"


def told(code: str, features: str = "sve", after: str = "") -> tuple[Agree, list[Observation]]:
    """What the specification says of a run, and sees of it."""
    case = parse_case(f"{BEGIN.format(features=features)}run v0 {{\n{code}\n}}\n{after}")
    profile = Profile(kernel=(7, 1), features=0xFF, mode="nested")
    trace = ModelTarget(profile).run(case)
    verdict = judge(case, trace, profile)
    assert isinstance(verdict, Agree)
    return verdict, list(trace.observations[5:])


def test_a_loop_leaves_its_counter_and_ends_as_any_run() -> None:
    verdict, seen = told("wfi-loop #3", after="get v0 x0\nget v0 x28\n")
    assert "run.waits-for-timer" in verdict.rules
    assert not verdict.reason
    assert int.from_bytes(seen[0].data[8:16], "little") == MMIO_BASE
    assert [int.from_bytes(one.data, "little") for one in seen[1:]] == [0, 0]


def test_what_it_costs_the_bits_above_the_length_is_left_open() -> None:
    enable = "movz x0, #51, lsl #16\nmsr cpacr_el1, x0\nisb\nmov x0, #0\nmsr zcr_el1, x0\n"
    text = f"{BEGIN.format(features='sve')}run v0 {{\n{enable}wfi-loop #3\n}}\nget v0 z3\n"
    case, profile = parse_case(text), Profile()
    trace = ModelTarget(profile).run(case)
    low, tail = b"\xab" * 16, b"\xab" * 240
    for data, fine in ((low + tail, True), (low + bytes(240), True), (bytes(256), False)):
        seen = (*trace.observations[:6], Observation(0, 0, data))
        verdict = judge(case, type(trace)(seen), profile)
        assert isinstance(verdict, Agree if fine else Diverge)


def test_from_el0_it_traps_before_it_begins() -> None:
    after = "get v0 x28\nget v0 esr_el1\nget v0 elr_el1\nget v0 x0\n"
    verdict, seen = told("eret-to el0t\nmov x0, #5\nwfi-loop #3", after=after)
    assert "run.timer-trap" in verdict.rules
    assert not verdict.reason
    x28, esr, elr, x0 = (int.from_bytes(one.data, "little") for one in seen[1:])
    assert (x28, x0) == (3, 5)
    assert esr == 0x18 << 26 | 1 << 25 | 0x30F801
    _, other = told("eret-to el0t\nmov x0, #5\n.inst 0x0", after="get v0 elr_el1\n")
    assert elr == int.from_bytes(other[1].data, "little") + 4


@pytest.mark.parametrize(
    ("code", "features", "says"),
    [
        ("wfi-loop #3", "sve,has_el2", "below EL2"),
        ("wfi-loop #3", "sve,has_el2,has_el2_e2h0", "below EL2"),
    ],
)
def test_elsewhere_it_is_not_judged(code: str, features: str, says: str) -> None:
    verdict, _ = told(code, features)
    assert says in verdict.reason


def test_where_the_interrupt_would_be_taken_it_is_not_judged() -> None:
    for pstate, judged in ((0x3C5, True), (0x345, False)):
        begin = BEGIN.format(features="sve")
        case = parse_case(f"{begin}set v0 pstate {pstate:#x}\nrun v0 {{\nwfi-loop #3\n}}\n")
        verdict = judge(case, ModelTarget(Profile()).run(case), Profile())
        assert isinstance(verdict, Agree)
        assert ("not masked" in verdict.reason) != judged
