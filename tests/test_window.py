"""The range of delays in which something shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.ops import Disturb
from corpus.text import parse_case
from corpus.wire import DELAY_LIMIT
from fuzz.followup.suspicion import DISTURBED_RUNS, runs_of, showings
from fuzz.followup.window import FINE_NS, FINE_PART, found, window, with_delay


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
    assert len(asked) < 60
    assert seen.first - first <= max(FINE_NS, at * FINE_PART)
    if last < DELAY_LIMIT // 2:
        # The first longer delay that shows nothing is at most twice as far away as the edge.
        assert last - seen.last <= max(FINE_NS, 2 * max(last - at, at, 1000) * FINE_PART)


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
