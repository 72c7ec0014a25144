"""Blocks of ops: strangers around a part of a case."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.blocks import closings, without
from corpus.case import MAX_OPS, Case, decode
from corpus.domain import TextError
from corpus.fields import DelayDomain
from corpus.ops import MAX_SPAN, Disturb, GetMp, Op, Run
from corpus.stream import Sink, Source
from corpus.text import format_case, parse_case
from corpus.wire import DELAY_LIMIT, Stranger
from fuzz.followup.passes import PASSES, cost, drop_ops
from fuzz.generate import random_case
from fuzz.generate.strangers import disturbed, kinds, sometimes
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
mixed = st.lists(st.one_of(disturbs, st.builds(GetMp, st.integers(0, 2))), max_size=MAX_OPS)


def test_blocks_stand_in_braces() -> None:
    case = parse_case(NESTED)
    assert format_case(case) == NESTED
    assert [op.span for op in case.ops if isinstance(op, Disturb)] == [4, 2, 0]
    assert parse_case("disturb move { }\nget-mp v0\n").ops == (Disturb(3, span=0), GetMp(0))
    assert parse_case("disturb move { # why\nget-mp v0 # so\n} // over\n").ops[0] == Disturb(3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("disturb thread\nget-mp v0\n", "line 1: disturb needs a block"),
        ("get-mp v0\ndisturb thread {\n", "line 2: the brace is never closed"),
        ("}\n", "line 1: '}' is no op"),
        ("disturb thread { get-mp v0 }\n", "line 1: 'get-mp v0 }': an op in a block has a line"),
        ("disturb ghost {\n}\n", "line 1: .* none of softirq, thread, signal, move"),
        ("disturb thread after=16777216 {\n}\n", "a delay is 0 to 16777215 ns"),
        ("disturb thread span=1 {\n}\n", "no field 'span='"),
        ("get-mp v0 {\n}\n", "line 1: get-mp takes no block"),
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
    assert sum(closings(case.ops)) == sum(isinstance(op, Disturb) for op in case.ops)


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
        [kept.index(block) for block in _around(case, index) if block in kept] for index in kept
    ]
    assert [_around(left, index) for index in range(len(left.ops))] == expected


def _around(case: Case, index: int) -> list[int]:
    """The blocks that an op is in."""
    return [
        at
        for at, op in enumerate(case.ops[:index])
        if isinstance(op, Disturb) and index <= at + op.span
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


def test_a_case_is_disturbed_where_there_are_strangers() -> None:
    rng = random.Random(3)
    known = kinds([Profile(), Profile(strangers=frozenset({"thread", "signal"}))])
    assert known == (Stranger.THREAD, Stranger.SIGNAL)
    cases = [random_case(rng) for _ in range(200)]
    assert all(sometimes(rng, case, ()) is case for case in cases)
    several = [disturbed(rng, case, known) for case in cases]
    assert all(len(case.ops) <= MAX_OPS for case in several)
    strangers = [op for case in several for op in case.ops if isinstance(op, Disturb)]
    assert {op.by for op in strangers} == set(known)
    assert len({op.after for op in strangers}) > len(strangers) // 2
    longer = sum("hvc-loop" in format_case(case) for case in several)
    assert longer > 0.8 * sum(any(isinstance(op, Run) for op in case.ops) for case in cases)
    few = sum(sometimes(rng, case, known) != case for case in cases)
    assert 0.1 * len(cases) < few < 0.35 * len(cases)
