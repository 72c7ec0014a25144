"""Minimising: the order of simplicity, what each pass proposes, and what the engine keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from strategies import cases

from corpus import registers as regs
from corpus.case import Case
from corpus.ops import Finalize, GetReg, Init, Migrate, ReadAll, Run, SetReg
from corpus.text import format_op, parse_case
from fuzz.followup import passes
from fuzz.followup.minimise import Minimizer, ShrinkPass, backwards
from fuzz.followup.passes import PASSES, cost

CASE = parse_case(
    "create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\n"
    "run v0 {\n nop\n ptrue p3.b, all\n mov x7, #9\n}\n"
    "get v0 z3\nread-all v0\n"
)
A, B, C, D = (GetReg(0, regs.Z_IDS[n]) for n in range(4))


def case_of(text: str) -> Case:
    return parse_case(text)


# -- the order -------------------------------------------------------------------------------


def test_fewer_ops_are_simpler_than_anything_else() -> None:
    short = Case((CASE.ops[4], CASE.ops[6]))  # a program and a look at all
    assert cost(short) < cost(Case((A, A, A)))
    assert cost(CASE)[:3] == (7, 3, 1)
    assert cost(Case((A, A))) < cost(Case((A, ReadAll(0))))
    assert cost(Case((ReadAll(0), ReadAll(0))))[2] == 2


def test_then_fewer_instructions_then_fewer_looks_then_simpler_fields() -> None:
    run = CASE.ops[4]
    assert isinstance(run, Run)
    fewer = replace(run, program=run.program[:2])
    assert cost(Case((fewer, ReadAll(0)))) < cost(Case((run, A)))
    assert cost(Case((run, fewer)))[1] == 5
    simpler, harder = case_of("init v0 features=sve\n"), case_of("init v0 features=sve,pmu_v3\n")
    assert cost(simpler) < cost(harder)
    assert cost(simpler)[:3] == cost(harder)[:3]


def test_how_far_from_simple_counts_before_how_long() -> None:
    weights = [cost(case_of(f"set v0 z3 {value}\n"))[3] for value in ("0x0", "0xab*")]
    assert weights == sorted(weights)
    assert len(weights[0].partition(CASE.ops[0].word)[0]) >= 12
    assert len(set(weights)) == 2


def test_a_field_with_very_many_simpler_values_counts_as_64() -> None:
    distant = Case((Init(0, (1 << 200) - 1),))
    assert 64 <= int(cost(distant)[3][:6]) < 80
    assert len(list(passes._some(iter(range(100))))) == 64
    assert len(list(passes._some(iter(range(64))))) == 64
    assert len(list(passes._some(iter(range(3))))) == 3


# -- the passes ------------------------------------------------------------------------------


def proposals(one: Callable[[Case], Iterator[Case]], case: Case) -> list[tuple[object, ...]]:
    return [candidate.ops for candidate in one(case)]


def test_ops_are_dropped_in_long_runs_first_and_from_the_end() -> None:
    assert proposals(passes.drop_ops, Case((A, B, C, D))) == [
        *((A, B), (A, D), (C, D)),
        *((A, B, C), (A, B, D), (A, C, D), (B, C, D)),
    ]
    assert proposals(passes.drop_ops, Case((A,))) == []
    assert proposals(passes.drop_ops, Case((A, B, C)))[0] == (A, B)


def test_instructions_are_dropped_in_long_runs_first() -> None:
    run = CASE.ops[4]
    assert isinstance(run, Run)
    a, b, c = run.program
    case = Case((A, run, run))
    programs = [
        (ops[1].program, ops[2].program)  # type: ignore[attr-defined]
        for ops in proposals(passes.drop_instructions, case)
    ]
    first = [(), (b, c), (a, c), (a, b)]
    assert programs == [*((p, run.program) for p in first), *((run.program, p) for p in first)]
    assert all(ops[0] == A for ops in proposals(passes.drop_instructions, case))
    assert proposals(passes.drop_instructions, Case((A,))) == []


def test_a_look_at_all_becomes_a_look_at_each() -> None:
    found = proposals(passes.look_closer, Case((A, ReadAll(1), B)))
    assert [ops[1] for ops in found] == [GetReg(1, one.id) for one in regs.REGISTERS.values()]
    assert all((ops[0], ops[2]) == (A, B) for ops in found)
    assert proposals(passes.look_closer, Case((A,))) == []


def test_vcpus_move_to_lower_slots_with_all_their_ops() -> None:
    case = case_of("preferred-target\ncreate v2\ncreate v1\nget v2 x0\n")
    texts = ["".join(f"{format_op(op)}\n" for op in one.ops) for one in passes.lower_slots(case)]
    head = "preferred-target\n"
    assert texts == [
        head + "create v0\ncreate v1\nget v0 x0\n",
        head + "create v1\ncreate v2\nget v1 x0\n",
        head + "create v2\ncreate v0\nget v2 x0\n",
    ]
    (moved,) = list(passes.lower_slots(case_of("create v0\nmigrate v0 to=v1\n")))
    assert [format_op(op) for op in moved.ops] == ["create v1", "migrate v1 to=v0"]
    alone = case_of("create v1\ninit v1\nget v1 x0\n")

    def still(one: Case) -> bool:
        return len(one.ops) == 3 and len({getattr(op, "vcpu", -1) for op in one.ops}) == 1

    minimal = Minimizer(still, 99, 60).minimize(alone)
    assert minimal.ops[0] == case_of("create v0\n").ops[0]


def test_features_get_simpler_in_all_that_ask_for_the_same() -> None:
    text = "init v0 features=sve,psci_0_2\nget v0 x0\ninit v1 features=sve\n"
    case = case_of(f"{text}migrate v0 to=v2 features=sve,psci_0_2\n")
    found = list(passes.share_features(case))
    assert case_of(f"{text}migrate v0 to=v2\n".replace(",psci_0_2", "")) in found
    for candidate in found:
        first, *kept, last = candidate.ops
        assert isinstance(first, Init)
        assert isinstance(last, Migrate)
        assert first.features == last.features < 1 << 7
        assert kept == list(case.ops[1:3])
    assert not list(passes.share_features(case_of(text)))
    refused_alone = case_of("init v0 features=sve,psci_0_2\ninit v0 features=sve,psci_0_2\n")

    def alike(one: Case) -> bool:
        return len({op.features for op in one.ops if isinstance(op, Init)}) == 1 < len(one.ops)

    minimal = Minimizer(alike, 99, 60).minimize(refused_alone)
    assert minimal.ops == case_of("init v0\ninit v0\n").ops


def test_fields_are_simplified_one_by_one_but_not_of_runs() -> None:
    case = case_of("set v1 z3 0xab*\nrun v1 {\n nop\n}\nfinalize v0 what=7\n")
    found = list(passes.simplify_fields(case))
    assert found
    for candidate in found:
        differing = [
            n for n, (a, b) in enumerate(zip(case.ops, candidate.ops, strict=True)) if a != b
        ]
        assert differing in ([0], [2])
    assert {op for candidate in found for op in candidate.ops[:1]} > {
        parse_case("set v0 z3 0xab*\n").ops[0]
    }
    assert any(candidate.ops[2] == Finalize(0) for candidate in found)


def test_operands_are_simplified_one_instruction_at_a_time() -> None:
    case = case_of("run v0 {\n mov x7, #9\n nop\n ptrue p3.b, all\n}\nget v0 z3\n")
    run = case.ops[0]
    assert isinstance(run, Run)
    found = list(passes.simplify_operands(case))
    changed = set()
    for candidate in found:
        new = candidate.ops[0]
        assert isinstance(new, Run)
        assert candidate.ops[1] == case.ops[1]
        assert [i.form for i in new.program] == [i.form for i in run.program]
        (index,) = [n for n in range(3) if new.program[n] != run.program[n]]
        changed.add(index)
    assert changed == {0, 2}


def test_what_is_asked_of_the_host_is_dropped_last() -> None:
    assert list(passes.drop_requirement(Case((A,), 4))) == [Case((A,), 0)]
    assert list(passes.drop_requirement(Case((A,)))) == []
    assert [one.__name__ for one in PASSES] == [
        *("drop_ops", "drop_instructions", "join_runs", "look_closer", "lower_slots"),
        *("share_features", "simplify_fields", "simplify_operands", "drop_requirement"),
    ]


@settings(max_examples=60, deadline=None)
@given(cases)
def test_every_pass_but_the_last_keeps_what_the_host_needs(case: Case) -> None:
    case = Case(case.ops, 7)
    for one in PASSES[:-1]:
        for count, candidate in enumerate(one(case)):
            assert candidate.min_vq == 7
            assert candidate != case
            if count == 20:
                break


# -- the engine ------------------------------------------------------------------------------


def needs(*ops: object) -> Callable[[Case], bool]:
    return lambda case: set(ops) <= set(case.ops)


def test_all_that_is_not_needed_goes() -> None:
    target = SetReg(0, regs.Z_IDS[3], CASE.ops[3].value)  # type: ignore[attr-defined]
    minimizer = Minimizer(needs(target, Finalize(0)), 1000, 60)
    assert minimizer.minimize(CASE).ops == (Finalize(0), target)


def test_what_cannot_be_smaller_comes_back_itself() -> None:
    assert Minimizer(lambda _: False, 1000, 60).minimize(CASE) is CASE


def test_the_first_pass_alone_leaves_out_ops() -> None:
    target = SetReg(0, regs.Z_IDS[3], CASE.ops[3].value)  # type: ignore[attr-defined]
    minimizer = Minimizer(needs(target), 1000, 60)
    few = minimizer.fewer_ops(CASE)
    assert few.ops == (target,)
    assert [one.name for one in minimizer.passes if one.calls] == ["drop ops"]


@pytest.mark.parametrize("smaller", [True, False])
def test_what_is_simpler_costs_less(smaller: bool) -> None:
    for one, other in (
        (Case((A,)), Case((A, A))),
        (Case((A,)), Case((ReadAll(0),))),
        (case_of("set v0 z3 0x0\n"), case_of("set v0 z3 0xab*\n")),
    ):
        first, second = (one, other) if smaller else (other, one)
        assert passes.is_simpler(first, second) == smaller == (cost(first) < cost(second))
        assert not passes.is_simpler(first, first)


def test_every_pass_takes_part() -> None:
    def still(case: Case) -> bool:
        run = next((op for op in case.ops if isinstance(op, Run)), None)
        looked = any(isinstance(op, GetReg | ReadAll) for op in case.ops)
        return (
            looked and run is not None and any(i.form.name.startswith("ptrue") for i in run.program)
        )

    minimizer = Minimizer(still, 5000, 60)
    minimal = minimizer.minimize(Case(CASE.ops, 5))
    assert (
        minimal == case_of("run v0 {\n ptrue p0.b, pow2\n}\nget v0 z0\n") or len(minimal.ops) == 2
    )
    assert (len(minimal.ops), minimal.min_vq) == (2, 0)
    (run,) = [op for op in minimal.ops if isinstance(op, Run)]
    assert len(run.program) == 1
    assert run.program[0].args[0] == 0  # of p3
    assert not any(isinstance(op, ReadAll) for op in minimal.ops)


def test_no_candidate_is_run_twice_and_none_that_is_no_simpler() -> None:
    asked: list[Case] = []

    def still(case: Case) -> bool:
        asked.append(case)
        return len(case.ops) >= 4 and CASE.ops[0] in case.ops

    minimizer = Minimizer(still, 1000, 60)
    minimizer.minimize(CASE)
    assert len({case.encoded for case in asked}) == len(asked) == minimizer.runs
    assert all(cost(case) < cost(CASE) for case in asked)


def test_each_step_is_simpler_than_the_one_before() -> None:
    kept: list[Case] = [CASE]

    def still(case: Case) -> bool:
        if len(case.ops) >= 2:
            kept.append(case)
            return True
        return False

    minimal = Minimizer(still, 1000, 60).minimize(CASE)
    assert minimal == kept[-1]
    assert [cost(case) for case in kept] == sorted((cost(case) for case in kept), reverse=True)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_it_asks_no_more_often_than_it_may(most: int) -> None:
    minimizer = Minimizer(lambda _: False, most, 60)
    assert minimizer.minimize(CASE) is CASE
    assert minimizer.runs == most
    one = Minimizer(lambda _: True, 1, 60)
    assert len(one.minimize(CASE).ops) == 4


def test_it_stops_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def still(_: Case) -> bool:
        now[0] += 1
        return False

    minimizer = Minimizer(still, 1000, 2.5)
    minimizer.minimize(CASE)
    assert minimizer.runs == 3
    exactly = Minimizer(lambda _: False, 3, 0.0)
    exactly.minimize(CASE)
    assert exactly.runs == 3
    assert time.monotonic() == now[0]


def test_passes_go_on_until_none_helps() -> None:
    # GET can go only once SET is simple, which a later pass makes it.
    simple, look = case_of("set v0 x0 0x0\n").ops[0], GetReg(0, regs.Z_IDS[0])
    hard = case_of("set v0 x0 0x5\n").ops[0]

    def still(case: Case) -> bool:
        return (simple in case.ops) or (hard in case.ops and look in case.ops)

    assert Minimizer(still, 1000, 60).minimize(Case((hard, look))).ops == (simple,)


def test_each_pass_counts_what_it_cost_and_what_it_brought() -> None:
    minimizer = Minimizer(needs(Finalize(0)), 1000, 60)
    minimizer.minimize(CASE)
    counts = {one.name: (one.calls, one.successes) for one in minimizer.passes}
    calls, successes = counts["drop ops"]
    assert calls > successes > 1
    assert sum(calls for calls, _ in counts.values()) == minimizer.runs
    assert counts["look closer"] == (0, 0)
    assert str(ShrinkPass(passes.look_closer, 7, 2)) == "look closer 2/7"


def test_nothing_is_asked_that_would_not_be_simpler() -> None:
    case = case_of("create v1\nget v0 x0\nget v0 x1\nget v0 x2\n")
    asked: list[Case] = []

    def still(candidate: Case) -> bool:
        asked.append(candidate)
        return False

    assert Minimizer(still, 1000, 60).minimize(case) is case
    assert any(cost(one) > cost(case) for one in passes.lower_slots(case))
    assert all(cost(one) < cost(case) for one in asked)


def joined(first: list[str], second: list[str], head: str = "run v0") -> list[int]:
    """How long the programs are that two runs may become."""
    texts = ["".join(f"    {line}\n" for line in lines) for lines in (first, second)]
    runs = f"{head} {{\n{texts[0]}}}\nrun v0 {{\n{texts[1]}}}\n"
    case = case_of(f"create v0\ninit v0\n{runs}get v0 z3\nget v0 z4\n")
    found = list(passes.join_runs(case))
    assert all((one.ops[:2], one.ops[3:]) == (case.ops[:2], case.ops[4:]) for one in found)
    return [len(one.ops[2].program) for one in found]  # type: ignore[attr-defined]


def test_two_runs_become_one_with_or_without_what_synchronised_them() -> None:
    mov, control = "mov x1, #1", "msr cpacr_el1, x1"
    look = "mrs x1, zcr_el1"  # sees either value of a control that was just written
    assert joined([mov], [mov, mov]) == [3, 4]
    assert joined([mov, control], [mov]) == [3, 4]
    assert joined([mov, control], [look]) == [4]
    assert joined([mov], [control, look]) == [3, 4]
    assert joined([control, look], [mov]) == [3, 4]
    assert joined([control, look], [look]) == [4]
    assert joined([mov], [mov], "run v1") == []
    assert joined([mov], [mov], "run v0 immediate=yes") == []
    assert joined([mov], [mov], "host-run v0") == []


def test_two_runs_that_are_too_long_for_one_stay() -> None:
    mov = "mov x1, #1"
    assert joined([mov] * 24, [mov] * 23) == [47, 48]
    assert joined([mov] * 24, [mov] * 24) == [48]
    assert joined([mov] * 24, [mov] * 25) == []


@pytest.mark.parametrize(
    ("count", "back"),
    [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (9, [1, 2, 4, 8, 9])],
)
def test_steps_back_double(count: int, back: list[int]) -> None:
    smaller = [Case((A,) * (count - number)) for number in range(count)]
    assert [len(case.ops) for case in backwards(smaller)] == back
