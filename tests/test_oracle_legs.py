"""Legs are held against each other where the model stops, and only in what must be the same."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import cases, seeds

from corpus.case import Case
from corpus.readgroups import READ_GROUPS
from corpus.text import format_case, parse_case
from corpus.trace import Ending, Observation, Trace
from fuzz.oracle.agreement import Compared, compare, concerns
from fuzz.oracle.conformance import judge
from fuzz.oracle.twins import Twins, twins
from fuzz.oracle.verdict import Agree, Verdict
from targets.base import Target
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errors import Decides

RUN = 3
CASE = parse_case(
    """
    create v0
    init v0 features=el1_32bit
    read-mem 0x8000
    run v0 {
        nop
    }
    get-mp v0
    read-all v0
    reg-list v0
    run v0 { }
    """
)
"""The model stops at the run of a 32-bit guest."""

SVE_CASE = parse_case(
    """
    create v0
    init v0 features=sve
    finalize v0
    set v0 sctlr_el1 0
    run v0 {
        nop
    }
    get v0 x3
    run v0 { }
    get v0 x3
    """
)
"""The model stops at a run that no vector length plays a part in."""

PLAIN = Profile()
EXIT = struct.Struct("<2I2Q2I")
TWO = (Twins(("a", "b"), Decides.KERNEL),)
THREE = (Twins(("a", "b", "c"), Decides.KERNEL),)
OTHER_KERNELS = (Twins(("a", "b"), Decides.CPU),)
WORD = 8


def _exit(reason: int = 6, address: int = 0x5000_0000, data: int = 0, flags: int = 0) -> bytes:
    return EXIT.pack(reason, 1, address, data, 8, flags)


def _registers(x5: int = 0) -> bytes:
    """ReadAll's data of a vcpu without SVE."""
    found = struct.pack("<II", 2, 0)
    for size, group in ((16, READ_GROUPS[1]), (8, READ_GROUPS[2][:31])):
        for place, _ in enumerate(group):
            value = x5 if (size, place) == (8, 5) else 0
            found += struct.pack("<II", 0, size) + value.to_bytes(size, "little")
    return found


def _trace(case: Case, changed: Mapping[int, Observation], profile: Profile = PLAIN) -> Trace:
    """What the model would do, then plain successes, but for what is `changed`."""
    done = ModelTarget(profile).run(case).observations
    rest = []
    for op in case.ops[len(done) :]:
        data = {"run": _exit(), "get": bytes(WORD), "read-all": _registers()}.get(op.word, b"")
        rest.append(Observation(0, 0, data))
    observations = [*done, *rest]
    for index, seen in changed.items():
        observations[index] = seen
    return Trace(tuple(observations))


def _compare(
    case: Case,
    legs: Mapping[str, Mapping[int, Observation]],
    groups: tuple[Twins, ...] = TWO,
) -> Compared:
    traces = {name: _trace(case, changed) for name, changed in legs.items()}
    verdicts: dict[str, Verdict] = {n: judge(case, t, Profile()) for n, t in traces.items()}
    assert all(isinstance(verdict, Agree) for verdict in verdicts.values())
    assert concerns(verdicts)
    return compare(case, traces, verdicts, groups)


def test_legs_that_do_the_same_are_compared_and_agree() -> None:
    assert _compare(CASE, {"a": {}, "b": {}}) == Compared(frozenset("ab"))


@pytest.mark.parametrize(
    ("index", "seen", "label", "expected", "observed"),
    [
        (4, Observation(22), "errno", "success", "EINVAL"),
        (6, Observation(7), "errno", "success", "E2BIG"),
        (RUN, Observation(14, 0, bytes(32)), "errno", "success", "EFAULT"),
        (RUN, Observation(0, 0, _exit(17)), "exit reason", "0x6", "0x11"),
        (RUN, Observation(0, 0, _exit(address=0x5000_0120)), "mmio address", None, "0x50000120"),
        (7, Observation(8, 0, bytes(32)), "errno", "success", "ENOEXEC"),
        (5, Observation(0, 0, _registers(x5=7)), "x5", None, "0x0000000000000007"),
        (6, Observation(0, 0, bytes(16)), "size", "0 bytes", "16 bytes"),
        (
            *(5, Observation(0, 0, _registers()[:776]), "registers read"),
            *("63 in 1272 bytes; z0: ENOENT", "32 in 776 bytes; z0: ENOENT"),
        ),
    ],
)
def test_what_cannot_legally_differ_is_a_lenient_divergence(
    index: int, seen: Observation, label: str, expected: str | None, observed: str
) -> None:
    suspects = _compare(CASE, {"a": {}, "b": {index: seen}}).suspects
    assert set(suspects) == {"a", "b"}
    assert suspects["a"] == suspects["b"]
    found = suspects["a"]
    assert (found.oracle, found.rule, found.strict) == ("legs", "legs.agree", False)
    assert (found.op_index, found.label, found.observed) == (index, label, observed)
    assert expected in (None, found.expected)
    for part in (f"op {index} ({CASE.ops[index].word})", "on a;", "on b;", "AArch32 guests"):
        assert part in found.explanation


@pytest.mark.parametrize("odd", "abc")
def test_of_three_the_odd_one_out_is_named(odd: str) -> None:
    legs = {name: {4: Observation(22)} if name == odd else {} for name in "abc"}
    (name, found), *others = _compare(CASE, legs, THREE).suspects.items()
    assert (name, others) == (odd, [])
    assert (found.expected, found.observed) == ("success", "EINVAL")


def test_another_kernel_may_tell_which_of_two_is_the_odd_one() -> None:
    groups = TWO[0], Twins(("a", "b", "c"), Decides.CPU)
    odd = {"a": {}, "b": {4: Observation(0, 0, _exit(17))}, "c": {}}
    assert set(_compare(SVE_CASE, odd, groups).suspects) == {"b"}
    alone = {"a": {}, "b": {7: Observation(8)}, "c": {}}
    assert set(_compare(SVE_CASE, alone, groups).suspects) == {"a", "b"}


def test_of_three_that_all_differ_all_are_named() -> None:
    legs = {"a": {}, "b": {4: Observation(22)}, "c": {4: Observation(1)}}
    assert set(_compare(CASE, legs, THREE).suspects) == set("abc")


def test_later_runs_of_vectors_start_from_what_nobody_knows() -> None:
    later = {"a": {}, "b": {6: Observation(14, 0, bytes(32)), 7: Observation(0, 0, b"\1" * WORD)}}
    assert not _compare(SVE_CASE, later).suspects
    first = {"a": {}, "b": {5: Observation(0, 0, b"\1" * WORD)}}
    assert _compare(SVE_CASE, first).suspects["a"].label == "x3"
    not_run = {"a": {}, "b": {6: Observation(8, 0, bytes(32))}}
    assert _compare(SVE_CASE, not_run).suspects["a"].observed == "ENOEXEC"


def test_a_guest_that_ran_out_of_time_left_its_registers_anywhere() -> None:
    late = Observation(4, 0, _exit(flags=2))
    legs = {"a": {RUN: late}, "b": {RUN: late, 5: Observation(0, 0, _registers(x5=7))}}
    assert not _compare(CASE, legs).suspects


def test_a_vector_length_that_may_change_leaves_only_what_registers_do_not_decide() -> None:
    text = format_case(SVE_CASE).replace("    nop\n", "    msr zcr_el1, x0\n")
    case = parse_case(text)
    exits = {"a": {}, "b": {4: Observation(14, 0, bytes(32)), 5: Observation(0, 0, b"\1" * WORD)}}
    assert not _compare(case, exits).suspects
    assert _compare(case, {"a": {}, "b": {5: Observation(8, 0, bytes(WORD))}}).suspects


def test_what_other_vcpus_hold_was_not_asked() -> None:
    case = parse_case(
        "create v0\ncreate v1\ninit v0 features=el1_32bit\ninit v1 features=el1_32bit\n"
        "run v0 { }\nget v1 x3\nget v0 x3\n"
    )
    changed = Observation(0, 0, b"\1" * WORD)
    assert not _compare(case, {"a": {}, "b": {5: changed}}).suspects
    assert _compare(case, {"a": {}, "b": {6: changed}}).suspects


def test_other_kernels_may_answer_otherwise_but_not_run_otherwise() -> None:
    answers = {"a": {}, "b": {5: Observation(8, 0, bytes(WORD))}}
    assert not _compare(SVE_CASE, answers, OTHER_KERNELS).suspects
    fails = {"a": {}, "b": {4: Observation(14, 0, bytes(32))}}
    assert not _compare(SVE_CASE, fails, OTHER_KERNELS).suspects
    ends = {"a": {}, "b": {4: Observation(0, 0, _exit(17))}}
    assert _compare(SVE_CASE, ends, OTHER_KERNELS).suspects["b"].label == "exit reason"
    asks = parse_case(format_case(SVE_CASE).replace("    nop\n", "    mrs x3, tpidr_el1\n"))
    assert not _compare(asks, ends, OTHER_KERNELS).legs
    assert _compare(asks, ends).suspects
    # How 32-bit guests are run is the kernel's business.
    assert not _compare(CASE, {"a": {}, "b": {4: Observation(22)}}, OTHER_KERNELS).legs


def test_nothing_is_known_of_a_vcpu_that_was_never_initialised() -> None:
    case = parse_case("create v0\ninit v0 features=sve,ptrauth_address\ninit v0 features=none\n")
    profile = Profile(kernel=(6, 1))
    verdict = judge(case, _trace(case, {}, profile), profile)
    assert isinstance(verdict, Agree)
    assert (verdict.judged, verdict.decides) == (2, Decides.NOTHING)


def test_legs_that_differed_before_are_not_compared() -> None:
    seen = Observation(0, 0, bytes(8))
    case = parse_case("create v0\ninit v0 features=el1_32bit\nget v0 tpidr_el0\nrun v0 { }")
    legs = {
        "a": {2: seen},
        "b": {2: replace(seen, data=b"\1" * 8), 3: Observation(14, 0, bytes(32))},
    }
    assert not _compare(case, legs).legs


def test_a_leg_that_ended_badly_or_diverged_is_not_compared() -> None:
    traces = {name: _trace(CASE, {}) for name in "ab"}
    verdicts: dict[str, Verdict] = {n: judge(CASE, t, Profile()) for n, t in traces.items()}
    traces["b"] = replace(traces["b"], ending=Ending.HOST_LOG)
    assert not compare(CASE, traces, verdicts, TWO).legs


def test_a_known_defect_decides_nothing() -> None:
    traces = {"a": _trace(CASE, {}), "b": _trace(CASE, {RUN: Observation(14, 0, bytes(32))})}
    verdicts: dict[str, Verdict] = {}
    for name, trace in traces.items():
        verdict = judge(CASE, trace, Profile())
        assert isinstance(verdict, Agree)
        assert verdict.decides is Decides.KERNEL
        verdicts[name] = replace(verdict, decides=Decides.NOTHING)
    assert not compare(CASE, traces, verdicts, TWO).suspects


@settings(max_examples=60, deadline=None)
@given(cases, st.permutations("abc"), seeds, st.sampled_from([(6, 1), (6, 12), (7, 2)]))
def test_order_is_no_matter_and_equal_traces_never_differ(
    case: Case, order: list[str], seed: int, kernel: tuple[int, int]
) -> None:
    rng = random.Random(seed)
    profile = Profile(kernel=kernel)
    trace = _trace(case, {}, profile)
    verdict = judge(case, trace, profile)
    if not isinstance(verdict, Agree) or not verdict.reason:
        return
    same = dict.fromkeys("abc", trace)
    assert not compare(case, same, dict.fromkeys("abc", verdict), THREE).suspects
    observations = list(trace.observations)
    index = rng.randrange(verdict.judged, len(observations))
    observations[index] = Observation(rng.choice((0, 8, 14, 22)), 0, bytes(rng.choice((0, 32))))
    traces = {**same, rng.choice("abc"): replace(trace, observations=tuple(observations))}
    first = compare(case, traces, dict.fromkeys("abc", verdict), THREE)
    shuffled = {name: traces[name] for name in order}
    again = Twins(tuple(order), Decides.KERNEL)
    assert compare(case, shuffled, dict.fromkeys(order, verdict), (again,)) == first
    assert len(first.suspects) < 2


def _leg(name: str, kind: str = "kvm", **facts: str) -> Target:
    """A leg of which only the fingerprint matters."""
    leg = ModelTarget(Profile(), name)
    leg.kind = kind
    leg.fingerprint = {"lab.qemu": "7.2", "lab.kernel_sha256": "0", "mode": "vhe"} | {
        key.replace("__", "."): value for key, value in facts.items()
    }
    return leg


@pytest.mark.parametrize(
    ("facts", "decides"),
    [
        ({}, Decides.KERNEL),
        ({"mode": "nvhe", "boot_cmdline": "kvm-arm.mode=nvhe"}, Decides.KERNEL),
        ({"lab__kernel_sha256": "1", "release": "7.2"}, Decides.CPU),
        ({"mode": "protected"}, None),
        ({"vqs": "1,2"}, None),
        ({"cap__el2": "1"}, None),
        ({"lab__qemu": "10.0"}, None),
        ({"kind": "emulator"}, None),
    ],
)
def test_twins_run_on_one_machine(facts: dict[str, str], decides: Decides | None) -> None:
    found = twins([_leg("a"), _leg("b", **facts)])
    assert [group.decides for group in found] == ([] if decides is None else [decides])


def test_legs_of_one_kernel_are_compared_before_those_of_others() -> None:
    legs = [_leg("a"), _leg("c", lab__kernel_sha256="1"), _leg("b", mode="nvhe")]
    assert twins(legs) == (
        Twins(("a", "b"), Decides.KERNEL),
        Twins(("a", "b", "c"), Decides.CPU),
    )
