"""Legs against each other: who is held against whom, in what, and who is named."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from scripted import LAB, Scripted, agree, diverge, sound, wrong

from corpus import registers as regs
from corpus.case import Case
from corpus.ops import GetEvents, GetMp, GetReg, HostRun, Migrate, ReadAll, ReadMem, RegList, Run
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.wire import RUN_DATA, RUN_NOT_RUNNABLE, RUN_TIMED_OUT
from fuzz.oracle.agreement import Compared, compare, concerns
from fuzz.oracle.conformance import judge
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere, Seen
from fuzz.oracle.facts import answer, contents, end, late_at, reads_fewer, time_ran_out
from fuzz.oracle.twins import Twins, twins
from fuzz.oracle.verdict import Agree, Diverge, Verdict
from targets.profile import Profile
from targets.spec.errors import Decides

EINTR, ENOENT, EBADF, ENOEXEC, EPERM, EFAULT, EINVAL = 4, 2, 9, 8, 1, 14, 22
KERNEL, CPU = Decides.KERNEL, Decides.CPU
OK = Observation(0)


def ends(reason: int = 6, address: int = 0x5000_0000, flags: int = 0, err: int = 0) -> Observation:
    return Observation(err, 0, RUN_DATA.pack(reason, 1, address, 7, 8, flags))


def word(value: int) -> Observation:
    return Observation(0, 0, value.to_bytes(8, "little"))


def stopped(at: int, reason: str = "nobody knows", decides: Decides = CPU) -> Agree:
    return replace(agree(at, reason), decides=decides)


def held(
    text: str,
    *legs: Sequence[Observation],
    at: int = 1,
    groups: Sequence[Twins] | None = None,
    asked: Decides = KERNEL,
    verdict: Agree | None = None,
) -> Mapping[str, Diverge]:
    """Legs a, b, ... on a case on which the model stopped at op `at`."""
    names = "abcde"[: len(legs)]
    traces = {name: Trace(tuple(seen)) for name, seen in zip(names, legs, strict=True)}
    verdicts = dict.fromkeys(names, verdict or stopped(at))
    found = compare(parse_case(text), traces, verdicts, groups or (Twins(tuple(names), asked),))
    return found.suspects


# -- whether there is anything to compare ------------------------------------------------------


def test_legs_are_held_against_each_other_where_the_model_stopped_on_two() -> None:
    silent, spoke = stopped(1), agree(2)
    rows: list[tuple[Sequence[Verdict], bool]] = [
        ((), False),
        ((silent,), False),
        ((spoke, spoke), False),
        ((silent, spoke), False),
        ((silent, diverge()), False),
        ((silent, silent), True),
        ((silent, diverge(), silent), True),
    ]
    for verdicts, wanted in rows:
        assert concerns({str(n): v for n, v in enumerate(verdicts)}) is wanted


def test_without_twins_nothing_is_compared() -> None:
    legs = [Scripted(name, fingerprint={}) for name in "ab"]
    traces = {"a": Trace((OK, ends())), "b": Trace((OK, ends(17)))}
    seen = Seen(traces, dict.fromkeys("ab", stopped(1)))
    case = parse_case("create v0\nrun v0 { }\n")
    assert Everywhere(legs).compare(case, seen) == Compared()
    alike = [Scripted(name) for name in "ab"]
    assert set(Everywhere(alike).compare(case, seen).suspects) == {"a", "b"}
    spoke = Seen(traces, dict.fromkeys("ab", agree(2)))
    assert Everywhere(alike).compare(case, spoke) == Compared()


RUNS = "create v0\nrun v0 { }\n"


def compared(
    traces: Mapping[str, Trace], verdicts: Mapping[str, Verdict], asked: Decides = KERNEL
) -> str:
    groups = (Twins(tuple(sorted({*traces, *verdicts})), asked),)
    return "".join(sorted(compare(parse_case(RUNS), traces, verdicts, groups).legs))


def test_only_those_on_which_the_model_stopped_alike_are_compared() -> None:
    trace = Trace((OK, ends()))
    a, b = {"a": trace}, {"b": trace}
    same = stopped(1)
    assert compared(a | b, {"a": same, "b": same}) == "ab"
    for other in (
        stopped(1, "another reason"),
        stopped(1, decides=KERNEL),
        stopped(0),
        agree(1),
        diverge(),
    ):
        assert compared(a | b, {"a": same, "b": other}) == ""
    assert compared(a, {"a": same, "b": same}) == ""  # one that left no trace
    assert compared(a | b, {"a": agree(1), "b": agree(1)}) == ""  # nothing was left unjudged
    three = a | b | {"c": trace}
    for name in "abc":
        others = "".join(sorted({*"abc"} - {name}))
        assert compared(three, {**dict.fromkeys("abc", same), name: diverge()}) == others
    assert compared(a | b, {"a": same}) == ""
    differed = {"b": Trace((Observation(17), ends()))}
    assert compared(a | differed, {"a": same, "b": same}) == ""
    broke = {"b": replace(trace, ending=Ending.HOST_LOG)}
    assert compared(a | broke, {"a": same, "b": same}) == ""


@pytest.mark.parametrize(
    ("decides", "asked", "wanted"),
    [
        *((Decides.NOTHING, KERNEL, "ab"), (Decides.NOTHING, CPU, "")),
        *((KERNEL, KERNEL, "ab"), (KERNEL, CPU, ""), (CPU, KERNEL, "ab"), (CPU, CPU, "ab")),
    ],
)
def test_other_kernels_are_compared_where_the_processor_decides(
    decides: Decides, asked: Decides, wanted: str
) -> None:
    traces = dict.fromkeys("ab", Trace((OK, ends())))
    verdicts = dict.fromkeys("ab", stopped(1, decides=decides))
    assert compared(traces, verdicts, asked) == wanted


def test_a_larger_group_may_tell_the_odd_one_and_no_other_group_may_say_more() -> None:
    odd = [[OK, ends()], [OK, ends(17)], [OK, ends()], [OK, ends(9)], [OK, ends(8)]]
    two, three = Twins(("a", "b"), KERNEL), Twins(("a", "b", "c"), KERNEL)
    others = Twins(("d", "e"), KERNEL)
    for groups, named in (
        ((two,), "ab"),
        ((two, three), "b"),
        ((three, two), "b"),
        ((two, others), "ab"),
        ((others, two), "de"),
        ((two, two), "ab"),
        ((Twins(("a", "c"), KERNEL), three), "b"),
    ):
        assert "".join(held(RUNS, *odd, groups=groups)) == named


def test_of_two_groups_that_name_the_same_the_first_has_its_say() -> None:
    text = "create v0\nread-all v0\n"
    legs = [OK, pack(z=[None], v=[1])], [OK, pack(z=[None], v=[None])]
    by_kernel, by_cpu = Twins(("a", "b"), KERNEL), Twins(("a", "b"), CPU)
    assert held(text, *legs, groups=(by_kernel, by_cpu))["a"].label == "registers read"
    assert held(text, *legs, groups=(by_cpu, by_kernel))["a"].label == "v0"


def test_legs_are_named_in_the_order_of_their_names() -> None:
    groups = (Twins(("c", "b", "a"), KERNEL),)
    found = held(RUNS, [OK, ends(9)], [OK, ends(17)], [OK, ends()], groups=groups)
    assert list(found) == ["a", "b", "c"]
    assert "0x9 on a; 0x11 on b; 0x6 on c" in found["a"].explanation


# -- from where, and in what -------------------------------------------------------------------


def test_what_is_missing_of_a_trace_is_a_difference() -> None:
    found = held(RUNS, [OK, ends()], [OK])
    (verdict,) = set(found.values())
    assert (verdict.label, verdict.expected, verdict.observed) == ("observation", "one", "none")
    assert held(RUNS, [OK], [OK]) == {}
    assert held(RUNS, [OK, ends()], [OK], asked=CPU) == {}


def test_how_legs_answer_comes_first() -> None:
    looks = "create v0\nget v0 x3\n"
    found = held(looks, [OK, word(1)], [OK, Observation(EINVAL)])
    assert (found["a"].label, found["a"].observed) == ("errno", "EINVAL")


def test_a_value_that_the_other_does_not_have_is_called_nothing() -> None:
    text = "create v0\nread-all v0\n"
    more, less = pack(v=[1], x=[2]), pack(v=[1, 2])
    found = held(text, [OK, more], [OK, less])
    assert found["a"].label == "registers read"
    assert held(text, [OK, more], [OK, less], asked=CPU) == {}  # they did not answer alike
    first, second = pack(z=[None], v=[1]), pack(z=[None], v=[None])
    found = held(text, [OK, first], [OK, second], asked=CPU)
    assert (found["a"].label, found["a"].observed) == ("v0", "nothing")
    found = held(text, [OK, second], [OK, first], asked=CPU)
    assert (found["a"].label, found["a"].expected) == ("v0", "nothing")


LATER = "create v0\ninit v0\nrun v0 { }\nget v0 x3\nrun v0 { }\nget v0 x3\n"
PLAIN = LATER.replace("init v0", "init v0 features=psci_0_2")
OTHERS = PLAIN.replace("run v0 { }\nget v0 x3\nrun v0", "run v0 { }\nget v0 x3\nrun v1")


@pytest.mark.parametrize(
    ("text", "index", "asked", "shows"),
    [
        (LATER, 3, KERNEL, True),
        (LATER, 5, KERNEL, False),  # vectors that nobody knows were there
        (PLAIN, 3, KERNEL, True),
        (PLAIN, 5, KERNEL, True),
        (OTHERS, 3, KERNEL, True),
        (OTHERS, 5, KERNEL, False),  # what another vcpu did to memory
        (PLAIN, 3, CPU, True),
        (PLAIN, 5, CPU, False),
        (PLAIN.replace("features=psci_0_2", "features=bit16"), 5, KERNEL, True),
        (PLAIN.replace("create v0", "migrate v0 to=v1"), 5, KERNEL, False),
        (LATER.replace("run v0", "host-run v0"), 3, KERNEL, True),
        (LATER.replace("run v0", "host-run v0"), 5, KERNEL, False),
    ],
)
def test_how_far_registers_are_followed(text: str, index: int, asked: Decides, shows: bool) -> None:
    first = [OK, OK, ends(), word(1), ends(), word(1)]
    second = [*first[:index], word(2), *first[index + 1 :]]
    found = held(text, first, second, at=2, asked=asked)
    assert bool(found) is shows
    if shows:
        assert (found["a"].op_index, found["a"].label) == (index, "x3")
        assert (found["a"].expected[-1], found["a"].observed[-1]) == ("1", "2")


def test_registers_are_not_followed_where_nobody_decides() -> None:
    first = [OK, OK, ends(), word(1), ends(), word(1)]
    second = [OK, OK, ends(17), word(2), ends(), word(2)]
    for decides, shows in ((Decides.NOTHING, False), (KERNEL, True), (CPU, True)):
        verdict = stopped(2, decides=decides)
        assert bool(held(PLAIN, first, second, at=2, verdict=verdict)) is shows


def test_registers_are_not_followed_behind_an_endless_loop() -> None:
    late = ends(flags=RUN_TIMED_OUT, err=EINTR)
    for word_ in ("run", "host-run"):
        text = PLAIN.replace("run v0", f"{word_} v0")
        for ended in (late, ends()):
            legs = [[OK, OK, late, word(1)], [OK, OK, ended, word(2)]]
            found = held(text, *legs, at=2)
            assert [verdict.op_index for verdict in found.values()] == (
                [] if ended is late else [2, 2]
            )


def test_what_another_vcpu_holds_was_not_asked_but_how_it_answers_was() -> None:
    text = "create v0\nrun v0 { }\nget v1 x3\nget v0 x3\n"
    same = [OK, ends(), word(1), word(1)]
    assert held(text, same, [OK, ends(), word(2), word(1)]) == {}
    assert held(text, same, [OK, ends(), Observation(EINVAL), word(1)])["a"].label == "errno"
    assert held(text, same, [OK, ends(), word(1), word(2)])["a"].label == "x3"


def test_ops_of_the_vm_are_about_the_vcpu_in_question() -> None:
    text = "create v0\nrun v0 { }\nread-mem 0x8000\n"
    found = held(text, [OK, ends(), word(1)], [OK, ends(), word(2)])
    assert found["a"].label == "data"


@pytest.mark.parametrize(
    "other",
    [Observation(EINVAL, 0, bytes(8)), Observation(0, 1, bytes(8)), Observation(0, 0, bytes(4))],
)
def test_other_kernels_that_answered_otherwise_are_compared_no_further(other: Observation) -> None:
    text = "create v0\nrun v0 { }\nget-mp v0\nget v0 x3\n"
    first = [OK, ends(), Observation(0, 0, bytes(8)), word(1)]
    same = [OK, ends(), Observation(0, 0, bytes(8)), word(2)]
    assert held(text, first, same, asked=CPU)["a"].label == "x3"
    assert held(text, first, [OK, ends(), other, word(2)], asked=CPU) == {}
    assert held(text, first, [OK, ends(), other, word(2)]) != {}


# -- who is named ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasons", "named", "expected", "observed"),
    [
        ((6, 17), "ab", 6, 17),
        ((6, 17, 6), "b", 6, 17),
        ((17, 6, 6), "a", 6, 17),
        ((6, 17, 9), "abc", 6, 17),
        ((6, 6, 17, 17), "abcd", 6, 17),
        ((6, 17, 17, 6), "abcd", 6, 17),
        ((6, 6, 17, 9), "abcd", 6, 17),
        ((6, 17, 6, 6), "b", 6, 17),
        ((6, 9, 6, 17, 6), "bd", 6, 9),
    ],
)
def test_the_minority_is_named_or_all(
    reasons: tuple[int, ...], named: str, expected: int, observed: int
) -> None:
    found = held(RUNS, *([OK, ends(reason)] for reason in reasons))
    assert "".join(found) == named
    (verdict,) = set(found.values())
    assert (verdict.expected, verdict.observed) == (hex(expected), hex(observed))


def test_what_is_told_of_a_difference() -> None:
    found = held(RUNS, [OK, ends()], [OK, ends(17)], [OK, ends()])["b"]
    assert (found.oracle, found.op_index, found.op_word) == ("legs", 1, "run")
    assert (found.rule, found.strict) == ("legs.agree", False)
    assert found.rules == frozenset({"legs.agree"})
    assert found.explanation == (
        "op 1 (run): exit reason is 0x6 on a, c; 0x11 on b; the model predicts nothing there "
        "(nobody knows), but legs on one machine should agree"
    )


# -- facts -------------------------------------------------------------------------------------


def pack(**groups: Sequence[int | None]) -> Observation:
    """A look at all: per group, values, None for one that cannot be read (ENOENT)."""
    sizes = {"z": 32, "v": 16, "x": 8}
    data = b""
    for name, values in groups.items():
        size = sizes[name]
        for value in values:
            err = ENOENT if value is None else 0
            data += struct.pack("<II", err, size) + (value or 0).to_bytes(size, "little")
    return Observation(0, 0, data)


NO_SVE = {"z": [None], "v": [5, None, *range(30)], "x": [7, *range(30)]}


def test_how_a_run_answers_is_whether_it_came_to_run() -> None:
    for op in (Run(0), HostRun(0)):
        for err, name in ((EBADF, "EBADF"), (ENOEXEC, "ENOEXEC"), (EPERM, "EPERM")):
            assert answer(op, Observation(err)) == {"errno": name}
        for err in (0, EINTR, EFAULT, EINVAL):
            assert answer(op, Observation(err)) == {"errno": "a run"}


def test_what_each_op_answers() -> None:
    seen = Observation(7, 3, bytes(16))
    assert answer(RegList(0), seen) == {"errno": "E2BIG", "size": "16 bytes"}
    assert answer(Migrate(0), seen) == {"errno": "E2BIG", "stage": "3"}
    assert answer(GetMp(0), seen) == {"errno": "E2BIG"}
    read = pack(**NO_SVE)
    assert answer(ReadAll(0), read) == {
        "errno": "success",
        "registers read": f"62 in {len(read.data)} bytes; z0: ENOENT; v1: ENOENT",
    }
    torn = Observation(0, 0, read.data[:-1])
    assert answer(ReadAll(0), torn)["registers read"] == f"0 in {len(torn.data)} bytes"


def test_how_a_run_ended() -> None:
    wanted = {
        "errno": "success",
        "exit reason": "0x6",
        "kind of exit": "0x1",
        "mmio address": "0x50000000",
        "mmio data": "0x7",
        "mmio length": "0x8",
        "flags": "0x0",
    }
    for op in (Run(0), HostRun(0)):
        assert end(op, ends()) == wanted
        assert end(op, Observation(0, 0, ends().data + b"more")) == wanted
        assert end(op, Observation(0, 0, ends().data[:-1])) == {}
    assert end(GetReg(0, regs.X_IDS[1]), ends()) == {}


def test_what_a_look_shows_is_followed_where_no_choice_shows() -> None:
    found = contents(ReadAll(0), pack(**NO_SVE))
    assert found.keys() == {"v0", *(f"v{n}" for n in range(2, 32)), *(f"x{n}" for n in range(31))}
    assert found["x0"].endswith("7")
    assert found["v0"] == "[0]=05 [1..15]=00"
    assert contents(ReadAll(0), Observation(EINVAL, 0, pack(**NO_SVE).data)) == {}
    assert contents(ReadAll(0), pack(z=[None], v=[None], x=[7])).keys() == {"x0"}
    predicates_too = contents(ReadAll(0), pack(z=[1] * 40))
    assert predicates_too.keys() == {f"z{n}" for n in range(32)}


def test_of_a_vector_register_the_low_128_bits_are_followed() -> None:
    found = [contents(ReadAll(0), pack(z=[1 << bit | 1]))["z0"] for bit in (1, 127, 128, 200)]
    assert found[2] == found[3] == contents(ReadAll(0), pack(z=[1]))["z0"]
    assert len({*found}) == 3


@pytest.mark.parametrize(
    ("name", "followed"),
    [
        *(("x3", True), ("sp", True), ("pc", True), ("z3", True), ("v3", True), ("x30", True)),
        *(("p3", False), ("ffr", False), ("zcr_el1", False), ("pstate", False)),
        *(("fpsr", False), ("sp_el1", False), ("vbar_el1", False), ("cpacr_el1", False)),
    ],
)
def test_which_registers_are_followed(name: str, followed: bool) -> None:
    op = GetReg(0, regs.REGISTERS[name].id)
    assert contents(op, word(1)).keys() == ({name} if followed else set())
    assert contents(op, Observation(EINVAL, 0, bytes(8))) == {}
    assert contents(GetReg(0, op.reg, 4), word(1)) == {}


def test_memory_and_power_are_followed_whole() -> None:
    long = b"\1" * 32
    for op in (ReadMem(0x8000), GetMp(0), GetEvents(0)):
        found = contents(op, Observation(0, 0, long))
        assert found.keys() == {"data"}
        assert found != contents(op, Observation(0, 0, long[:16] + bytes(16)))
    assert contents(RegList(0), Observation(0, 0, long)) == {}


def test_a_look_without_the_last_group_read_fewer_registers_than_today() -> None:
    case = parse_case("create v0\ninit v0\nfinalize v0\nread-all v0\n")
    op, seen = case.ops[3], sound(case).observations[3]
    assert not reads_fewer(op, seen)
    fewer = replace(seen, data=seen.data[:-8])  # one header, of an errno
    assert reads_fewer(op, fewer)
    assert reads_fewer(op, replace(seen, data=b""))
    assert not reads_fewer(op, replace(fewer, err=EINVAL))
    assert not reads_fewer(GetMp(0), fewer)


def test_of_ops_without_lists_only_their_own_time_counts() -> None:
    late = ends(flags=RUN_TIMED_OUT, err=EINTR)
    case = parse_case(
        "create v0\nrun v0 { }\nthreads {\nget-mp v0\n} {\nrun v0 { }\n}\nget-mp v0\n"
    )
    seen = Trace((OK, late, OK, OK, late))
    assert [late_at(case, seen, index) for index in range(6)] == [
        *(False, True, True, False, True, False),
    ]
    assert not late_at(case, Trace((OK, OK, OK, OK, OK, late)), 2)


def test_when_a_run_s_time_ran_out() -> None:
    assert time_ran_out(ends(flags=RUN_TIMED_OUT, err=EINTR))
    assert time_ran_out(ends(flags=RUN_TIMED_OUT | RUN_NOT_RUNNABLE, err=EINTR))
    assert not time_ran_out(ends(flags=RUN_NOT_RUNNABLE, err=EINTR))
    assert not time_ran_out(ends(flags=RUN_TIMED_OUT))
    late = ends(flags=RUN_TIMED_OUT, err=EINTR)
    assert time_ran_out(replace(late, data=late.data + b"more"))
    assert not time_ran_out(replace(late, data=late.data[:-1]))
    assert not time_ran_out(None)


# -- twins -------------------------------------------------------------------------------------

FACTS = (
    *("lab.qemu", "lab.executor", "midr", "page_size", "vqs", "preferred_target"),
    *("id_aa64pfr0", "id_aa64pfr1", "id_aa64zfr0", "id_aa64smfr0"),
    *("id_aa64isar0", "id_aa64isar1", "id_aa64isar2", "cap.el2", "cap.other"),
)


def pair(second: Mapping[str, str], first: Mapping[str, str] | None = None) -> Sequence[Twins]:
    a = Scripted("a", fingerprint={**LAB, **(first or {})})
    return twins([a, Scripted("b", fingerprint={**LAB, **second})])


@pytest.mark.parametrize("fact", FACTS)
def test_what_a_processor_is_makes_legs_one_machine(fact: str) -> None:
    assert len(pair({fact: "1"}, {fact: "1"})) == 1
    assert pair({fact: "1"}, {fact: "2"}) == ()


def test_what_is_so_of_one_fact_is_not_of_another() -> None:
    assert pair({"midr": "1", "page_size": "2"}, {"midr": "2", "page_size": "1"}) == ()
    assert pair({"cap.a": "1", "cap.b": "0"}, {"cap.a": "0", "cap.b": "1"}) == ()


@pytest.mark.parametrize("fact", ["boot_cmdline", "release", "id_aa64mmfr0", "leg", "caps"])
def test_what_only_kernels_care_for_does_not(fact: str) -> None:
    assert pair({fact: "1"}, {fact: "2"}) == (Twins(("a", "b"), KERNEL),)


def test_modes_in_which_kvm_offers_the_same() -> None:
    assert len(pair({"mode": "nvhe"})) == 1
    assert pair({"mode": "protected"}) == pair({"mode": "nested"}) == ()
    assert len(pair({"mode": "protected"}, {"mode": "protected"})) == 1
    assert pair({"mode": "protected"}, {"mode": "nested"}) == ()


def test_each_machine_has_twins_of_its_own() -> None:
    def leg(name: str, kernel: str, midr: str) -> Scripted:
        facts = {"midr": midr, **LAB} if name in "ac" else {**LAB, "midr": midr}
        return Scripted(name, fingerprint={**facts, "lab.kernel_sha256": kernel})

    legs = [leg("d", "0", "2"), leg("b", "1", "1"), leg("c", "0", "2"), leg("a", "1", "1")]
    same_kernel = Twins(("a", "b"), KERNEL), Twins(("c", "d"), KERNEL)
    assert twins(legs) == same_kernel
    legs += [leg("e", "2", "1"), leg("f", "3", "3")]
    assert twins(legs) == (*same_kernel, Twins(("a", "b", "e"), CPU))


def test_only_kernels_of_the_lab_have_twins() -> None:
    native = {k: v for k, v in LAB.items() if k != "lab.qemu"}
    assert twins([Scripted(name, fingerprint=native) for name in "ab"]) == ()
    assert twins([Scripted(name, kind="emulator") for name in "ab"]) == ()
    assert twins([Scripted("a")]) == ()


# -- which rule is named -----------------------------------------------------------------------


def test_only_what_an_instruction_left_in_fpsr_is_about_cumulative_bits() -> None:
    up = "create v0\ninit v0\nfinalize v0\n"
    run = "set v0 cpacr_el1 0x330000\nrun v0 {\n fdiv v1.4s, v2.4s, v3.4s\n}\n"
    for text, rule in (("set v0 fpsr 0\n", "core.fpsr"), (run, "fpsr.cumulative")):
        case = parse_case(f"{up}{text}get v0 fpsr\n")
        last = len(case.ops) - 1
        size = len(sound(case).observations[last].data)
        found = judge(case, wrong(case, last, Observation(0, 0, b"\1" * size)), Profile())
        assert isinstance(found, Diverge)
        assert found.rule == rule


def test_what_is_permitted_is_so_by_rules_and_by_how_it_ended() -> None:
    case = parse_case("create v0\ninit v0\n")
    found = judge(case, sound(case), Profile())
    assert isinstance(found, Agree)
    assert {"vcpu.create", "init.first", "ending.ok"} <= found.rules
    assert found.judged == 2
    seen = judge(case, wrong(case, 1), Profile())
    assert isinstance(seen, Diverge)
    assert seen.oracle == "conformance"
    assert "ending.ok" not in seen.rules


@pytest.mark.parametrize(
    ("at", "observed", "index"),
    [
        *((3, 1, 3), (0, 4, 0), (5, 2, 5), (6, 2, 1), (None, 2, 1), (None, 1, 0)),
        *((None, 0, 4), (6, 0, 4)),
    ],
)
def test_where_a_case_broke(at: int | None, observed: int, index: int) -> None:
    """Where the leg says, else at the last op that was seen, else at the last run."""
    text = "create v0\ninit v0\nfinalize v0\nrun v0 { }\nrun v0 { }\nget v0 x1\n"
    case = parse_case(text)
    seen = sound(case).observations[:observed]
    found = judge(case, Trace(seen, Ending.CRASH, at=at), Profile())
    assert isinstance(found, Diverge)
    assert (found.op_index, found.op_word) == (index, case.ops[index].word)
    assert (found.oracle, found.rule, found.label) == ("ending", "ending.ok", "ending")
    assert (found.expected, found.observed, found.strict) == ("ok", "crash", True)
    idle = Case(case.ops[:3])
    found = judge(idle, Trace((), Ending.HANG), Profile())
    assert isinstance(found, Diverge)
    assert (found.op_index, found.observed) == (0, "hang")
    nothing = judge(Case(()), Trace((), Ending.CRASH), Profile())
    assert isinstance(nothing, Diverge)
    assert (nothing.op_index, nothing.op_word) == (0, "")


@pytest.mark.parametrize("word_", ["run", "host-run"])
@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["mov x1, #1", "ptrue p1.b", "add x1, x1, x1"], "isa.ptrue"),
        (["ptrue p1.b", "ldr x1, [x2, #0]", "nop"], "isa.ldr_x"),
        (["mov x1, #1"], None),
        ([], None),
    ],
)
def test_a_run_that_ended_otherwise_is_its_last_vector_or_memory_instruction_s_doing(
    word_: str, lines: list[str], named: str | None
) -> None:
    body = "".join(f" {line}\n" for line in lines)
    case = parse_case(f"create v0\n{word_} v0 {{\n{body}}}\n")
    for rule in ("run.exit", "run.fails", "ending.ok"):
        assert responsible(case, diverge(op_index=1, rule=rule)) == (named or rule)
        assert responsible(case, diverge(op_index=0, rule=rule)) == rule
    assert responsible(case, diverge(op_index=1, rule="sve.z")) == "sve.z"
    assert responsible(Case(()), diverge(rule="ending.ok")) == "ending.ok"


def test_why_a_verdict_stopped_is_told_without_its_numbers() -> None:
    assert agree(reason="0x12 at 0xab then 7").why == "0x.. at 0x.. then 7"
    assert diverge().wrong == 0
    assert "observed 0x1 (byte 3)" in diverge(detail="byte 3").explanation
    assert diverge().explanation.endswith("observed 0x1")


DISTURBED = "create v0\ndisturb {} {{\n    get-mp v0\n}}\nget-mp v0\n"


def test_where_chance_decides_nobody_is_held_against_anybody() -> None:
    threads = "create v0\nthreads {\nget-mp v0\n} {\nget-mp v0\n}\nget-mp v0\n"
    for text in (threads, DISTURBED.format("step")):
        case = parse_case(text)
        traces = {
            name: Trace((OK, *[word(n)] * (len(case.ops) - 1))) for n, name in enumerate("ab")
        }
        found = compare(case, traces, dict.fromkeys("ab", stopped(1)), (Twins(("a", "b"), KERNEL),))
        assert found == Compared()


def test_machines_may_differ_in_the_strangers_they_have() -> None:
    text = DISTURBED.format("signal")
    met, never = Observation(0, 0, b"met"), Observation(95)
    assert held(text, [OK, met, OK, OK], [OK, never, OK, OK]) == {}
    told = held(text, [OK, met, OK, OK], [OK])
    assert {one.label for one in told.values()} == {"observation"}
    behind = held(text, [OK, met, OK, OK], [OK, never, OK, Observation(EINVAL)])
    assert {(one.op_index, one.label) for one in behind.values()} == {(3, "errno")}
