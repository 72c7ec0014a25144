"""Blocks of ops: strangers around a part of a case."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.blocks import beside, closings, has_block, unbroken, without
from corpus.case import MAX_OPS, Case, decode
from corpus.domain import TextError
from corpus.fields import DelayDomain
from corpus.ops import (
    MAX_SPAN,
    Disturb,
    GetMp,
    GetReg,
    HostRun,
    Init,
    Op,
    ReadAll,
    Run,
    SetReg,
    Threads,
)
from corpus.stream import Sink, Source
from corpus.text import format_case, parse_case
from corpus.wire import DELAY_LIMIT, Stranger
from fuzz.followup.passes import PASSES, cost, drop_ops
from fuzz.generate import random_case
from fuzz.generate.staying import in_time
from fuzz.generate.strangers import (
    LOOPS_STEPPED,
    NOTHING,
    Beside,
    accompanied,
    disturbed,
    sometimes,
)
from targets.profile import Profile

NESTED = """create v0
disturb thread after=20000 vl=0x20 {
    disturb softirq {
        run v0 {
            isb
        }
        get-mp v0
    }
    disturb signal after=5 {
    }
}
read-all v0
"""

disturbs = st.builds(
    Disturb,
    st.sampled_from(list(Stranger)),
    st.integers(0, DELAY_LIMIT),
    st.just(256),
    st.integers(0, MAX_SPAN),
)
threads = st.builds(
    Threads, st.integers(0, DELAY_LIMIT), st.integers(0, MAX_SPAN), st.integers(0, MAX_SPAN)
)
others = st.one_of(st.builds(GetMp, st.integers(0, 2)), st.builds(Run, st.integers(0, 2)))
mixed = st.lists(st.one_of(disturbs, threads, others), max_size=MAX_OPS)

BESIDE = """create v0
disturb move {
    threads after=300 {
        run v0 {
            isb
        }
        get v0 pc
    } {
        set v0 z3 1
    }
}
threads {
} {
    get-mp v0
}
threads {
    run v0 { }
    get-mp v1
} {
    run v1 {
        isb
    }
    get-mp v0
}
threads {
} {
}
read-all v0
"""


def test_blocks_stand_in_braces() -> None:
    case = parse_case(NESTED)
    assert format_case(case) == NESTED
    assert [op.span for op in case.ops if isinstance(op, Disturb)] == [4, 2, 0]
    assert parse_case("disturb move { }\nget-mp v0\n").ops == (Disturb(3, span=0), GetMp(0))
    assert parse_case("disturb move { # why\nget-mp v0 # so\n} // over\n").ops[0] == Disturb(3)


def test_two_lists_have_braces_each() -> None:
    case = parse_case(BESIDE)
    assert format_case(case) == BESIDE
    lists = [(op.span, op.first) for op in case.ops if isinstance(op, Threads)]
    assert lists == [(3, 2), (1, 0), (4, 2), (0, 0)]
    assert parse_case("threads { } { }\nget-mp v0\n").ops == (Threads(span=0), GetMp(0))
    assert parse_case("threads { # a\n}   { // b\nget-mp v0\n} // c\n").ops[0] == Threads()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("disturb thread\nget-mp v0\n", "line 1: disturb needs a block"),
        ("get-mp v0\ndisturb thread {\n", "line 2: the brace is never closed"),
        ("}\n", "line 1: '}' is no op: no brace is open here"),
        ("disturb thread { get-mp v0 }\n", "line 1: 'get-mp v0 }': an op in a block has a line"),
        ("disturb ghost {\n}\n", "line 1: .* none of softirq, thread, signal, move"),
        ("disturb thread after=16777216 {\n}\n", "a delay is 0 to 16777215 ns"),
        ("disturb thread span=1 {\n}\n", "no field 'span='"),
        ("get-mp v0 {\n}\n", "line 1: get-mp takes no block"),
        ("threads {\n}\n", "line 2: threads has two blocks: { <ops> } { <ops> }"),
        ("threads { } {\n} {\n}\n", "line 2: threads has two blocks"),
        ("disturb move { } {\n}\n", "line 1: disturb has one block"),
        ("threads { } {\n", "line 1: the brace is never closed"),
        ("threads { } { get-mp v0 }\n", "line 1: '} { get-mp v0 }': an op in a block has a line"),
        ("threads {\nread-all v0\n} {\n}\n", "line 2: read-all cannot stand here beside"),
        ("threads {\nget-mp v0\n} {\nget-mp v0\nrun v0 { }\n}\n", "line 5: run cannot stand here"),
        ("threads {\nrun v0 { }\n} {\nrun v0 { }\n}\n", "line 4: run cannot stand here"),
        ("threads {\ndisturb move {\n}\n} {\n}\n", "line 2: disturb cannot stand here"),
    ],
)
def test_a_block_that_cannot_be_read_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(TextError, match=says) as caught:
        parse_case(text)
    assert "\n" not in str(caught.value)


@given(mixed)
def test_blocks_nest_whatever_spans_say(ops: list[Op]) -> None:
    case = Case(tuple(ops))
    assert [type(op) for op in case.ops] == [type(op) for op in ops]
    assert parse_case(format_case(case) + "get-mp v0\n").ops[:-1] == case.ops[: len(ops)]
    assert decode(case.encoded) == case
    assert sum(closings(case.ops)) == sum(map(has_block, case.ops))
    for index, op in enumerate(case.ops):
        if isinstance(op, Threads):
            inside = case.ops[index + 1 : index + 1 + op.span]
            assert op.first <= op.span == beside(inside, op.first)
            runs = {i: each.vcpu for i, each in enumerate(inside) if isinstance(each, Run)}
            assert runs.keys() <= {0, op.first}
            assert len(set(runs.values())) == len(runs)


@given(mixed, st.integers(0, MAX_OPS), st.integers(0, MAX_OPS))
def test_what_is_left_out_of_a_case_leaves_the_rest_where_it_was(
    ops: list[Op], start: int, length: int
) -> None:
    """Each op that stays is in the blocks that stay, of those it was in."""
    case = Case(tuple(ops))
    stop = min(start + length, len(ops))
    left = Case(without(case.ops, start, stop))
    kept = [index for index in range(len(ops)) if not start <= index < stop]
    expected = [
        [(kept.index(block), *part) for block, *part in _around(case, index) if block in kept]
        for index in kept
    ]
    assert [_around(left, index) for index in range(len(left.ops))] == expected


def _around(case: Case, index: int) -> list[tuple[int, bool]]:
    """The blocks that an op is in, and whether in the first list of two."""
    return [
        (at, isinstance(op, Threads) and index <= at + op.first)
        for at, op in enumerate(case.ops[:index])
        if has_block(op) and index <= at + op.span
    ]


@given(st.binary(max_size=6), st.integers(0, DELAY_LIMIT))
def test_delays(data: bytes, value: int) -> None:
    delay = DelayDomain()
    assert 0 <= delay.draw(Source(data)) <= DELAY_LIMIT
    sink = Sink()
    delay.put(value, sink)
    assert delay.draw(Source(sink.bytes())) == value
    assert all(0 <= simpler < value for simpler in delay.simpler(value))


def test_strangers_go_when_a_case_is_minimised() -> None:
    case = parse_case(NESTED)
    text = NESTED.replace("    disturb signal after=5 {\n    }\n", "")
    without_signal = parse_case(text)
    assert without_signal in list(drop_ops(case))
    for propose in PASSES:
        for smaller in propose(case):
            assert parse_case(format_case(smaller)) == smaller
    assert cost(without_signal) < cost(case)


def test_nothing_is_put_among_what_two_threads_do() -> None:
    lists = "threads {\nrun v0 { }\nget-mp v0\n} {\nget-mp v0\n}\n"
    case = parse_case(f"create v0\n{lists}get-mp v0\n{lists}threads {{ }} {{ }}\nget-mp v0\n")
    whole = unbroken(case.ops)
    assert sorted(whole) == [1, 2, 3, 6, 7, 8]
    for index in range(len(case.ops)):
        ops = (*case.ops[: index + 1], ReadAll(0), *case.ops[index + 1 :])
        spans = [op.span for op in Case(ops).ops if isinstance(op, Threads)]
        assert (spans == [3, 3, 0]) == (index not in whole)


def test_threads_go_when_a_case_is_minimised() -> None:
    case = parse_case(BESIDE)
    smaller = list(drop_ops(case))
    assert Case(without(case.ops, 2, 3)) in smaller
    assert parse_case(BESIDE.replace("        get v0 pc\n", "")) in smaller
    assert parse_case(BESIDE.replace("        set v0 z3 1\n", "")) in smaller
    for propose in PASSES:
        for one in propose(case):
            assert parse_case(format_case(one)) == one


def test_two_threads_are_at_work_where_that_can_be() -> None:
    rng = random.Random(5)
    alone = Beside.of([Profile(threads=True)])
    assert alone == Beside((), threads=True)
    cases = [accompanied(rng, random_case(rng), alone) for _ in range(200)]
    both = [(i, op) for case in cases for i, op in enumerate(case.ops) if isinstance(op, Threads)]
    assert len(both) > 180
    assert len({op.after for _, op in both}) > 100
    led = sum(
        isinstance(c.ops[i + 1], Run)
        for c in cases
        for i, op in enumerate(c.ops[:-1])
        if isinstance(op, Threads) and op.first
    )
    assert led > 60
    inside = {
        type(each)
        for c in cases
        for i, op in enumerate(c.ops)
        if isinstance(op, Threads)
        for each in c.ops[i + 1 : i + 1 + op.span]
    }
    assert {Run, GetMp, Init, SetReg, GetReg} <= inside
    mixed_kinds = Beside((Stranger.SIGNAL,), threads=True)
    several = [accompanied(rng, random_case(rng), mixed_kinds) for _ in range(100)]
    assert all(any(isinstance(op, k) for c in several for op in c.ops) for k in (Disturb, Threads))


def test_a_thread_has_sme_where_some_machine_has() -> None:
    rng = random.Random(7)
    beside = Beside.of([Profile(), Profile(svqs=0b1011)])
    assert (beside, beside.others) == (Beside(sme=True), False)
    case = parse_case("create v0\nhost-run v0 vl=32 { }\nrun v0 { }\nhost-run v0 { }")
    told = [sometimes(rng, case, beside) for _ in range(200)]
    drawn = [op.svcr for one in told for op in one.ops if isinstance(op, HostRun)]
    assert set(drawn) == {0, 1, 2, 3}
    assert 0.4 * len(drawn) < drawn.count(0) < 0.6 * len(drawn)
    without = [op for op in case.ops if not isinstance(op, HostRun)]
    assert all([op for op in one.ops if not isinstance(op, HostRun)] == without for one in told)
    assert all(sometimes(rng, one, NOTHING) is one for one in told)
    both = Beside((Stranger.SIGNAL,), threads=False, sme=True)
    disturbed_too = [sometimes(rng, case, both) for _ in range(200)]
    assert any(isinstance(op, Disturb) for one in disturbed_too for op in one.ops)


def test_a_case_is_disturbed_where_there_are_strangers() -> None:
    rng = random.Random(3)
    beside = Beside.of([Profile(), Profile(strangers=frozenset({"thread", "signal"}))])
    known = beside.kinds
    assert beside == Beside((Stranger.THREAD, Stranger.SIGNAL), threads=False)
    cases = [random_case(rng) for _ in range(200)]
    assert all(sometimes(rng, case, NOTHING) is case for case in cases)
    several = [disturbed(rng, case, known) for case in cases]
    assert all(len(case.ops) <= MAX_OPS for case in several)
    strangers = [op for case in several for op in case.ops if isinstance(op, Disturb)]
    assert {op.by for op in strangers} == set(known)
    assert len({op.after for op in strangers}) > len(strangers) // 2
    longer = sum("-loop #" in format_case(case) for case in several)
    assert longer > 0.8 * sum(any(isinstance(op, Run) for op in case.ops) for case in cases)
    few = sum(sometimes(rng, case, beside) != case for case in cases)
    assert 0.1 * len(cases) < few < 0.35 * len(cases)


def test_few_runs_that_are_stepped_through_get_a_loop() -> None:
    rng = random.Random(3)
    cases = [random_case(rng) for _ in range(300)]
    plain = [case for case in cases if "-loop #" not in format_case(case)]
    loops = {
        kind: sum("-loop #" in format_case(disturbed(rng, case, (kind,))) for case in plain)
        for kind in (Stranger.STEP, Stranger.SOFTIRQ)
    }
    assert loops[Stranger.SOFTIRQ] > 0.8 * len(plain)
    assert 0.5 * LOOPS_STEPPED < loops[Stranger.STEP] / len(plain) < 1.7 * LOOPS_STEPPED


def test_no_loop_has_more_rounds_than_a_run_has_time_for() -> None:
    loops = "run v0 {{\nnop\nhvc-loop #{}\nwfi-loop #{}\n}}\nhost-run v0 {{\nspin-loop #{}\n}}\n"
    text = f"create v0\n{loops}"
    case = parse_case(text.format(900, 945, 60))
    assert in_time(case) == parse_case(text.format(100, 10, 50))
    for few in (in_time(case), parse_case(text.format(5, 10, 1)), parse_case("create v0\n")):
        assert in_time(few) is few
