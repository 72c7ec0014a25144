"""Sets are sound: compared with all the values they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import WIDTH, small_sets

from targets.spec import sets
from targets.spec.sets import Set


def values(candidates: Set) -> set[int]:
    """Every value that a set permits."""
    found = set()
    for value, mask in candidates:
        sub = mask
        while True:
            found.add(value | sub)
            if not sub:
                break
            sub = (sub - 1) & mask
    return found


widths = st.integers(0, WIDTH)


@given(small_sets(), widths)
def test_keep_or_clear_is_exactly_both(candidates: Set, bits: int) -> None:
    low = (1 << bits) - 1
    expected = values(candidates) | {v & low for v in values(candidates)}
    assert values(sets.keep_or_clear_above(candidates, bits)) >= expected
    if len(candidates) * 2 <= sets.MAX_CANDIDATES:
        assert values(sets.keep_or_clear_above(candidates, bits)) == expected


@given(small_sets(), widths, st.integers(0, (1 << WIDTH) - 1))
def test_a_write_replaces_the_low_bits_and_keeps_or_clears_the_rest(
    candidates: Set, bits: int, value: int
) -> None:
    value &= (1 << bits) - 1
    written = values(sets.write_low(candidates, bits, value))
    assert written >= {v >> bits << bits | value for v in values(candidates)} | {value}
    assert {v & ((1 << bits) - 1) for v in written} == {value}


@given(small_sets())
def test_collapsing_only_widens(candidates: Set) -> None:
    assert values((sets.collapse(candidates),)) >= values(candidates)


@given(small_sets(), widths)
def test_a_reader_of_low_bits_sees_every_possibility(candidates: Set, bits: int) -> None:
    seen = values((sets.low(candidates, bits),))
    assert seen >= {v & ((1 << bits) - 1) for v in values(candidates)}


@given(small_sets(), st.integers(0, (1 << WIDTH) - 1))
def test_narrowing_finds_a_value_if_and_only_if_it_is_permitted(
    candidates: Set, observed: int
) -> None:
    index = sets.narrow(candidates, observed)
    assert (index is not None) == (observed in values(candidates))
    if index is not None:
        assert observed in values((candidates[index],))


@given(st.lists(st.tuples(st.integers(0, 255), st.just(0)), min_size=1, max_size=20))
def test_unions_stay_bounded_and_sound(candidates: list[tuple[int, int]]) -> None:
    union = sets.either(candidates)
    assert len(union) <= sets.MAX_CANDIDATES
    assert values(union) >= {value for value, _ in candidates}


def test_what_some_candidates_have_above_may_vanish_whichever_they_are() -> None:
    few, many = (1, 0), (0x1F2, 0)
    for candidates in ((few, many), (many, few)):
        kept = sets.keep_or_clear_above(candidates, 8)
        assert values(kept) == {0x01, 0x1F2, 0xF2}


def test_a_reader_of_low_bits_sees_nothing_above_them() -> None:
    assert sets.low(((1, 0x100), (2, 0)), 8) == (0, 3)
    assert sets.low(((0x101, 0x200),), 8) == (1, 0)
