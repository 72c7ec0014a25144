"""What is chance while the clock runs is made small where the clock goes by instructions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Scripted, agree, broken, diverge, earlier, sound, wrong

from corpus.case import MAX_OPS, Case
from corpus.fault import Fault, FaultKind
from corpus.fields import MAX_PROGRAM
from corpus.isa.system import HVC_LOOP
from corpus.kept import KeptCase, Known
from corpus.ops import Disturb, GetReg, Run, SetReg
from corpus.text import format_case, parse_case
from corpus.trace import Ending, Trace
from corpus.wire import Stranger
from db.records import Earlier, FindingRecord, SignatureRecord
from fuzz.followup import steady
from fuzz.followup.breakage import Breakage
from fuzz.followup.investigate import Investigator
from fuzz.followup.steady import (
    MOST_BROKEN,
    TRIES,
    Often,
    Shows,
    StandIns,
    Steadied,
    delays,
    fewest,
    last_sure,
    no_stand_ins,
    often,
    relocations,
    shares,
    stand_ins,
    steadied,
    steady_names,
    surest_of,
)
from fuzz.followup.surer import TIMES, Told, given_time, in_company, once, ways
from fuzz.followup.suspicion import Departure, Shown, Suspicion
from fuzz.oracle.attribution import akin, alike
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.oracle.verdict import Diverge
from targets.base import Target
from targets.transport import TransportError

LEG = "kvm:6.12:vhe"
CASE = parse_case("""create v0
init v0
finalize v0
set v0 z3 1
get v0 z5
disturb softirq after=700000 {
    get v0 z3
    get v0 z5
}
get v0 sp
""")
PANIC = Fault(FaultKind.PANIC, "f", True)
PLAIN = Case(tuple(op for op in CASE.ops if not isinstance(op, Disturb)))


class Struck(Scripted):
    """A leg on which a stranger that strikes from `first` to `last` spoils what the op in its
    block reads; in one run of `every`."""

    def __init__(self, first: int, last: int, every: int) -> None:
        super().__init__(LEG, self._do)
        self.first, self.last, self.every = first, last, every

    def _do(self, case: Case, turn: int) -> Trace:
        for index, op in enumerate(case.ops[:-1]):
            strikes = isinstance(op, Disturb) and op.span and self.first <= op.after <= self.last
            if strikes and turn % self.every == 0 and isinstance(case.ops[index + 1], GetReg):
                return wrong(case, index + 1)
        return sound(case)


def standing_in(asked: list[str], *legs: Target | None) -> StandIns:
    @contextmanager
    def opened(name: str, leg: Target | None) -> Iterator[Target | None]:
        asked.append(name)
        yield leg

    return lambda name, _case: (opened(name, leg) for leg in legs)


def follow(leg: Struck, stand_ins: StandIns, case: Case = CASE) -> tuple[FindingRecord, list[str]]:
    legs = Everywhere([leg])
    notes: list[str] = []
    for _ in range(40):
        verdict = legs.judge_one(case, LEG, leg.run(case))
        if isinstance(verdict, Diverge):
            break
    assert isinstance(verdict, Diverge)
    leg.ran.clear()
    found = Investigator(legs, notes.append, 30.0, stand_ins=stand_ins).follow(
        Departure(case, LEG, verdict)
    )
    assert isinstance(found, FindingRecord)
    return found, notes


def test_it_is_made_small_where_it_comes_again() -> None:
    """And kept with a delay that shows it where it was found."""
    running, counting = Struck(600_000, 800_000, 4), Struck(2_000_000, 2_400_000, 1)
    asked: list[str] = []
    found, notes = follow(running, standing_in(asked, counting))
    assert asked == [LEG]
    (stranger,) = [op for op in found.minimal.ops if isinstance(op, Disturb)]
    assert 600_000 <= stranger.after <= 800_000
    assert len(found.minimal.ops) < len(CASE.ops)
    assert any(
        op.after >= 2_000_000 for c in counting.ran for op in c.ops if isinstance(op, Disturb)
    )
    often = "of 20 runs with the clock running, and in 20 of 20 by instructions, after="
    assert found.explanation.count(often) == 1
    assert any(often in note for note in notes)
    assert LEG in found.traces
    small = min(len(c.ops) for c in counting.ran)
    assert small <= len(found.minimal.ops)


def test_where_it_never_shows_there_it_is_made_small_as_ever() -> None:
    running = Struck(600_000, 800_000, 2)
    found, _ = follow(running, standing_in([], Struck(1, 0, 1)))
    assert "in 10 of 20 runs with the clock running, and at no delay by instructions" in (
        found.explanation
    )
    assert len(found.minimal.ops) < len(CASE.ops)


def test_whichever_stranger_it_is_that_has_to_strike_at_another_time() -> None:
    text = "disturb move after=3000 {\ndisturb thread after=200 {\nget-mp v0\n}\n}\n"
    case = parse_case(text)

    def shows(told: Told) -> bool:
        ops = told.case.ops
        return any(isinstance(op, Disturb) and op.by == 1 and op.after > 9000 for op in ops)

    moved = list(relocations(Told(case, 3), shows))
    assert moved
    assert all(map(shows, moved))
    assert {(told.case.ops[0], told.times) for told in moved} == {(case.ops[0], 3)}
    assert not list(relocations(Told(case), lambda _: False))
    assert not list(relocations(Told(PLAIN), lambda _: True))


def test_what_it_takes_by_instructions_chance_does_not_drop() -> None:
    """Else what is kept would not come again."""

    class Needing(Struck):
        def _do(self, case: Case, turn: int) -> Trace:
            needed = any(isinstance(op, SetReg) for op in case.ops)
            return super()._do(case, turn) if needed else sound(case)

    running = Struck(600_000, 800_000, 2)
    found, notes = follow(running, standing_in([], Needing(2_000_000, 2_400_000, 1)))
    assert any(isinstance(op, SetReg) for op in found.minimal.ops)
    assert sum("minimised" in note for note in notes) == 1
    alone, _ = follow(Struck(600_000, 800_000, 2), no_stand_ins)
    assert not any(isinstance(op, SetReg) for op in alone.minimal.ops)


def test_where_each_run_costs_a_restart_few_are_counted() -> None:
    leg = Scripted(LEG, lambda case, _: broken(PANIC))
    legs = Everywhere([leg])
    verdict = legs.judge_one(CASE, LEG, leg.run(CASE))
    assert isinstance(verdict, Diverge)
    crash = Breakage(CASE, LEG, verdict, broken(PANIC))
    assert often(crash, CASE, legs) == Often(3, 3)
    warned = Breakage(CASE, LEG, verdict, replace(broken(PANIC), ending=Ending.HOST_LOG))
    assert often(warned, CASE, legs) == Often(3, 3)
    assert often(Departure(CASE, LEG, verdict), CASE, legs) == Often(20, 20)
    assert often(crash, CASE, legs, 1) == Often(1, 1)


def test_what_a_small_case_showed_once_by_luck_is_not_lost_on_it() -> None:
    """Then a larger one, that shows it again, is kept."""
    lucky: set[bytes] = set()

    def do(case: Case, _turn: int) -> Trace:
        if len(case.ops) < 4 and case.encoded in lucky:
            return sound(case)
        lucky.add(case.encoded)
        return wrong(case, len(case.ops) - 1) if case.ops else sound(case)

    leg = Scripted(LEG, do)
    legs = Everywhere([leg])
    verdict = legs.judge_one(PLAIN, LEG, leg.run(PLAIN))
    assert isinstance(verdict, Diverge)
    found = Investigator(legs, lambda _: None, 30.0).follow(Departure(PLAIN, LEG, verdict))
    assert isinstance(found, FindingRecord)
    assert 4 <= len(found.minimal.ops) < len(PLAIN.ops)


def test_what_is_no_chance_needs_no_other_clock() -> None:
    asked: list[str] = []
    leg = Scripted(LEG, lambda case, _: wrong(case, 4) if len(case.ops) > 4 else sound(case))
    legs = Everywhere([leg])
    verdict = legs.judge_one(PLAIN, LEG, leg.run(PLAIN))
    assert isinstance(verdict, Diverge)
    stand_ins = standing_in(asked, Struck(0, 1, 1))
    found = Investigator(legs, lambda _: None, 30.0, stand_ins=stand_ins).follow(
        Departure(PLAIN, LEG, verdict)
    )
    assert isinstance(found, FindingRecord)
    assert asked == []
    assert "by instructions" not in found.explanation


def test_without_such_a_leg_nothing_is_said_of_it() -> None:
    found, _ = follow(Struck(600_000, 800_000, 2), no_stand_ins)
    assert "by instructions" not in found.explanation


def test_such_a_leg_may_break() -> None:
    class Gone(Struck):
        def submit(self, case: Case) -> int:
            raise TransportError("gone.")

    found, _ = follow(Struck(600_000, 800_000, 2), standing_in([], Gone(0, 1, 1)))
    assert "by instructions" not in found.explanation


@pytest.mark.parametrize(("now", "booted"), [(100.0, [LEG]), (100.5, [])])
def test_when_time_is_up_nothing_is_booted(
    monkeypatch: pytest.MonkeyPatch, now: float, booted: list[str]
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: now)
    leg, asked = Struck(600_000, 800_000, 2), list[str]()
    legs = Everywhere([leg])
    verdict = next(
        v for _ in range(5) if isinstance(v := legs.judge_one(CASE, LEG, leg.run(CASE)), Diverge)
    )
    late = Investigator(legs, lambda _: None, 0.0, stand_ins=standing_in(asked, None))
    late.end = 100.0
    late.follow(Departure(CASE, LEG, verdict))
    assert asked == booted


@pytest.mark.parametrize(
    ("name", "steady"),
    [
        ("kvm:6.12:vhe", ["kvm:6.12:vhe:icount=4"]),
        ("kvm:6.12:nvhe:vq=1,2:smp=2", ["kvm:6.12:nvhe:vq=1,2:smp=2:icount=4"]),
        ("kvm:6.12:vhe:icount=2", []),
        ("kvm:native", []),
        ("kvm:tcp=127.0.0.1:7011", []),
        ("emulator:keep", []),
        ("model", []),
    ],
)
def test_which_leg_has_such_a_clock(name: str, steady: list[str]) -> None:
    assert steady_names(name, CASE) == steady


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("threads {\nget-mp v0\n} {\nget-mp v0\n}\n", (":smp=2", "")),
        ("disturb move {\nthreads { } { }\n}\n", (":smp=2",)),
        ("disturb move {\nget-mp v0\n}\n", (":smp=2",)),
        ("disturb thread {\nget-mp v0\n}\n", (":smp=2",)),
        ("disturb thread {\nthreads { } { }\n}\n", (":smp=2", "")),
    ],
)
def test_threads_that_do_not_meet_where_cpus_take_turns_may_on_one(
    text: str, cpus: tuple[str, ...]
) -> None:
    names = [f"kvm:6.12:vhe{each}:icount=4" for each in cpus]
    assert steady_names("kvm:6.12:vhe:smp=2", parse_case(text)) == names
    assert steady_names("kvm:6.12:vhe", parse_case(text)) == ["kvm:6.12:vhe:icount=4"]


def test_the_next_stands_in_where_it_shows_on_none_before() -> None:
    never, counting, asked = Struck(1, 0, 1), Struck(2_000_000, 2_400_000, 1), list[str]()
    third = Struck(0, 1, 1)
    found, _ = follow(Struck(600_000, 800_000, 4), standing_in(asked, None, never, counting, third))
    assert "and in 20 of 20 by instructions" in found.explanation
    assert asked == [LEG] * 3
    assert never.ran
    assert not third.ran


def test_what_is_told_of_is_far_from_the_edges() -> None:
    """Where a little more or less would not show it, a little chance would do for it not to."""
    counting = Struck(2_000_000, 2_400_000, 1)
    found, _ = follow(Struck(600_000, 800_000, 4), standing_in([], counting))
    (delay,) = re.findall(r"after=(\d+)", found.explanation)
    assert abs(int(delay) - 2_200_000) < 50_000
    assert delays(CASE) == [700_000]


@pytest.mark.parametrize(
    ("parts", "kept", "asked"),
    [
        ([20], 0, [0]),
        ([20, 20, 19], 2, [2]),
        ([15, 15], 1, [1, 0]),
        ([20, 20, 18, 17], 0, [3, 2, 0]),
        ([20, 19, 12, 12, 12, 12, 13], 0, [6, 5, 3, 0]),
        ([15, 18, 12, 12, 12, 12, 13], 0, [6, 5, 3, 0]),
        ([12, 18, 12, 16, 12, 12, 13], 3, [6, 5, 3, 0]),
    ],
)
def test_a_case_that_became_rarer_as_it_became_smaller_is_not_kept(
    parts: list[int], kept: int, asked: list[int]
) -> None:
    path = [Told(Case(CASE.ops[: 1 + number])) for number in range(len(parts))]
    told: list[int] = []

    def counted(one: Told) -> Often:
        told.append(len(one.case.ops) - 1)
        return Often(parts[told[-1]], 20)

    assert len(last_sure(path, counted).case.ops) - 1 == kept
    assert told == asked


def test_guests_that_run_at_once_are_given_time_to_meet() -> None:
    runs = "run v0 {\nmov x1, #1\n}\nget v0 x1\n} {\nrun v1 { }\n"
    case = parse_case(f"run v0 {{ }}\nthreads {{\n{runs}}}\nrun v1 {{ }}\n")
    as_it_is, told = given_time(case)
    assert as_it_is == case
    calls = "hvc-loop #300\n"
    expected = runs.replace("mov x1, #1\n", f"{calls}mov x1, #1\n{calls}")
    expected = expected.replace("{ }", f"{{\n{calls}{calls}}}")
    lists = f"threads after=8000000 {{\n{expected}}}\n"
    assert told == parse_case(f"run v0 {{ }}\n{lists}run v1 {{ }}\n")
    alone, met = (
        parse_case(f"threads{after} {{\nrun v0 {{ {code} }}\n}} {{\nget-mp v0\n}}\n")
        for after, code in (("", ""), (" after=8000000", "hvc-loop #300\nhvc-loop #300"))
    )
    assert list(given_time(alone)) == [alone, met]
    assert list(given_time(CASE)) == [CASE]
    waiting = parse_case(f"threads {{\n{runs.replace('mov x1, #1', 'wfi-loop #5')}}}\n")
    waits, busy = list(given_time(waiting))[1:]
    assert waits == parse_case(
        f"threads after=8000000 {{\nrun v0 {{\n{calls}wfi-loop #5\n{calls}}}\nget v0 x1\n"
        f"}} {{\nrun v1 {{\n{calls}{calls}}}\n}}\n"
    )
    assert busy == parse_case(
        f"threads after=8000000 {{\nrun v0 {{\n{calls}{calls}}}\nget v0 x1\n"
        f"}} {{\nrun v1 {{\n{calls}{calls}}}\n}}\n"
    )


def test_a_thread_takes_the_place_of_those_of_the_kernel() -> None:
    head, at = CASE.ops[:5], CASE.ops[5]
    assert isinstance(at, Disturb)
    for case, after in zip(in_company(CASE), (700_000, 280_000, 112_000), strict=True):
        thread, stranger = case.ops[5:7]
        assert thread == Disturb(Stranger.THREAD, after, at.vl, 3)
        assert stranger == Disturb(Stranger.SOFTIRQ, after, at.vl, 2)
        assert (*case.ops[:5], *case.ops[7:]) == (*head, *CASE.ops[6:])
        assert list(in_company(case)) == []
    assert list(in_company(PLAIN)) == []
    preempted = parse_case("disturb thread after=100 {\nget-mp v0\n}\n")
    first, *_ = in_company(preempted)
    assert first == parse_case(f"disturb softirq after=100 {{\n{format_case(preempted)}}}\n")
    assert list(in_company(first)) == []
    as_it_is = [CASE, *in_company(CASE)]
    rows = 1, TIMES[0], TIMES[-1]
    assert list(ways(CASE)) == [Told(each, times) for times in rows for each in as_it_is]


def test_what_the_kernels_threads_do_by_chance_a_thread_does_by_instructions() -> None:
    class Preempted(Struck):
        def _do(self, case: Case, turn: int) -> Trace:
            thread = any(isinstance(op, Disturb) and op.by == Stranger.THREAD for op in case.ops)
            return super()._do(case, turn) if thread else sound(case)

    found, _ = follow(
        Struck(600_000, 800_000, 3), standing_in([], Preempted(2_000_000, 2_400_000, 1))
    )
    assert "and in 20 of 20 by instructions" in found.explanation
    assert Stranger.THREAD in {op.by for op in found.minimal.ops if isinstance(op, Disturb)}


# -- what it is worth ---------------------------------------------------------------------------


class Worth(Departure):
    """A suspicion of which minimising may cost so many runs."""

    most = 1000

    @property
    def runs(self) -> int:
        return self.most


def suspect(leg: Struck, most: int = 1000) -> Worth:
    legs = Everywhere([leg])
    verdict = next(
        v for _ in range(9) if isinstance(v := legs.judge_one(CASE, LEG, leg.run(CASE)), Diverge)
    )
    leg.ran.clear()
    suspicion = Worth(CASE, LEG, verdict)
    suspicion.most = most
    return suspicion


@pytest.mark.parametrize(("most", "runs"), [(1000, 20), (400, 20), (380, 19), (100, 5)])
def test_how_many_runs_it_is_worth_to_tell_how_often(most: int, runs: int) -> None:
    leg = Struck(0, 1 << 30, 1)
    assert often(suspect(leg, most), CASE, Everywhere([leg])) == Often(runs, runs)


def as_it_is(_suspicion: Suspicion, _shows: Shows) -> None:
    """Nothing is made smaller."""


def asked_of(
    counting: Struck, running: Struck, most: int = 1000
) -> tuple[Steadied, list[tuple[int, bool]]]:
    """What comes of it, and what each of three cases costs in runs to tell, and whether it comes
    again: one that shows it, and two that do not."""
    costs: list[tuple[int, bool]] = []

    def minimise(suspicion: Suspicion, shows: Shows) -> None:
        for case in (suspicion.case, PLAIN, suspicion.case):
            before = len(counting.ran)
            told = shows(case)
            costs.append((len(counting.ran) - before, told))

    suspicion = suspect(running, most)
    return steadied(suspicion, Everywhere([running]), Everywhere([counting]), minimise), costs


def test_what_comes_again_each_time_has_to_show_each_time() -> None:
    found, costs = asked_of(Struck(2_000_000, 2_400_000, 1), Struck(600_000, 800_000, 1))
    assert found.again
    assert costs == [(5, True), (1, False), (5, True)]


def test_what_seldom_comes_again_shows_in_one_of_two() -> None:
    every_other, running = Struck(2_000_000, 2_400_000, 2), Struck(600_000, 800_000, 1)
    found, costs = asked_of(every_other, running)
    assert found.again
    assert {told for _, told in costs[::2]} == {True}
    assert costs[1] == (2, False)
    assert all(runs <= 2 for runs, _ in costs)


def test_what_does_not_show_where_it_was_found_is_not_kept() -> None:
    class Once(Struck):
        """What it did once it never does again."""

        def _do(self, case: Case, turn: int) -> Trace:
            return super()._do(case, turn) if not self.cured else sound(case)

        cured = False

    running = Once(600_000, 800_000, 1)
    suspicion = suspect(running)
    running.cured = True
    counting = Struck(2_000_000, 2_400_000, 1)
    found = steadied(suspicion, Everywhere([running]), Everywhere([counting]), as_it_is)
    assert (found.shown, found.again) == (None, True)
    seldom = "shows in 0 of 20 runs with the clock running, and "
    told = f"{seldom}another case in 20 of 20 by instructions"
    assert found.told(Often(0, 20), PLAIN) == told
    small = found.small
    assert small
    (after,) = delays(small.case)
    told = f"{seldom}in 20 of 20 by instructions, after={after}"
    assert found.told(Often(0, 20), small.case) == told
    assert found.told(Often(0, 20), Told(small.case, 4).whole) == f"{told}, done once"
    often = replace(found, small=replace(small, times=2))
    assert often.told(Often(0, 20), small.case) == f"{told}, done 2 times in a row"


def test_what_shows_but_does_not_stay_where_it_was_found_is_not_kept() -> None:
    running, counting = Struck(600_000, 800_000, 1), Struck(2_000_000, 2_400_000, 1)
    there = Everywhere([running])

    class Fleeting(Worth):
        def settle(self, case: Case, legs: Everywhere) -> Shown | None:
            return None if legs is there else super().settle(case, legs)

    suspicion = Fleeting(CASE, LEG, suspect(running).verdict)
    found = steadied(suspicion, there, Everywhere([counting]), as_it_is)
    assert (found.shown, found.again) == (None, True)


@pytest.mark.parametrize(("most", "centres"), [(1000, True), (400, True), (380, False)])
def test_a_window_is_sought_where_runs_are_cheap(
    monkeypatch: pytest.MonkeyPatch, most: int, centres: bool
) -> None:
    sought: list[Case] = []

    def noted(_suspicion: Suspicion, case: Case, _steady: Everywhere) -> Case:
        sought.append(case)
        return case

    monkeypatch.setattr(steady, "centred", noted)
    asked_of(Struck(2_000_000, 2_400_000, 1), Struck(600_000, 800_000, 1), most)
    assert bool(sought) == centres


@pytest.mark.parametrize(
    ("parts", "kept", "counted"),
    [
        ({}, None, []),
        ({0: 20, 1: 20}, 0, [0]),
        ({0: 18, 1: 19, 2: 20}, 1, [0, 1]),
        ({0: 12, 1: 15, 2: 15}, 1, [0, 1, 2]),
        ({0: 15, 2: 12}, 0, [0, 2]),
        ({1: 12}, 1, [1]),
        ({1: 0}, 1, [1]),
    ],
)
def test_of_ways_the_one_that_shows_it_most(
    parts: Mapping[int, int], kept: int | None, counted: list[int]
) -> None:
    told: list[int] = []

    def number(one: Told) -> int:
        return one.times - 1

    def count(one: Told) -> Often:
        told.append(number(one))
        return Often(parts[told[-1]], 20)

    def surely(one: Told) -> bool:
        return number(one) in parts and one.case == CASE

    found = surest_of([Told(CASE, 1 + each) for each in range(3)], surely, count)
    assert (found and number(found)) == kept
    assert told == counted


def test_more_than_one_delay_is_tried() -> None:
    """The first that shows it in a few runs may be one that shows it in few of many."""
    asked: list[int] = []

    def count(one: Told) -> Often:
        asked.extend(delays(one.case))
        return Often(10 if len(asked) < best else 19, 20)

    for best in (1, TRIES):
        asked.clear()
        found = surest_of([Told(CASE), Told(CASE, 2)], lambda _: True, count)
        assert found == Told(found.case if found else CASE)
        assert found
        assert delays(found.case) == [asked[best - 1]]
        assert len(set(asked)) == best
    best = TRIES + 1
    asked.clear()
    found = surest_of([Told(CASE), Told(CASE, 2)], lambda _: True, count)
    assert found
    assert found.times == 2


# -- which cases, and which legs ----------------------------------------------------------------


@pytest.mark.parametrize("lists", ["{ } {\nrun v0 { }\n}", "{\nrun v0 { }\n} { }"])
def test_a_guest_that_runs_alone_has_nobody_to_meet(lists: str) -> None:
    case = parse_case(f"threads {lists}\n")
    assert list(given_time(case)) == [case]


def test_calls_take_the_place_of_what_a_program_has_no_room_for() -> None:
    code = "nop\n" * MAX_PROGRAM
    case = parse_case(f"threads {{\nrun v0 {{\n{code}}}\n}} {{\nget-mp v0\n}}\n")
    (_, timed) = given_time(case)
    names = [each.form.name for op in timed.ops if isinstance(op, Run) for each in op.program]
    assert names == [HVC_LOOP, *["nop"] * (MAX_PROGRAM - 2), HVC_LOOP]


@pytest.mark.parametrize(("more", "cases"), [(0, 3), (1, 0)])
def test_a_case_that_is_full_takes_no_thread(more: int, cases: int) -> None:
    ops = (*CASE.ops, *[GetReg(0, 0)] * (MAX_OPS - 1 - len(CASE.ops) + more))
    assert len(list(in_company(Case(ops)))) == cases


def test_a_leg_that_stands_in_has_the_name_of_the_other_and_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Closing(Scripted):
        closed = False

        def close(self) -> None:
            self.closed = True

    opened: list[Closing] = []

    def open_leg(name: str) -> Target:
        if name.endswith("smp=2:icount=4"):
            raise TransportError("no.")
        opened.append(Closing(name))
        return opened[-1]

    monkeypatch.setattr(steady, "open_leg", open_leg)
    case = parse_case("threads {\nget-mp v0\n} {\nget-mp v0\n}\n")
    first, second = stand_ins("kvm:6.12:vhe:smp=2", case)
    with first as none:
        assert none is None
    with second as leg:
        assert leg is opened[0]
        assert leg.name == "kvm:6.12:vhe:smp=2"
        assert not opened[0].closed
    assert opened[0].closed
    assert list(stand_ins("kvm:native", case)) == []


# -- what is done many times in a row -----------------------------------------------------------


@pytest.mark.parametrize(("times", "done"), [(1, 1), (2, 2), (16, 14)])
def test_what_is_chance_is_done_many_times_in_a_row(times: int, done: int) -> None:
    """As often as there is room for."""
    told = Told(CASE, times)
    assert told.whole.ops == (*CASE.ops[:5], *CASE.ops[5:] * done)
    assert told.as_told(PLAIN) == PLAIN
    assert told.at(PLAIN) == Told(PLAIN, times)
    assert bool(told.row) == (times > 1)
    assert once(told.whole) == Told(CASE, done)
    assert once(PLAIN) == Told(PLAIN)


@pytest.mark.parametrize(
    ("parts", "kept", "asked"),
    [
        ({1: 19}, 1, [1]),
        ({1: 18, 2: 20}, 2, [1, 2]),
        ({1: 5, 2: 9, 4: 13, 8: 18, 16: 19}, 16, [1, 2, 4, 8, 16]),
        ({1: 5, 2: 9, 4: 13, 8: 12, 16: 11}, 4, [1, 2, 4, 8, 16]),
    ],
)
def test_no_more_often_than_it_takes(parts: Mapping[int, int], kept: int, asked: list[int]) -> None:
    told: list[int] = []

    def counted(one: Told) -> Often:
        told.append(one.times)
        return Often(parts[one.times], 20)

    assert fewest(Told(CASE, 16), counted) == (Told(CASE, kept), Often(parts[kept], 20))
    assert told == asked


def test_where_its_machine_breaks_by_instructions_that_is_said_soon() -> None:
    class Breaking(Struck):
        def _do(self, case: Case, turn: int) -> Trace:
            return broken(PANIC)

    counting = Breaking(0, 1, 1)
    found, _ = follow(Struck(600_000, 800_000, 2), standing_in([], counting))
    assert found.explanation.endswith(
        f"runs with the clock running, and by instructions its machine breaks: {PANIC}"
    )
    assert len(counting.ran) == MOST_BROKEN
    assert len(found.minimal.ops) < len(CASE.ops), "and it is made small as ever"


class Panics(Struck):
    """What would be spoiled breaks its machine."""

    def _do(self, case: Case, turn: int) -> Trace:
        return sound(case) if super()._do(case, turn) == sound(case) else broken(PANIC)


def broke_once(
    stand_ins: StandIns,
    *others: Target,
    known: Knowledge = NOTHING,
    enough: Callable[[SignatureRecord], bool] = lambda _: False,
) -> tuple[Scripted, FindingRecord]:
    """A leg whose machine broke after another case, and never again, and what comes of it."""
    leg = Panics(1, 0, 1)
    legs = Everywhere([leg, *others], known)
    verdict = legs.judge_one(CASE, LEG, broken(PANIC))
    assert isinstance(verdict, Diverge)
    crash = Breakage(CASE, LEG, verdict, broken(PANIC), earlier(PLAIN))
    found = Investigator(legs, lambda _: None, 30.0, enough, stand_ins).follow(crash)
    assert isinstance(found, FindingRecord)
    assert found.original == CASE
    assert found.reproduced == (0, 17)
    return leg, found


def test_what_broke_a_machine_once_is_sought_by_instructions() -> None:
    """In a case that is small and needs none before it, beside what other legs do with it."""
    asked: list[str] = []
    other = Scripted("kvm:other", lambda case, turn: broken(PANIC))
    stand_ins = standing_in(asked, Panics(2_000_000, 2_400_000, 1))
    leg, found = broke_once(stand_ins, other)
    assert asked == [LEG]
    assert len(found.minimal.ops) < len(CASE.ops)
    assert found.preceding == ()
    assert set(found.traces) == {LEG, "kvm:other"}
    assert found.traces[LEG].fault == PANIC
    assert found.deviating == (LEG, "kvm:other")
    assert "; shows in 0 of 3 runs with the clock running, and in 3 of 3 by instr" in (
        found.explanation
    )
    again = [case for case in leg.ran if case not in (CASE, PLAIN)]
    assert again == [found.minimal] * 3, "to be counted, and not to be sought there"


def test_what_broke_a_machine_once_and_does_not_by_instructions_is_stored_as_it_is() -> None:
    _, found = broke_once(standing_in([], Panics(1, 0, 1)))
    assert (found.minimal, found.preceding) == (CASE, (Earlier(PLAIN, False),))
    assert "by instructions" not in found.explanation


@pytest.mark.parametrize(("rule", "enough"), [(PANIC.rule_at, False), ("ending.bug@f", True)])
def test_what_is_known_is_not_sought_by_instructions(rule: str, enough: bool) -> None:
    asked: list[str] = []
    known = Knowledge([KeptCase(Path("one.case"), PLAIN, (Known("kvm", rule),), "one")])
    stand_ins = standing_in(asked, Panics(2_000_000, 2_400_000, 1))
    _, found = broke_once(stand_ins, known=known, enough=lambda _: enough)
    assert found.minimal == CASE
    assert asked == []


def test_what_is_about_the_same_will_do_where_it_shows_surely() -> None:
    """As where a softirq spoils another register than the kernel's threads did."""
    running, counting = Struck(600_000, 800_000, 1), Struck(2_000_000, 2_400_000, 1)
    first = suspect(running)
    rare = Departure(CASE, LEG, replace(first.verdict, rule="sve.rare"))
    legs, steady = Everywhere([running]), Everywhere([counting])
    found = steadied(rare, legs, steady, as_it_is)
    assert found.again
    assert found.suspicion.verdict.rule == first.verdict.rule
    assert found.shown
    assert found.shown.verdict.rule == first.verdict.rule
    other = Departure(CASE, LEG, replace(first.verdict, rule="host.rare"))
    assert not steadied(other, legs, steady, as_it_is).again


def test_what_is_about_the_same() -> None:
    a, b = (diverge(rule=rule) for rule in ("sve.z", "sve.ffr"))
    assert akin(a, b)
    assert not akin(a, replace(b, rule="host.z"))
    assert not akin(a, replace(b, op_word="run"))
    assert not akin(a, replace(b, oracle="other"))
    assert not akin(replace(a, fault=PANIC), b)
    assert not akin(a, replace(b, fault=PANIC))
    assert not akin(agree(1), b)


@pytest.mark.parametrize(("runs", "parts"), [(20, [10, 10]), (19, [10, 9]), (3, [2, 1])])
def test_runs_are_counted_in_more_than_one_machine(runs: int, parts: list[int]) -> None:
    """What is by chance so in one machine from its boot on says nothing of the next."""
    assert shares(runs) == parts

    class Booted(Struck):
        """In every other machine alone."""

        def _do(self, case: Case, turn: int) -> Trace:
            return super()._do(case, turn) if self.restarted % 2 else sound(case)

    counting = Booted(2_000_000, 2_400_000, 1)
    counting.restarted = 1
    found, _ = follow(Struck(600_000, 800_000, 2), standing_in([], counting))
    assert "and in 10 of 20 by instructions" in found.explanation


def test_what_has_no_room_to_be_done_again_is_counted_once() -> None:
    told: list[int] = []

    def counted(one: Told) -> Often:
        told.append(one.times)
        return Often(1, 20)

    assert fewest(Told(PLAIN), counted) == (Told(PLAIN), Often(1, 20))
    assert told == [1]


class InARow(Struck):
    """Shows it at each time a stranger strikes in one of `every`."""

    def _do(self, case: Case, turn: int) -> Trace:
        strikes = [
            index + 1
            for index, op in enumerate(case.ops[:-1])
            if isinstance(op, Disturb) and op.span and self.first <= op.after <= self.last
        ]
        for number, at in enumerate(strikes):
            if (turn + number) % self.every == 0 and isinstance(case.ops[at], GetReg):
                return wrong(case, at)
        return sound(case)


def test_what_is_chance_by_instructions_too_is_done_until_it_shows() -> None:
    running, counting = InARow(600_000, 800_000, 3), InARow(2_000_000, 2_400_000, 4)
    found, _ = follow(running, standing_in([], counting))
    assert re.search("20 of 20 by instructions, after=2[0-9]{6}, done 4 times", found.explanation)
    strikes = [op for op in found.minimal.ops if isinstance(op, Disturb)]
    assert len(strikes) == 1, "where it shows as it is, it is kept as it is"


def test_what_seldom_shows_while_the_clock_runs_is_kept_as_it_does() -> None:
    running, counting = InARow(600_000, 800_000, 19), InARow(2_000_000, 2_400_000, 1)
    found, _ = follow(running, standing_in([], counting))
    told = r"shows in 1\d of 20 runs with the clock running, and in 20 of .*, done once$"
    assert re.search(told, found.explanation)
    first, *others = [op for op in found.minimal.ops if isinstance(op, Disturb)]
    assert others == [first] * len(others)
    assert len(others) > 4


# -- few tries, counted -------------------------------------------------------------------------


def saying(*told: Trace) -> tuple[steady._Counting, Worth]:
    """Runs whose outcomes are these, one by one, of a suspicion of what Struck shows."""
    shown = Struck(0, 1 << 30, 1)
    suspicion = suspect(shown)
    leg = Scripted(LEG, lambda _case, turn: told[turn])
    return steady._Counting(suspicion, Everywhere([leg])), suspicion


SHOWS, SOUND, BREAKS = wrong(CASE, 6), sound(CASE), broken(PANIC)
OTHER = wrong(CASE, 8)
"""A register of another kind is wrong."""


def test_a_machine_that_breaks_all_the_time_is_given_up() -> None:
    counting, _ = saying(SOUND, OTHER, *[BREAKS] * 5)
    assert [counting.once(Told(CASE)) for _ in range(6)] == [False] * 6
    with pytest.raises(steady._Breaks, match=f"^{PANIC}$"):
        counting.once(Told(CASE))


def test_one_that_showed_it_once_is_not() -> None:
    counting, suspicion = saying(SHOWS, *[BREAKS] * 9)
    assert [counting.once(Told(suspicion.case)) for _ in range(10)] == [True, *[False] * 9]


def test_what_it_shows_is_not_about_the_same_as_itself() -> None:
    counting, suspicion = saying(SHOWS, OTHER)
    assert counting.once(Told(CASE))
    assert not counting.once(Told(CASE))
    assert not counting.akin
    rare = Departure(CASE, LEG, replace(suspicion.verdict, rule="sve.rare"))
    leg = Scripted(LEG, lambda _case, turn: (SHOWS, OTHER)[turn])
    counting = steady._Counting(rare, Everywhere([leg]))
    assert not counting.once(Told(CASE))
    assert not counting.once(Told(CASE))
    assert [alike(one, suspicion.verdict) for one in counting.akin] == [True]


def test_what_does_not_stay_by_instructions_is_not_made_small_there() -> None:
    class Fleeting(Worth):
        def settle(self, case: Case, legs: Everywhere) -> Shown | None:
            return None

    running = Struck(600_000, 800_000, 1)
    suspicion = Fleeting(CASE, LEG, suspect(running).verdict)
    counting = Everywhere([Struck(2_000_000, 2_400_000, 1)])
    found = steadied(suspicion, Everywhere([running]), counting, as_it_is)
    assert (found.shown, found.again) == (None, False)
    assert found.why == "and at no delay by instructions"


def test_what_settled_once_stands_where_it_does_not_again() -> None:
    class Once(Worth):
        left = 1

        def settle(self, case: Case, legs: Everywhere) -> Shown | None:
            self.left -= 1
            return super().settle(case, legs) if self.left >= 0 else None

        def at(self, shown: Shown) -> Suspicion:
            return self

    running = Struck(600_000, 800_000, 1)
    suspicion = Once(CASE, LEG, suspect(running).verdict)
    suspicion.most = 100
    counting = Everywhere([Struck(2_000_000, 2_400_000, 1)])
    found = steadied(suspicion, Everywhere([running]), counting, as_it_is, False)
    assert found.again


def test_of_what_seldom_shows_the_last_that_did_is_kept() -> None:
    """And what is made small is the case, not that done many times in a row."""
    every_other, running = Struck(2_000_000, 2_400_000, 2), Struck(600_000, 800_000, 1)
    given: list[Case] = []
    shorter = [
        Case(tuple(op for at, op in enumerate(CASE.ops) if at not in gone))
        for gone in ((3,), (3, 4), (3, 4, 8))
    ]

    def minimise(suspicion: Suspicion, shows: Shows) -> None:
        (after,) = delays(suspicion.case)
        given.append(suspicion.case)
        for case in shorter:
            ops = (replace(op, after=after) if isinstance(op, Disturb) else op for op in case.ops)
            given.append(Case(tuple(ops)))
            assert shows(given[-1])

    suspicion = suspect(running, 100)
    legs = Everywhere([running]), Everywhere([every_other])
    found = steadied(suspicion, *legs, minimise)
    assert len(given[0].ops) == len(CASE.ops)
    assert found.small
    assert found.small.case == given[-1]
    assert found.shown, "and sought where it was found, unless told otherwise"


def test_where_some_thing_else_would_do_only_the_first_is_tried() -> None:
    running, counting = Struck(600_000, 800_000, 1), Struck(2_000_000, 2_400_000, 1)
    first = suspect(running)
    asked: list[Diverge] = []

    class Asked(Departure):
        def akin(self, verdict: Diverge) -> Suspicion | None:
            asked.append(verdict)
            return None

    rare = Asked(CASE, LEG, replace(first.verdict, rule="sve.rare"))
    legs = Everywhere([running]), Everywhere([counting])
    assert not steadied(rare, *legs, as_it_is).again
    assert len(asked) == 1


def test_few_delays_are_tried_of_what_is_done_many_times() -> None:
    tried: dict[int, int] = {}
    for times in (1, 2, 4, 16):
        told = list(relocations(Told(CASE, times), lambda _: True))
        tried[times] = len(told)
    assert tried[1] == tried[2] > tried[4] == tried[16] == 15, "one of sixteen comes twice"


def test_three_delays_are_counted_and_where_parts_are_alike_the_fewest_do() -> None:
    counted: list[Told] = []

    def count(one: Told) -> Often:
        counted.append(one)
        return Often(5, 20)

    assert surest_of([Told(CASE)], lambda _: True, count) == counted[0]
    assert len(counted) == 3
    assert fewest(Told(CASE, 16), count) == (Told(CASE, 1), Often(5, 20))


def test_where_it_was_found_it_is_done_once_then_four_times_then_as_often_as_may_be() -> None:
    running = Struck(600_000, 800_000, 1)
    suspicion, tried = suspect(running), set[int]()

    class Never(Worth):
        def shows(self, case: Case, legs: Everywhere) -> bool:
            tried.add(once(case).times)
            return False

    never = Never(CASE, LEG, suspicion.verdict)
    small = Case((*CASE.ops[:3], *CASE.ops[5:7]))
    assert steady._here(never, small, Everywhere([running])) is None
    assert tried == {1, 4, 16}


def test_what_is_made_small_is_done_once_however_often_it_is_run() -> None:
    running, counting = InARow(600_000, 800_000, 1), InARow(2_000_000, 2_400_000, 4)
    given: list[Case] = []

    def minimise(suspicion: Suspicion, _shows: Shows) -> None:
        given.append(suspicion.case)

    legs = Everywhere([running]), Everywhere([counting])
    found = steadied(suspect(running, 100), *legs, minimise)
    assert found.small
    assert found.small.times > 1
    assert [len(case.ops) for case in given] == [len(CASE.ops)]
