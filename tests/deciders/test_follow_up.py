"""What becomes of a suspicion, step by step: how long it is looked into, traced and made small."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from scripted import Scripted, broken, diverge, earlier, sound

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.kept import KeptCase, Known
from corpus.ops import GetMp
from corpus.text import format_case, parse_case
from corpus.trace import Observation, Trace
from db.records import FindingRecord, SignatureRecord
from fuzz.followup import investigate
from fuzz.followup.cause import Cause
from fuzz.followup.inquest import inquire, run_after
from fuzz.followup.investigate import TRACINGS, Investigator
from fuzz.followup.otherwise import Otherwise
from fuzz.followup.suspicion import Confirmed, Dropped, Shown, Suspicion
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.selfsame import READING
from fuzz.oracle.verdict import Agree
from targets.base import Ran
from targets.transport import TransportError

WARN = Fault(FaultKind.WARN, "f", True)
ONE, TWO, LAST = (parse_case("create v0\n" * n) for n in (1, 2, 3))
RUNS = parse_case("create v0\nrun v0 {\n nop\n nop\n}\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


# -- why a machine broke -----------------------------------------------------------------------


def test_a_case_runs_after_others_as_they_ran() -> None:
    for shared in ((), (0,), (1,), (0, 1)):
        leg = Scripted("a")
        before = [Ran(case, n in shared) for n, case in enumerate((ONE, TWO))]
        assert run_after(leg, before, LAST) == sound(LAST)
        assert leg.ran == [ONE, TWO, LAST]
        assert leg.restarted == 1
        expected = [case for n, case in enumerate((ONE, TWO)) if n in shared]
        assert leg.shared == [*expected, *[LAST] * bool(shared)]
    leg = Scripted("a")
    run_after(leg, (), LAST)
    assert leg.shared == []


def test_what_breaks_before_is_what_there_is() -> None:
    leg = Scripted("a", lambda case, turn: broken(WARN) if case == ONE else sound(case))
    assert run_after(leg, earlier(ONE, TWO), LAST) == broken(WARN)
    assert leg.ran == [ONE]


def test_each_kind_of_try_is_made_until_the_very_end(clock: list[float]) -> None:
    leg = Scripted("a")
    found = inquire(leg, LAST, broken(WARN), earlier(ONE), seconds=0.0)
    assert (found.seen, found.tried) == (0, 5)


def test_at_the_very_end_what_is_needed_is_still_looked_for(clock: list[float]) -> None:
    def script(case: Case, turn: int) -> Trace:
        return broken(WARN) if case == LAST and leg.ran[-2:-1] == [TWO] else sound(case)

    leg = Scripted("a", script)
    found = inquire(leg, LAST, broken(WARN), earlier(*[ONE] * 5, TWO), seconds=0.0)
    assert found.preceding == earlier(TWO)


def test_when_time_is_up_what_is_known_is_kept(clock: list[float]) -> None:
    history = earlier(*[ONE] * 8)

    def script(case: Case, turn: int) -> Trace:
        if case != LAST:
            return sound(case)
        clock[0] += 1.0
        return broken(WARN) if len(leg.ran) > 3 else sound(case)

    leg = Scripted("a", script)
    found = inquire(leg, LAST, broken(WARN), history, seconds=3.5)
    assert found.preceding == history  # no time to look for a shorter one
    assert leg.ran.count(LAST) == 3 + 1 + 1


# -- a suspicion that does what it is told -----------------------------------------------------


class Told(Suspicion):
    """Confirmed as `confirmed` says; `traces`: what it is traced to, one after the other."""

    oracle = "told"

    def __init__(
        self,
        case: Case = LAST,
        cause: str = "first",
        confirmed: Confirmed | Dropped | None = None,
        traces: Sequence[Suspicion] = (),
        settles: bool = True,
        showing: Callable[[Case], bool] = lambda _: False,
    ) -> None:
        super().__init__(case, "a", diverge(), Cause("get", cause, "z"))
        self.confirmed, self.traces = confirmed, list(traces)
        self.settles, self.showing = settles, showing
        self.seconds: list[float] = []
        self.log: list[str] = []

    def confirm(
        self, legs: Everywhere, note: Callable[[str], None], seconds: float
    ) -> Confirmed | Dropped:
        self.seconds.append(seconds)
        return self.confirmed or Confirmed(self.shown(self.case), 3, 3)

    def shown(self, case: Case) -> Shown:
        return Shown(case, self.verdict, {}, {})

    def shows(self, case: Case, legs: Everywhere) -> bool:
        self.log.append("shows")
        return self.showing(case)

    def settle(self, case: Case, legs: Everywhere) -> Shown | None:
        self.log.append("settle")
        return self.shown(case) if self.settles else None

    def traced(self, legs: Everywhere) -> Suspicion:
        self.log.append("traced")
        return self.traces.pop(0) if self.traces else self


def follow(
    suspicion: Suspicion,
    enough: Callable[[SignatureRecord], bool] = lambda _: False,
    end: float | None = None,
    minimize: float = 30.0,
) -> tuple[object, list[str]]:
    notes: list[str] = []
    investigator = Investigator(Everywhere([Scripted("a")]), notes.append, minimize, enough)
    if end is not None:
        investigator.end = end
    return investigator.follow(suspicion), notes


@pytest.mark.parametrize(
    ("end", "seconds"), [(None, 45.0), (1000.0, 45.0), (110.0, 10.0), (100.0, 0.0), (0.0, 0.0)]
)
def test_how_long_a_suspicion_may_be_looked_into(
    clock: list[float], end: float | None, seconds: float
) -> None:
    one = Told(confirmed=Dropped("no"))
    found, _ = follow(one, end=end)
    assert found == Dropped("no")
    assert one.seconds == [seconds]
    assert one.log == []


@pytest.mark.parametrize(("seen", "preceding"), [(0, ()), (3, earlier(ONE)), (0, earlier(ONE))])
def test_what_does_not_show_by_itself_is_stored_as_it_is(
    seen: int, preceding: tuple[Ran, ...]
) -> None:
    one = Told()
    one.confirmed = Confirmed(one.shown(LAST), seen, 3, preceding)
    found, _ = follow(one)
    assert isinstance(found, FindingRecord)
    assert found.minimal == found.original == LAST
    assert one.log == []


def test_a_suspicion_goes_on_from_where_it_was_traced_to() -> None:
    earlier_one = Told(ONE, "earlier")
    found, _ = follow(Told(traces=[earlier_one]))
    assert isinstance(found, FindingRecord)
    assert (found.minimal, found.original) == (ONE, LAST)
    assert found.signature.rule == "earlier"


def test_a_trace_that_does_not_settle_is_forgotten() -> None:
    found, _ = follow(Told(traces=[Told(ONE, "earlier", settles=False)]))
    assert isinstance(found, FindingRecord)
    assert (found.minimal, found.signature.rule) == (LAST, "first")


def test_what_is_traced_to_itself_does_not_settle_again() -> None:
    one = Told(ONE)
    follow(one)
    assert one.log[0] == "traced"
    assert "settle" not in one.log


def test_of_what_is_known_well_enough_only_the_bucket_is_told() -> None:
    one = Told()
    found, notes = follow(one, lambda _: True)
    assert isinstance(found, SignatureRecord)
    assert (found.rule, notes) == ("first", [])
    asked: list[str] = []

    def second(bucket: SignatureRecord) -> bool:
        asked.append(bucket.rule)
        return bucket.rule == "smaller"

    found, _ = follow(Told(traces=[Told(ONE), Told(ONE, "smaller")]), second)
    first = Told(ONE, traces=[Told(ONE, "smaller")])
    asked.clear()
    found, notes = follow(Told(traces=[first]), second)
    assert isinstance(found, SignatureRecord)
    assert found.rule == "smaller"
    assert asked == ["first", "smaller", "smaller"]  # before more is made of it, and at the end
    assert len(notes) == 1, "it is not made smaller once more"
    asked.clear()
    found, _ = follow(Told(ONE), second)
    assert isinstance(found, FindingRecord)
    assert asked == ["first"]  # not asked again for the same


@pytest.mark.parametrize(
    ("fault", "rule", "small"),
    [
        (WARN, "ending.warn@f", False),
        (WARN, "ending.warn@g", True),
        (None, "finalize.sve", True),
        (Fault(FaultKind.CRASH, "", False), "ending.ok", True),
        (Fault(FaultKind.CRASH, "", False), "ending.crash", True),
    ],
)
def test_a_break_that_is_recorded_is_stored_as_it_is(
    fault: Fault | None, rule: str, small: bool
) -> None:
    """Or as it was traced to."""
    known = KeptCase(Path("one.case"), ONE, (Known("kvm", rule),), "one")
    legs = Everywhere([Scripted("a")], Knowledge([known]))
    one = Told(TWO, showing=lambda case: True)
    one.verdict = replace(one.verdict, fault=fault, rule=fault.rule if fault else "finalize.sve")
    found = Investigator(legs, lambda _: None, 30.0).follow(Told(traces=[one]))
    assert isinstance(found, FindingRecord)
    assert (len(found.minimal.ops) < len(TWO.ops)) is small
    assert (found.minimal == TWO) is not small
    assert ("shows" in one.log) is small
    assert found.reproduced == (3, 3)


def test_a_cause_is_looked_for_anew_a_few_times() -> None:
    made = [Told(ONE, f"cause {n}") for n in range(9)]
    for one, following in pairwise(made):
        one.traces = [following]
    found, notes = follow(made[0])
    assert isinstance(found, FindingRecord)
    assert TRACINGS == 3
    assert found.signature.rule == "cause 4"  # once before it was made small, thrice after
    assert len(notes) == TRACINGS


def test_where_the_cause_stays_it_is_not_looked_for_again() -> None:
    one = Told(LAST, showing=lambda case: len(case.ops) < 3)
    found, notes = follow(one)
    assert isinstance(found, FindingRecord)
    assert (found.minimal, len(notes)) == (ONE, 1)
    assert one.log.count("settle") == 2  # what has few ops, and what was made small


@pytest.mark.parametrize(
    ("cause", "settles", "known"),
    [("smaller", True, True), ("other", True, False), ("smaller", False, False)],
)
def test_what_few_ops_show_to_be_known_well_enough_is_made_no_smaller(
    cause: str, settles: bool, known: bool
) -> None:
    telling = Told(ONE, cause, settles=settles)
    inner = Told(RUNS, traces=[telling] * 2, showing=lambda case: case.ops == RUNS.ops[1:])
    found, (first, *_) = follow(Told(traces=[inner]), lambda bucket: bucket.rule == "smaller")
    assert isinstance(found, SignatureRecord) == known
    assert "drop ops 1/" in first
    assert ("drop instructions" in first) != known


def test_what_few_ops_do_not_show_once_more_is_made_smaller() -> None:
    one = Told(RUNS, settles=False, showing=lambda case: case.ops == RUNS.ops[1:])
    _, (note,) = follow(one)
    assert "drop instructions" in note


@pytest.mark.parametrize(
    ("avoided", "smallest"),
    [
        (lambda case: len(case.ops) < 2, 2),
        (lambda case: len(case.ops) < 3, 3),
        (lambda case: GetMp(0) not in case.ops, 1),  # it is left out first
        (lambda case: True, 1),  # so is the case itself
        (lambda case: False, 1),
    ],
)
def test_a_case_is_not_made_into_one_that_is_kept_from_its_machine(
    avoided: Callable[[Case], bool], smallest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(investigate, "is_avoided", lambda case, _: avoided(case))
    case = parse_case("create v0\ncreate v1\nget-mp v0\n")
    found, _ = follow(Told(case, showing=lambda case: bool(case.ops)))
    assert isinstance(found, FindingRecord)
    assert len(found.minimal.ops) == smallest


def test_what_has_no_fewer_ops_is_not_asked_again() -> None:
    one = Told(LAST, showing=lambda case: case == LAST)
    follow(one)
    assert one.log.count("settle") == 0


def test_a_machine_that_is_lost_over_a_smaller_case_ends_nothing() -> None:
    def lost(case: Case) -> bool:
        if case == LAST:
            return True
        raise TransportError("gone")

    found, _ = follow(Told(LAST, showing=lost))
    assert isinstance(found, FindingRecord)
    assert found.minimal == LAST


@pytest.mark.parametrize(
    ("restarts", "text"), [(True, ""), (False, "disturb softirq {\n    get v0 z3\n}\n")]
)
def test_where_asking_costs_much_few_ops_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, restarts: bool, text: str
) -> None:
    """Where each showing costs a machine, or chance takes many runs."""
    monkeypatch.setattr(Told, "restarts", restarts)
    case = parse_case(f"{text}{format_case(RUNS)}")
    words = [op.word for op in case.ops if op.word != "create"]
    one = Told(case, showing=lambda case: [op.word for op in case.ops] == words)
    _, (note,) = follow(one)
    assert one.log.count("settle") == 1  # what was made small
    assert "drop instructions" in note


def test_a_new_cause_that_does_not_settle_ends_the_search() -> None:
    second = Told(ONE, "second", settles=False)
    one = Told(ONE, traces=[Told(ONE, traces=[second])])
    found, notes = follow(one)
    assert isinstance(found, FindingRecord)
    assert (found.signature.rule, len(notes)) == ("first", 1)


@pytest.mark.parametrize(
    ("end", "minimize", "small"),
    [
        *((None, 30.0, True), (100.0, 30.0, True), (90.0, 30.0, True), (69.0, 30.0, False)),
        *((None, 0.0, False), (1000.0, -1.0, False)),
    ],
)
def test_minimising_may_outlast_the_end_by_what_it_may_take(
    clock: list[float], end: float | None, minimize: float, small: bool
) -> None:
    one = Told(showing=lambda case: tick(clock) > 0 and len(case.ops) < 3)
    found, _ = follow(one, end=end, minimize=minimize)
    assert isinstance(found, FindingRecord)
    assert (len(found.minimal.ops) == 1) is small


def tick(clock: list[float], seconds: float = 0.5) -> float:
    clock[0] += seconds
    return clock[0]


@pytest.mark.parametrize(
    ("restarts", "boot", "minimize", "each", "runs"),
    [
        (False, 4.0, 5.0, 0.5, 11),
        (True, 0.1, 5.0, 0.5, 11),
        (True, 0.25, 5.0, 0.5, 11),
        (True, 0.5, 5.0, 0.5, 21),
        (True, 11.0, 5.0, 5.0, 45),
        (True, 13.0, 5.0, 5.0, 49),
        (True, 13.0, 1.0, 5.0, 49),
        (True, 13.0, 0.0, 0.5, 1),
    ],
)
def test_where_showing_costs_a_machine_minimising_may_take_as_long_as_many_do_to_start(
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    restarts: bool,
    boot: float,
    minimize: float,
    each: float,
    runs: int,
) -> None:
    monkeypatch.setattr(Told, "restarts", restarts)
    monkeypatch.setattr(Scripted, "boot_seconds", boot)
    long = parse_case("".join(f"get v0 x{n % 30}\n" for n in range(60)))
    one = Told(long, showing=lambda _: tick(clock, each) < 0)
    follow(one, minimize=minimize)
    assert one.log.count("shows") == runs


def test_minimising_ends_in_time(clock: list[float]) -> None:
    long = parse_case("".join(f"get v0 x{n}\n" for n in range(20)))
    for end, minimize, most in ((None, 5.0, 11), (98.0, 5.0, 7), (1000.0, 5.0, 11)):
        clock[0] = 100.0
        one = Told(long, showing=lambda _: tick(clock) < 0)
        follow(one, end=end, minimize=minimize)
        assert one.log.count("shows") == most


def test_what_minimising_did_is_told_by_pass(clock: list[float]) -> None:
    one = Told(showing=lambda case: tick(clock) > 0 and len(case.ops) < 3)
    _, notes = follow(one)
    (note,) = notes
    assert re.fullmatch(r"a: minimised 3 to 1 ops in 2 runs, 1\.0 s \(drop ops 2/2\)", note), note
    _, notes = follow(Told(ONE))
    assert notes == ["a: minimised 1 to 1 ops in 0 runs, 0.0 s"]


# -- a case told otherwise ---------------------------------------------------------------------

CASE = parse_case("create v0\ninit v0\nfinalize v0\nget v0 x1\nget v0 x1\n")
"""It is told otherwise in one way that is tried first: without reading before its end."""


def otherwise(script: Callable[[int], int]) -> tuple[Scripted, Everywhere]:
    """A leg whose last op gives an errno by how often the case was told otherwise, or, below
    zero, what it should."""
    told = [0]

    def run(case: Case, turn: int) -> Trace:
        seen = sound(case).observations
        if len(case.ops) != len(CASE.ops) - 1:
            return Trace(seen)
        told[0] += 1
        err = script(told[0] - 1)
        return Trace(seen if err < 0 else (*seen[:-1], Observation(err)))

    leg = Scripted("a", run, kind="emulator")
    return leg, Everywhere([leg])


def differing() -> Otherwise:
    verdict = diverge(oracle="self", rule=READING, op_word="get", label="errno", op_index=4)
    return Otherwise(CASE, "a", verdict)


def test_what_differs_the_same_way_each_time_is_confirmed() -> None:
    leg, legs = otherwise(lambda _: 22)
    found = differing().confirm(legs, print, 1.0)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (3, 3)
    assert found.shown.verdict.observed == "EINVAL"
    assert found.shown.verdicts["a"] == found.shown.verdict
    assert found.shown.case == CASE
    assert leg.ran.count(CASE) == 4  # three times to compare, once beside the others
    assert differing().shows(CASE, legs)
    assert differing().runs == 200


def test_what_other_legs_do_is_shown_beside_it() -> None:
    leg, _ = otherwise(lambda _: 22)
    shown = differing().settle(CASE, Everywhere([leg, Scripted("b", kind="emulator")]))
    assert shown
    assert set(shown.verdicts) == set(shown.traces) == {"a", "b"}
    assert isinstance(shown.verdicts["b"], Agree)


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("instead", [0, 7, -1])
def test_what_differs_otherwise_once_is_not(turn: int, instead: int) -> None:
    _, legs = otherwise(lambda at: instead if at == turn else 22)
    found = differing().confirm(legs, print, 1.0)
    assert found == Dropped("differed from itself, but not every time", harness=False)
    assert differing().settle(CASE, legs) is not None  # from then on it does


def test_another_difference_is_not_the_same() -> None:
    _, legs = otherwise(lambda _: 22)
    other = Otherwise(CASE, "a", diverge(oracle="self", rule="self.set-order", op_word="get"))
    assert not other.shows(CASE, legs)
    assert other.settle(CASE, legs) is None
