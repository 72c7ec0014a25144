"""The oracle accepts every permitted behaviour, and only those."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases, seeds

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from fuzz.oracle.conformance import judge
from fuzz.oracle.verdict import Agree, Diverge
from targets.model.target import ModelTarget, clear
from targets.profile import Profile
from targets.spec.rules import RULES
from targets.spec.sets import Set

profiles = st.builds(
    Profile,
    vqs=st.sampled_from([1, 0b11, 0b111, 0b1011, 0xFFFF, 0b10001011]),
    features=st.sampled_from([0x7F, 0x15, 0x05]),
    el0_32bit=st.booleans(),
)

FOUNDING = parse_case(
    """
    create v0
    init v0
    finalize v0
    set v0 z3 0xab*
    run v0 {
        movz x0, #0x33, lsl #16
        msr cpacr_el1, x0
        isb
        mrs x1, zcr_el1
    }
    get v0 z3
    """
)


def trace_of(case: Case, profile: Profile, chooser: random.Random | None = None) -> Trace:
    def choose(candidates: Set) -> int:
        return chooser.randrange(len(candidates)) if chooser else 0

    return ModelTarget(profile, choose=choose).run(case)


@settings(max_examples=400, deadline=None)
@given(cases, profiles, seeds)
@pytest.mark.long
def test_any_sequence_of_permitted_choices_is_accepted(
    case: Case, profile: Profile, seed: int
) -> None:
    trace = trace_of(case, profile, random.Random(seed))
    verdict = judge(case, trace, profile)
    assert isinstance(verdict, Agree), verdict
    assert verdict.judged == len(trace.observations)


@settings(max_examples=200, deadline=None)
@given(cases, profiles)
def test_every_rule_that_is_used_has_a_row(case: Case, profile: Profile) -> None:
    verdict = judge(case, trace_of(case, profile), profile)
    assert {r for r in verdict.rules if not r.startswith("isa.")} <= set(RULES)


@settings(max_examples=200, deadline=None)
@given(cases, st.data())
def test_a_wrong_errno_is_a_divergence(case: Case, data: st.DataObject) -> None:
    profile = Profile()
    trace = trace_of(case, profile)
    if not trace.observations:
        return
    index = data.draw(st.integers(0, len(trace.observations) - 1))
    observations = list(trace.observations)
    observations[index] = Observation(99)
    verdict = judge(case, Trace(tuple(observations)), profile)
    if isinstance(verdict, Agree):
        assert "reg.not-modelled" in verdict.rules
    elif verdict.op_index > index:  # the trace ends where a write that now failed was followed
        assert "reg.not-modelled" in verdict.rules
        assert verdict.label == "observation"
    else:
        assert (verdict.op_index, verdict.label) == (index, "errno")


@pytest.mark.parametrize("kept_bytes", [256, 16])
def test_bits_above_the_effective_length_may_vanish_or_stay(kept_bytes: int) -> None:
    trace = trace_of(FOUNDING, Profile())
    value = (b"\xab" * kept_bytes).ljust(256, b"\0")
    seen = (*trace.observations[:-1], Observation(0, 0, value))
    assert isinstance(judge(FOUNDING, Trace(seen), Profile()), Agree)


@pytest.mark.parametrize("kept_bytes", [0, 15, 17, 32, 255])
def test_but_not_in_part(kept_bytes: int) -> None:
    trace = trace_of(FOUNDING, Profile())
    value = (b"\xab" * kept_bytes).ljust(256, b"\0")
    seen = (*trace.observations[:-1], Observation(0, 0, value))
    verdict = judge(FOUNDING, Trace(seen), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.rule, verdict.label, verdict.op_index) == ("sve.z", "z3", 5)
    assert "z3" in verdict.explanation
    assert "vcpu VL 256" in verdict.explanation


def test_a_choice_binds_the_leg_from_then_on() -> None:
    case = replace(FOUNDING, ops=(*FOUNDING.ops, FOUNDING.ops[-1]))
    trace = ModelTarget(Profile(), choose=clear).run(case)
    full = Observation(0, 0, b"\xab" * 256)
    back = (*trace.observations[:-1], full)
    assert isinstance(judge(case, trace, Profile()), Agree)
    assert isinstance(judge(case, Trace(back), Profile()), Diverge)


@pytest.mark.parametrize("ending", [Ending.CRASH, Ending.HANG, Ending.HOST_LOG])
def test_a_bad_ending_is_a_divergence(ending: Ending) -> None:
    trace = trace_of(FOUNDING, Profile())
    fault = Fault(FaultKind.WARN, "", True, "WARNING: CPU: 0")
    verdict = judge(FOUNDING, Trace(trace.observations, ending, fault=fault), Profile())
    assert isinstance(verdict, Diverge)
    assert (verdict.oracle, verdict.observed, verdict.detail) == (
        "ending",
        ending.value,
        "warn: WARNING: CPU: 0",
    )


def test_a_leg_that_leaves_ops_out_diverges() -> None:
    trace = trace_of(FOUNDING, Profile())
    short = Trace(trace.observations[:3])
    assert isinstance(judge(FOUNDING, short, Profile()), Diverge)
