"""The range of delays in which something shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import diverge

from corpus.case import Case
from corpus.ops import Disturb
from corpus.text import parse_case
from corpus.wire import DELAY_LIMIT
from fuzz.followup.suspicion import DISTURBED_RUNS, runs_of, showings
from fuzz.followup.window import (
    FINE_NS,
    FINE_PART,
    GROWTH,
    SHORTEST_NS,
    STEPS,
    WINDOWS,
    Timing,
    Window,
    found,
    surest,
    timing_of,
    window,
    with_delay,
)
from fuzz.oracle.verdict import Agree
from targets.spec.judge import Choices


@given(st.data())
def test_both_edges_are_found(data: st.DataObject) -> None:
    first = data.draw(st.integers(0, DELAY_LIMIT))
    last = data.draw(st.integers(first, DELAY_LIMIT))
    at = data.draw(st.integers(first, last))
    asked: list[int] = []

    def shows(delay: int) -> bool:
        asked.append(delay)
        return first <= delay <= last

    seen = window(shows, at)
    assert shows(seen.first)
    assert shows(seen.last)
    assert all(0 <= delay <= DELAY_LIMIT for delay in asked)
    assert len(asked) < 40
    # A step is at most GROWTH times as long as the way that was gone before it, and a little.
    for missed, way in ((seen.first - first, at - first), (last - seen.last, last - at)):
        assert missed <= max(FINE_NS, (GROWTH * way + FINE_NS) * FINE_PART)


@pytest.mark.parametrize("first", [0, 3_000, 130_000, 350_000])
def test_a_delay_is_sought_where_the_given_one_shows_nothing(first: int) -> None:
    assert found(lambda delay: delay == 7, 7) == 7
    delay = found(lambda delay: first <= delay <= first + 20_000, 200_000)
    assert delay is not None
    assert first <= delay <= first + 20_000
    assert found(lambda _: False, 200_000) is None


@pytest.mark.parametrize("first", [2_000, 20_000, 60_000])
def test_a_much_shorter_delay_is_sought_as_well(first: int) -> None:
    delay = found(lambda delay: first <= delay <= 2 * first, 6_000_000)
    assert delay is not None
    assert first <= delay <= 2 * first


def test_what_is_disturbed_is_run_more_than_once() -> None:
    case = parse_case("disturb softirq after=5 {\n    get-mp v0\n}\nget-mp v0\n")
    assert runs_of(case) == DISTURBED_RUNS
    assert runs_of(parse_case("get-mp v0\n")) == 1
    assert with_delay(case, 0, 9).ops == (Disturb(0, 9), *case.ops[1:])


@given(st.lists(st.booleans(), min_size=DISTURBED_RUNS, max_size=DISTURBED_RUNS))
def test_what_is_chance_has_to_show_twice(runs: list[bool]) -> None:
    disturbed = parse_case("disturb softirq after=5 {\n    get-mp v0\n}\n")
    asked = iter(runs)
    assert showings(disturbed, lambda: next(asked)) == (sum(runs) >= 2)
    assert showings(parse_case("get-mp v0\n"), lambda: runs[0]) == runs[0]


def test_an_edge_is_known_to_a_tenth_of_a_microsecond() -> None:
    for first, last, at in ((0, 1_500, 1_000), (300, 5_000, 900), (0, 250, 0), (70, 70, 70)):
        seen = window(range(first, last + 1).__contains__, at)
        assert 0 <= seen.first - first <= FINE_NS
        assert 0 <= last - seen.last <= FINE_NS
    # Halves end where they are fine enough: no further question is asked then.
    asked: list[int] = []

    def shows(delay: int) -> bool:
        asked.append(delay)
        return delay <= FINE_NS

    window(shows, 0)
    assert asked == [100, 500, 300, 200]


def test_delays_are_tried_in_steps_that_grow() -> None:
    asked: list[int] = []

    def always(delay: int) -> bool:
        asked.append(delay)
        return True

    assert window(always, 1_000) == Window(0, DELAY_LIMIT)
    assert asked[:7] == [900, 500, 0, 1_100, 1_500, 3_100, 9_500]
    assert asked[-1] == DELAY_LIMIT


def test_a_window_ends_at_a_gap_near_by() -> None:
    """Of a guest's rounds, of 20 microseconds each, one part shows it."""
    for at in (8_300_000, 8_305_900):
        seen = window(lambda delay: delay % 20_000 < 6_000, at)
        assert 8_300_000 <= seen.first <= 8_300_000 + FINE_NS
        assert 8_306_000 - FINE_NS <= seen.last < 8_306_000


def test_where_the_given_delay_shows_nothing_a_grid_is_tried_and_shorter_ones() -> None:
    asked: list[int] = []

    def never(delay: int) -> bool:
        asked.append(delay)
        return False

    for hint, most in ((10, 400_000), (200_000, 800_000), (DELAY_LIMIT, DELAY_LIMIT)):
        asked.clear()
        assert found(never, hint) is None
        grid = {most * number // STEPS for number in range(STEPS + 1)}
        tried = asked[1 : 1 + len(grid)]
        assert asked[0] == hint
        assert set(tried) == grid
        assert len(tried) == len(grid)
        assert tried[0] == most
        assert tried[len(grid) - 1] == 0
        shorter = asked[1 + len(grid) :]
        assert shorter == sorted(shorter, reverse=True)
        part = hint // 32
        wanted = []
        while part >= SHORTEST_NS:
            wanted += [part * 3 // 2, part]
            part //= 2
        assert shorter == wanted


class Struck:
    """A leg on which all goes by when its stranger comes: its trace is that delay."""

    name = "kvm"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def run(self, case: Case) -> int:
        stranger = case.ops[0]
        assert isinstance(stranger, Disturb)
        self.asked.append(stranger.after)
        return stranger.after


def test_timing_says_how_often_and_from_when_to_when() -> None:
    case = parse_case("disturb softirq after=5000 {\n    get-mp v0\n}\nget-mp v0\n")
    expected = diverge(rule="a.rule")
    leg = Struck()
    asked = leg.asked

    class Alone:
        """One leg, which shows it between 3 and 9 microseconds."""

        legs = (leg,)

        def judge_one(self, case: Case, name: str, after: int) -> object:
            assert isinstance(case, Case)
            assert name == "kvm"
            return expected if 3_000 <= after <= 9_000 else Agree(2, frozenset(), Choices())

    timing = timing_of(Alone(), case, 0, expected, 4)  # type: ignore[arg-type]
    assert timing is not None
    assert asked[0:2] == [5_000, 3_000]  # chance is not looked at closely
    assert timing.window == Window(3_000, 9_000)
    asked.clear()
    timing = timing_of(Alone(), case, 0, expected, 4, 2)  # type: ignore[arg-type]
    assert timing is not None
    assert (timing.often, timing.runs) == (4, 4)
    assert 5_900 <= timing.delay <= 6_100
    assert 3_000 <= timing.window.first <= 3_100
    assert 8_900 <= timing.window.last <= 9_000
    assert asked[0] == 5_000
    assert asked[-4:] == [timing.delay] * 4
    told = []
    timing_of(Alone(), case, 0, expected, 4, 2, lambda one: told.append(one) or one)  # type: ignore
    assert {replace(one, ops=one.ops[1:]) for one in told} == {replace(case, ops=case.ops[1:])}
    never = diverge(rule="another.rule")
    assert timing_of(Alone(), case, 0, never, 2) is None  # type: ignore[arg-type]


def test_the_surest_of_a_windows_delays_is_far_from_its_edges_if_it_can_be() -> None:
    around = Window(1000, 9000)
    assert surest(lambda _: 20, 20, 1500, around) == Timing(5000, 20, 20, around)
    nearly = {5000: 19}
    assert surest(lambda delay: nearly.get(delay, 20), 20, 1500, around).delay == 5000
    gap = {5000: 3, 1500: 12, 3000: 20}
    assert surest(lambda delay: gap[delay], 20, 1500, around) == Timing(3000, 20, 20, around)
    rare = {5000: 3, 1500: 12, 3000: 1, 7000: 13, 4000: 0, 6000: 2, 2000: 14, 8000: 13}
    asked: list[int] = []

    def counted(delay: int) -> int:
        asked.append(delay)
        return rare[delay]

    best = surest(counted, 20, 1500, around)
    assert best == Timing(2000, 14, 20, around)
    assert asked == [*rare], "the farthest from the edges first, and what is known to show it"
    assert surest(lambda _: 0, 20, 7, Window(7, 7)) == Timing(7, 0, 20, Window(7, 7))


def test_where_a_window_shows_it_in_some_runs_alone_others_are_looked_into() -> None:
    case = parse_case("disturb softirq after=100000 {\n    get-mp v0\n}\nget-mp v0\n")
    expected = diverge(rule="a.rule")
    permitted = Agree(2, frozenset(), Choices())
    leg = Struck()
    asked = leg.asked

    class Alone:
        """Shows it in 5 of 6 runs in the first of two windows, there often enough to be taken for
        sure."""

        legs = (leg,)

        def judge_one(self, _case: Case, _name: str, after: int) -> object:
            if 90_000 <= after <= 110_000:
                return permitted if asked.count(after) % 6 == 0 else expected
            return expected if 300_000 <= after <= last else permitted

    for last, most in ((350_000, 20), (0, 17)):
        asked.clear()
        timing = timing_of(Alone(), case, 0, expected, 20, 5)  # type: ignore[arg-type]
        assert timing
        assert timing.often == most
        assert (timing.delay > 300_000) == bool(last)
        assert timing.part == most / 20
        asked.clear()
        chance = timing_of(Alone(), case, 0, expected, 20)  # type: ignore[arg-type]
        assert chance
        assert chance.window.last < 300_000, "it is the same in each of them"


def looked_into(shows: Callable[[int, int], bool]) -> tuple[Timing | None, dict[int, int]]:
    """What becomes of a stranger after 100,000 ns that `shows` it or not, by its delay and how
    often that was tried; and where delays were tried 20 times, in tens of microseconds, with how
    often they were."""
    leg = Struck()

    class Alone:
        legs = (leg,)

        def judge_one(self, _case: Case, _name: str, after: int) -> object:
            seen = shows(after, leg.asked.count(after))
            return expected if seen else Agree(2, frozenset(), Choices())

    case = parse_case("disturb softirq after=100000 {\n    get-mp v0\n}\nget-mp v0\n")
    expected = diverge(rule="a.rule")
    timing = timing_of(Alone(), case, 0, expected, 20, 5)  # type: ignore[arg-type]
    often = {delay // 10_000: tries for delay, tries in Counter(leg.asked).items() if tries > 20}
    return timing, often


def test_a_window_that_shows_it_nearly_each_time_is_the_last() -> None:
    def shows(after: int, tries: int) -> bool:
        seldom, nearly = 90_000 <= after <= 110_000, 290_000 <= after <= 310_000
        always = 340_000 <= after <= 360_000
        return always or (seldom and tries % 6 > 0) or (nearly and tries % 20 > 0)

    timing, tens = looked_into(shows)
    assert timing
    assert (timing.often, timing.delay // 10_000) == (19, 30)
    assert tens == {10: 25, 30: 25}, "and none of a window that is known once more"


def test_a_window_shows_it_in_each_run() -> None:
    timing, _ = looked_into(
        lambda after, tries: (
            90_000 <= after <= 110_000 or (110_000 < after <= 200_000 and tries % 2 == 0)
        )
    )
    assert timing
    assert 109_000 <= timing.window.last <= 111_000


def test_few_windows_are_looked_into() -> None:
    timing, tens = looked_into(lambda after, tries: after // 10_000 % 2 == 0 and tries % 6 > 0)
    assert timing
    assert len(tens) == WINDOWS
