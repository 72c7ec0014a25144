"""Holding one observation against what is permitted, and making one up."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.trace import Observation
from corpus.wire import FILL
from targets.spec.errno import error_name
from targets.spec.hexdump import rows_with, show
from targets.spec.judge import Choices, invent, nearest, observe
from targets.spec.permitted import (
    Mismatch,
    Outcome,
    Part,
    Permitted,
    Tail,
    fails,
    fault_on_get,
    with_prefill,
)
from targets.spec.sets import Set, exact, unknown

KEPT_OR_CLEARED: Set = ((0xABCD, 0), (0xCD, 0))


def permit(*outcomes: Outcome) -> Permitted:
    return Permitted("a.rule", outcomes)


def part(candidates: Set, size: int = 2, label: str = "z3", home: Any = None) -> Part:
    return Part(label, size, candidates, home)


def held(permitted: Permitted, seen: Observation) -> tuple[Mismatch | None, Choices]:
    choices = Choices()
    return observe(permitted, seen, choices), choices


def told(permitted: Permitted, seen: Observation) -> tuple[object, ...]:
    """What is wrong, all that is said of it."""
    wrong, _ = held(permitted, seen)
    assert wrong
    return wrong.label, wrong.expected, wrong.observed, wrong.detail, wrong.wrong


# -- errno and aux ---------------------------------------------------------------------------


def test_the_errno_has_to_be_one_of_those_permitted() -> None:
    both = permit(Outcome(22), Outcome(1), Outcome(22))
    assert held(both, Observation(22))[0] is None
    assert held(both, Observation(1))[0] is None
    assert held(both, Observation(0))[0] == Mismatch("errno", "EINVAL or EPERM", "success")
    many = permit(*map(Outcome, (14, 22, 9, 1, 16, 2, 95)))
    assert held(many, Observation(0))[0] == Mismatch(
        "errno", "EBADF or EBUSY or EFAULT or EINVAL or ENOENT or EOPNOTSUPP or EPERM", "success"
    )
    assert held(fails("r", 8), Observation(999))[0] == Mismatch("errno", "ENOEXEC", "errno 999")
    assert fails("r", 8) == permit(Outcome(8)).__class__("r", (Outcome(8),))


@pytest.mark.parametrize(
    ("err", "name"),
    [
        *((0, "success"), (1, "EPERM"), (2, "ENOENT"), (4, "EINTR"), (7, "E2BIG"), (8, "ENOEXEC")),
        *((9, "EBADF"), (11, "EAGAIN"), (12, "ENOMEM"), (14, "EFAULT"), (16, "EBUSY")),
        *(
            (17, "EEXIST"),
            (19, "ENODEV"),
            (22, "EINVAL"),
            (38, "ENOSYS"),
            (95, "EOPNOTSUPP"),
            (999, "errno 999"),
        ),
    ],
)
def test_errnos_have_names(err: int, name: str) -> None:
    assert error_name(err) == name


def test_a_mismatch_that_is_no_value_has_no_wrong_bits() -> None:
    assert told(fails("r", 8), Observation(0)) == ("errno", "ENOEXEC", "success", "", 0)


def test_aux_has_to_match_unless_it_is_not_checked() -> None:
    assert held(permit(Outcome(aux=5)), Observation(0, 5))[0] is None
    assert held(permit(Outcome(aux=5)), Observation(0, 6))[0] == Mismatch("aux", "0x5", "0x6")
    assert held(permit(Outcome()), Observation(0, 1))[0] == Mismatch("aux", "0x0", "0x1")
    assert held(permit(Outcome(aux=None)), Observation(0, 1))[0] is None


def test_an_effect_runs_once_its_outcome_is_the_one() -> None:
    done: list[str] = []
    first = Outcome(0, aux=1, effect=lambda: done.append("first"))
    second = Outcome(0, aux=2, effect=lambda: done.append("second"))
    third = Outcome(0, aux=2, effect=lambda: done.append("third"))
    assert held(permit(first, second, third), Observation(0, 2))[0] is None
    assert done == ["second"]
    assert held(permit(first, second), Observation(0, 3))[0] == Mismatch("aux", "0x2", "0x3")
    assert held(permit(first, second), Observation(1))[0] is not None
    assert done == ["second"]


def test_where_anything_goes_only_success_counts() -> None:
    done: list[int] = []
    silent = Permitted("r", (), anything=True, if_done=lambda: done.append(1))
    assert held(silent, Observation(22, 9, b"x"))[0] is None
    assert done == []
    assert held(silent, Observation(0, 9, b"x"))[0] is None
    assert done == [1]
    assert held(Permitted("r", (), anything=True), Observation(0))[0] is None


# -- data ------------------------------------------------------------------------------------


def test_an_outcome_without_data_permits_none() -> None:
    assert held(permit(Outcome()), Observation(0, 0, b"x"))[0] == Mismatch(
        "data", "0 bytes", "1 bytes"
    )
    assert held(permit(Outcome(open_ended=True)), Observation(0, 0, b"x"))[0] is None


def test_parts_come_one_after_the_other() -> None:
    outcome = permit(Outcome(0, (part(exact(0x0201), label="a"), part(exact(3), 1, "b"))))
    assert held(outcome, Observation(0, 0, b"\1\2\3"))[0] is None
    assert told(outcome, Observation(0, 0, b"\1\2\4")) == ("b", "0x03", "0x04", "byte 0", 7)
    first = told(outcome, Observation(0, 0, b"\1\3\4"))
    assert first == ("a", "0x0201", "0x0301", "byte 1", 0x100)


def test_data_that_is_too_short_names_the_part_and_what_there_is() -> None:
    outcome = permit(Outcome(0, (part(exact(1), 2, "a"), part(exact(3), 4, "b"))))
    assert held(outcome, Observation(0, 0, b"\1\0"))[0] == Mismatch("b", "4 bytes", "0 bytes")
    assert held(outcome, Observation(0, 0, b"\1\0\3"))[0] == Mismatch("b", "4 bytes", "1 bytes")
    assert held(outcome, Observation(0, 0, b""))[0] == Mismatch("a", "2 bytes", "0 bytes")


def test_trailing_data_is_wrong_unless_it_may_follow() -> None:
    parts = (part(exact(1), 1, "a"),)
    assert held(permit(Outcome(0, parts)), Observation(0, 0, b"\1\0"))[0] == Mismatch(
        "data", "1 bytes", "2 bytes"
    )
    wrong = held(permit(Outcome(0, parts)), Observation(0, 0, b"\2\0"))[0]
    assert wrong
    assert wrong.label == "a"  # what is wrong within says more
    assert held(permit(Outcome(0, parts, open_ended=True)), Observation(0, 0, b"\1\0"))[0] is None
    opened = held(permit(Outcome(0, parts, open_ended=True)), Observation(0, 0, b"\2\0"))[0]
    assert opened
    assert opened.label == "a"


def test_data_of_a_wrong_length_makes_no_choice() -> None:
    home = {"z3": KEPT_OR_CLEARED}
    outcome = permit(Outcome(0, (part(KEPT_OR_CLEARED, home=(home, "z3")),)))
    wrong, choices = held(outcome, Observation(0, 0, b"\xcd\xab\0"))
    assert wrong
    assert choices == Choices()


def test_a_tail_is_checked_from_where_the_parts_end() -> None:
    seen: list[bytes] = []

    def check(data: bytes) -> Mismatch | None:
        seen.append(data)
        return Mismatch("tail", "x", "y") if data == b"bad" else None

    outcome = permit(Outcome(0, (part(exact(1), 1, "a"),), tail=Tail(check, lambda: b"made")))
    assert held(outcome, Observation(0, 0, b"\1good"))[0] is None
    assert held(outcome, Observation(0, 0, b"\1bad"))[0] == Mismatch("tail", "x", "y")
    assert held(outcome, Observation(0, 0, b"\1"))[0] is None
    assert seen == [b"good", b"bad", b""]
    both = held(outcome, Observation(0, 0, b"\2bad"))[0]
    assert both
    assert both.label == "a"
    only = permit(Outcome(0, tail=Tail(check, lambda: b"")))
    assert held(only, Observation(0, 0, b"bad"))[0] == Mismatch("tail", "x", "y")
    assert held(only, Observation(0, 0, b""))[0] is None
    assert seen[-1] == b""


def test_parts_are_made_on_demand() -> None:
    made: list[int] = []

    def more() -> tuple[Part, ...]:
        made.append(1)
        return (part(exact(1), 1, "a"),)

    outcome = permit(Outcome(0, whole=b"\1", more=more))
    assert held(outcome, Observation(0, 0, b"\1"))[0] is None
    assert made == []
    assert told(outcome, Observation(0, 0, b"\2")) == ("a", "0x01", "0x02", "byte 0", 3)
    assert held(outcome, Observation(0, 0, b""))[0] == Mismatch("a", "1 bytes", "0 bytes")


def test_parts_that_are_made_on_demand_are_owed() -> None:
    outcome = permit(Outcome(more=lambda: (part(exact(1), 1, "a"),)))
    assert held(outcome, Observation(0))[0] == Mismatch("a", "1 bytes", "0 bytes")


def holey(home: Any = None) -> Permitted:
    hole = Part("h", 2, ((0xABCD, 0), (0xCD, 0)), home)
    parts = (part(exact(7), 1, "a"), hole, part(exact(8), 1, "b"))
    return permit(Outcome(0, whole=b"\7\0\0\x08", holes=((1, hole),), more=lambda: parts))


@pytest.mark.parametrize(
    ("data", "label"),
    [
        *((b"\7\xcd\xab\x08", None), (b"\7\xcd\0\x08", None)),
        *((b"\7\xcd\xac\x08", "h"), (b"\6\xcd\xab\x08", "a"), (b"\7\xcd\xab\x09", "b")),
        *((b"\7\xcd\xab", "b"), (b"\7\xcd\xab\x08\0", "data"), (b"", "a")),
    ],
)
def test_a_whole_with_holes_is_exact_but_for_the_holes(data: bytes, label: str | None) -> None:
    wrong = held(holey(), Observation(0, 0, data))[0]
    assert (wrong.label if wrong else None) == label


@pytest.mark.parametrize("data", [b"\7\xcd\xab\x08", b"\7\xcd\0\x08", b"\7\xcd\xac\x08"])
def test_what_a_whole_says_is_not_asked_of_the_parts(data: bytes) -> None:
    made: list[int] = []
    hole = Part("h", 2, KEPT_OR_CLEARED)

    def more() -> tuple[Part, ...]:
        made.append(1)
        return (part(exact(7), 1, "a"), hole, part(exact(8), 1, "b"))

    outcome = Outcome(0, whole=b"\7\0\0\x08", holes=((1, hole),), more=more)
    wrong = held(permit(outcome), Observation(0, 0, data))[0]
    assert (wrong is None) == (data[1:3] in (b"\xcd\xab", b"\xcd\0"))
    assert made == []
    assert held(permit(outcome), Observation(0, 0, b"\6" + data[1:]))[0]
    assert made, "where it does not fit they tell what is wrong"


def test_a_hole_is_as_long_as_its_part_wherever_it_ends() -> None:
    made: list[int] = []
    hole = Part("h", 2, KEPT_OR_CLEARED)
    parts = (part(exact(7), 1, "a"), hole, part(exact(0x0908), 2, "b"))

    def more() -> tuple[Part, ...]:
        made.append(1)
        return parts

    outcome = Outcome(0, whole=b"\7\0\0\x08\x09", holes=((1, hole),), more=more)
    seen = invent(permit(outcome), lambda _: 0)
    assert seen.data == b"\7\xcd\xab\x08\x09"
    assert held(permit(outcome), seen)[0] is None
    assert made == []


def test_a_hole_narrows_and_counts_what_was_chosen() -> None:
    home = {"h": KEPT_OR_CLEARED}
    wrong, choices = held(holey((home, "h")), Observation(0, 0, b"\7\xcd\0\x08"))
    assert wrong is None
    assert choices == Choices(kept=0, cleared=1)
    assert home == {"h": exact(0xCD)}


# -- sets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "choices", "value"),
    [(b"\xcd\xab", Choices(1, 0), 0xABCD), (b"\xcd\0", Choices(0, 1), 0xCD)],
)
def test_a_choice_is_counted_and_binds(data: bytes, choices: Choices, value: int) -> None:
    home = {"z3": KEPT_OR_CLEARED}
    outcome = permit(Outcome(0, (part(KEPT_OR_CLEARED, home=(home, "z3")),)))
    assert held(outcome, Observation(0, 0, data)) == (None, choices)
    assert home["z3"] == exact(value)


def test_a_choice_without_a_home_is_counted_alone() -> None:
    outcome = permit(Outcome(0, (part(KEPT_OR_CLEARED),)))
    assert held(outcome, Observation(0, 0, b"\xcd\xab")) == (None, Choices(1, 0))


def test_choices_add_up() -> None:
    choices = Choices()
    outcome = permit(Outcome(0, (part(KEPT_OR_CLEARED), part(KEPT_OR_CLEARED))))
    for data, kept, cleared in ((b"\xcd\0" * 2, 0, 2), (b"\xcd\0\xcd\xab", 1, 3)):
        assert observe(outcome, Observation(0, 0, data), choices) is None
        assert choices == Choices(kept, cleared)
    observe(outcome, Observation(0, 0, b"\xcd\xab" * 2), choices)
    assert choices == Choices(3, 3)


def test_unknown_bits_take_what_is_seen_and_are_no_choice() -> None:
    home = {"x": unknown(0x1200, 0xFF)}
    outcome = permit(Outcome(0, (part(home["x"], home=(home, "x")),)))
    assert held(outcome, Observation(0, 0, b"\x77\x12")) == (None, Choices())
    assert home["x"] == exact(0x1277)
    homeless = permit(Outcome(0, (part(unknown(0x1200, 0xFF)),)))
    assert held(homeless, Observation(0, 0, b"\x77\x12")) == (None, Choices())
    assert told(outcome, Observation(0, 0, b"\x77\x13")) == (
        *("z3", "0x1200 (unknown 0xff)", "0x1377", "byte 1", 0x100),
    )
    known = {"x": exact(5)}
    held(permit(Outcome(0, (part(known["x"], home=(known, "x")),))), Observation(0, 0, b"\5\0"))
    assert known["x"] == exact(5)


def test_nothing_is_narrowed_unless_all_parts_match() -> None:
    home = {"a": KEPT_OR_CLEARED, "b": exact(1)}
    parts = part(home["a"], home=(home, "a")), part(exact(1), 1, "b")
    wrong, choices = held(permit(Outcome(0, parts)), Observation(0, 0, b"\xcd\0\2"))
    assert wrong
    assert (home["a"], choices) == (KEPT_OR_CLEARED, Choices())


def test_no_candidate_names_all_and_the_nearest_difference() -> None:
    outcome = permit(Outcome(0, (part(KEPT_OR_CLEARED, label=""),)))
    assert told(outcome, Observation(0, 0, b"\xcd\x01")) == (
        *("register header", "0xabcd or 0x00cd", "0x01cd", "byte 1", 0x100),
    )
    assert nearest(KEPT_OR_CLEARED, 0x01CD) == 0x100
    assert nearest(((0x8000, 0), (0x0003, 0)), 0) == 0x8000  # fewer bits, however high
    assert nearest(((0, 0xFF00), (0xFFFF, 0)), 0x7701) == 1
    far = held(permit(Outcome(0, (part(exact(0), 4),))), Observation(0, 0, b"\0\x80\x01\0"))[0]
    assert far
    assert far.detail == "bytes 1..2"
    masked = permit(Outcome(0, (part(((0, 0xFF00), (0xFFFF, 0)), 2),)))
    near = held(masked, Observation(0, 0, b"\x01\x77"))[0]
    assert near
    assert near.detail == "byte 0"


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        *((0x01, "byte 0"), (0x80, "byte 0"), (0x100, "byte 1"), (0x8000, "byte 1")),
        *((0x180, "bytes 0..1"), (0x8080, "bytes 0..1"), (0x18000, "bytes 1..2")),
    ],
)
def test_the_bytes_that_are_wrong_are_told_to_the_bit(wrong: int, where: str) -> None:
    outcome = permit(Outcome(0, (part(exact(0), 4),)))
    assert told(outcome, Observation(0, 0, wrong.to_bytes(4, "little")))[3] == where


# -- what people see -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "mask", "size", "text"),
    [
        (0xAB, 0, 1, "0xab"),
        (5, 0, 8, "0x0000000000000005"),
        (5, 0xF0, 4, "0x00000005 (unknown 0xf0)"),
        (0, 0, 9, "[0..8]=00"),
        (0xAB, 0, 9, "[0]=ab [1..8]=00"),
        (0xAB00, 0xFF | 1 << 64, 9, "[0]=.. [1]=ab [2..7]=00 [8]=00?"),
    ],
)
def test_a_candidate_is_shown_in_runs(value: int, mask: int, size: int, text: str) -> None:
    assert show((value, mask), size) == text


def test_many_runs_are_shown_in_rows() -> None:
    noise = int.from_bytes(bytes(range(1, 14)) + bytes(3), "little")
    assert show((noise, 0), 16) == "[0..15]=0102030405060708090a0b0c0d000000"
    eleven = int.from_bytes(bytes(range(1, 12)) + bytes(5), "little")
    assert show((eleven, 0), 16).count("=") == 12
    long = int.from_bytes(bytes(range(1, 100)), "little")
    rows = show((long, 0), 99).split()
    assert rows[0] == "[0..15]=0102030405060708090a0b0c0d0e0f10"
    assert [row.partition("=")[0] for row in rows] == [
        *("[0..15]", "[16..31]", "[32..47]", "[48..63]", "..."),
    ]
    assert show((long, 0), 64).split()[-1].startswith("[48..63]=")
    assert show((long, 0), 99, [6]) == "[96..98]=616263 ..."
    assert show((long, 0), 99, range(5)).count("=") == 4


def test_the_rows_that_differ_are_those_shown() -> None:
    assert rows_with(0, 64) == []
    assert rows_with(1 << 127 | 1 << 128, 64) == [0, 1]
    assert rows_with(1 << 8 * 63, 64) == [3]
    assert rows_with(1 << 8 * 32, 33) == [2]


def test_what_differs_far_up_is_shown_there() -> None:
    long = int.from_bytes(bytes(range(1, 100)), "little")
    seen = (long ^ 1 << 8 * 97).to_bytes(99, "little")
    wrong = held(permit(Outcome(0, (part(exact(long), 99),))), Observation(0, 0, seen))[0]
    assert wrong
    assert (wrong.expected, wrong.observed) == ("[96..98]=616263 ...", "[96..98]=616363 ...")
    assert (wrong.detail, wrong.wrong) == ("byte 97", 1 << 8 * 97)


# -- making one up ---------------------------------------------------------------------------


def test_what_is_made_up_is_permitted_and_binds() -> None:
    for choose, value in ((lambda _: 0, 0xABCD), (lambda c: len(c) - 1, 0xCD)):
        home = {"h": KEPT_OR_CLEARED}
        permitted = holey((home, "h"))
        seen = invent(permitted, choose)
        assert home["h"] == exact(value)
        assert held(permitted, seen)[0] is None
        assert seen.data == b"\7" + value.to_bytes(2, "little") + b"\x08"


def test_what_is_made_up_is_the_first_outcome_with_unknown_bits_zero() -> None:
    done: list[int] = []
    first = Outcome(
        7, (part(unknown(0x1200, 0xFF)), part(exact(3), 1)), aux=None, effect=lambda: done.append(1)
    )
    assert invent(permit(first, Outcome(9)), lambda _: 9) == Observation(7, 0, b"\0\x12\3")
    assert done == [1]
    tail = Outcome(0, (part(exact(3), 1),), aux=6, tail=Tail(lambda _: None, lambda: b"made"))
    assert invent(permit(tail), lambda _: 0) == Observation(0, 6, b"\3made")
    silent = Permitted("r", (), anything=True, if_done=lambda: done.append(2))
    assert invent(silent, lambda _: 0) == Observation(0)
    assert done == [1, 2]
    assert invent(Permitted("r", (), anything=True), lambda _: 0) == Observation(0)


def test_a_failed_get_leaves_the_buffer_alone() -> None:
    rules: set[str] = set()
    permitted = with_prefill(fails("reg.unknown", 2), 3, rules)
    assert rules == {"reg.failed-get-writes-nothing"}
    assert permitted.origins == {"buffer": "reg.failed-get-writes-nothing"}
    assert permitted.rule == "reg.unknown"
    assert FILL == 0x5A
    assert held(permitted, Observation(2, 0, b"\x5a\x5a\x5a"))[0] is None
    wrong = held(permitted, Observation(2, 0, b"\x5a\x00\x5a"))[0]
    assert wrong
    assert (wrong.label, wrong.detail) == ("buffer", "byte 1")


def test_a_get_into_a_buffer_that_ends_early_may_leave_anything() -> None:
    permitted = fault_on_get("reg.fault", 2)
    assert permitted.rule == "reg.fault"
    assert held(permitted, Observation(14, 0, b"\xff\x12"))[0] is None
    assert held(permitted, Observation(14, 0, b"\xff"))[0] == Mismatch(
        "buffer", "2 bytes", "1 bytes"
    )
    assert held(permitted, Observation(0, 0, b"\xff\x12"))[0] == Mismatch(
        "errno", "EFAULT", "success"
    )


def test_what_arrived_before_a_fault_may_be_anything() -> None:
    for size in (1, 3, 16):
        permitted = fault_on_get("reg.get-fault", size)
        for byte in (b"\0", b"\xff", b"\x80", b"\1"):
            assert held(permitted, Observation(14, 0, byte * size)) == (None, Choices())
        assert held(permitted, Observation(0, 0, bytes(size)))[0]
        assert held(permitted, Observation(14, 0, bytes(size + 1)))[0]
        assert held(permitted, Observation(14, 0, bytes(size - 1)))[0]
