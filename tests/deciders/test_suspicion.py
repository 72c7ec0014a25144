"""How each kind of suspicion shows itself again, how often, and what of it is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Script, Scripted, broken, diverge, earlier, sound, wrong

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.kept import KeptCase, Known
from corpus.ops import Finalize, GetReg
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.wire import RUN_DATA, RUN_TIMED_OUT
from db.records import Earlier, FindingRecord
from fuzz.followup import breakage, suspicion
from fuzz.followup.breakage import Breakage
from fuzz.followup.disagreement import Disagreement, steady_difference
from fuzz.followup.investigate import Investigator
from fuzz.followup.suspicion import Confirmed, Departure, Dropped, Shown
from fuzz.oracle.conformance import judge
from fuzz.oracle.everywhere import LATE_TRIES, Everywhere, Seen
from fuzz.oracle.facts import late_at
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Agree, Diverge
from targets.profile import Profile
from targets.spec.errno import EINTR
from targets.transport import TransportError

CASE = parse_case("create v0\ncreate v1\ninit v0\nfinalize v0\nget v0 x0\nget v0 z3\n")
FINALIZE, LAST = 3, 5
SMALL = parse_case("create v0\ninit v0\nfinalize v0\n")
WARN = Fault(FaultKind.WARN, "f", True, "WARNING: at f")
HANG = Fault(FaultKind.HANG, "g", True)
LOST = Fault(FaultKind.LOST, "killed by SIGKILL")


def said(_: str) -> None:
    """Nobody listens."""


def bad_finalize(case: Case, turn: int) -> Trace:
    """A leg on which FINALIZE fails."""
    for index, op in enumerate(case.ops):
        if isinstance(op, Finalize):
            return wrong(case, index, Observation(22))
    return sound(case)


def on_turns(turns: Sequence[int], bad: Script = bad_finalize) -> Script:
    """Bad on these turns only, counted from 0."""
    return lambda case, turn: bad(case, turn) if turn in turns else sound(case)


def breaking(
    fault: Fault, turns: Sequence[int] | None = None, ending: Ending = Ending.CRASH
) -> Script:
    """Broken by each case with FINALIZE in it."""

    def script(case: Case, turn: int) -> Trace:
        hit = any(isinstance(op, Finalize) for op in case.ops)
        return broken(fault, ending) if hit and (turns is None or turn in turns) else sound(case)

    return script


def verdict_of(leg: Scripted, case: Case = CASE) -> Diverge:
    """What `leg` does wrong at first."""
    found = judge(case, leg.script(case, 0), leg.profile)
    assert isinstance(found, Diverge)
    return found


def departure(leg: Scripted, case: Case = CASE) -> Departure:
    return Departure(case, leg.name, judge_as_bad(case))


def judge_as_bad(case: Case) -> Diverge:
    found = judge(case, bad_finalize(case, 0), Profile())
    assert isinstance(found, Diverge)
    return found


# -- a departure ---------------------------------------------------------------------------


def test_a_departure_is_run_three_times_and_then_on_all_legs() -> None:
    leg, other = Scripted("a", bad_finalize), Scripted("b")
    legs = Everywhere([leg, other])
    found = departure(leg).confirm(legs, said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried, found.preceding) == (3, 3, ())
    assert (len(leg.ran), len(other.ran)) == (4, 1)
    assert found.shown.case == CASE
    assert found.shown.verdict == judge_as_bad(CASE)
    assert set(found.shown.traces) == {"a", "b"}
    assert isinstance(found.shown.verdicts["b"], Agree)
    assert found.shown.verdicts["a"] == found.shown.verdict


@pytest.mark.parametrize(("turns", "seen"), [((0,), 1), ((2,), 1), ((0, 2), 2), ((0, 1, 2), 3)])
def test_a_departure_counts_how_often_it_showed(turns: tuple[int, ...], seen: int) -> None:
    leg = Scripted("a", on_turns((*turns, 3)))
    found = departure(leg).confirm(Everywhere([leg]), said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (seen, 3)


def test_a_departure_that_never_shows_again_is_the_harness() -> None:
    leg = Scripted("a", on_turns(()))
    found = departure(leg).confirm(Everywhere([leg]), said, 10)
    rule = judge_as_bad(CASE).rule
    assert found == Dropped(f"a divergence did not reproduce ({rule})", harness=True)
    assert len(leg.ran) == suspicion.CONFIRM_RUNS == 3


@pytest.mark.parametrize(("turn", "seen", "tried"), [(3, 1, 15), (40, 1, 41), (60, 0, 60)])
def test_what_takes_a_stranger_at_the_right_instruction_is_run_more_often(
    turn: int, seen: int, tried: int
) -> None:
    disturbed = parse_case("create v0\ninit v0\ndisturb signal after=5 {\nfinalize v0\n}\n")

    def at_last(case: Case, now: int) -> Trace:
        return wrong(case, 3) if now == turn else sound(case)

    wrong_once = Scripted("a", lambda case, _: wrong(case, 3))
    leg = Scripted("a", at_last)
    suspected = Departure(disturbed, "a", verdict_of(wrong_once, disturbed))
    found = suspected.confirm(Everywhere([leg]), said, 10)
    if seen:
        assert isinstance(found, Confirmed)
        assert (found.seen, found.tried) == (seen, tried)
    else:
        assert isinstance(found, Dropped)
        assert len(leg.ran) == tried


def test_a_departure_that_showed_before_but_not_at_last_keeps_its_verdict() -> None:
    leg, other = Scripted("a", on_turns((0, 1, 2))), Scripted("b", bad_finalize)
    found = departure(leg).confirm(Everywhere([leg, other]), said, 10)
    assert isinstance(found, Confirmed)
    assert found.seen == 3
    assert found.shown.verdict == judge_as_bad(CASE)
    assert found.shown.verdicts["a"] == judge_as_bad(CASE)
    assert isinstance(found.shown.verdicts["b"], Diverge)
    assert found.shown.case == CASE
    assert set(found.shown.traces) == {"a", "b"}


RUNNING = parse_case("create v0\ninit v0\nfinalize v0\nrun v0 { nop }\n")


def late(case: Case, _turn: int) -> Trace:
    """A leg whose guest did not leave before its time was over."""
    ended = RUN_DATA.pack(*[0] * 5, RUN_TIMED_OUT)
    return wrong(case, len(case.ops) - 1, Observation(EINTR, 0, ended))


@pytest.mark.parametrize("turns", [(0,), (1, 2)])
def test_a_run_whose_time_is_over_now_and_then_is_a_busy_machine(turns: tuple[int, ...]) -> None:
    leg = Scripted("a", late)
    suspected = Departure(RUNNING, "a", verdict_of(leg, RUNNING))
    busy = Scripted("a", on_turns(turns, late))
    found = suspected.confirm(Everywhere([busy]), said, 10)
    assert isinstance(found, Dropped)
    assert found.why.startswith(f"the time of a run was over in {len(turns)} of 3 runs: ")
    always = suspected.confirm(Everywhere([leg]), said, 10)
    assert isinstance(always, Confirmed)
    assert (always.seen, always.tried) == (3, 3)


def test_what_shows_in_time_as_well_is_no_busy_machine() -> None:
    def script(case: Case, turn: int) -> Trace:
        if turn == 0:
            return late(case, turn)
        ended = Observation(EINTR, 0, RUN_DATA.pack(*[0] * 6))
        return wrong(case, len(case.ops) - 1, ended) if turn == 1 else sound(case)

    suspected = Departure(RUNNING, "a", verdict_of(Scripted("a", late), RUNNING))
    found = suspected.confirm(Everywhere([Scripted("a", script)]), said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (2, 3)


def test_one_run_in_time_tells_that_a_late_one_was_a_busy_machine() -> None:
    leg = Scripted("a", late)
    suspected = Departure(RUNNING, "a", verdict_of(leg, RUNNING), late=True)
    for turns, ran in (((), 1), ((0,), 2), ((0, 1), 3)):
        busy = Scripted("a", on_turns(turns, late))
        found = suspected.confirm(Everywhere([busy]), said, 10)
        assert isinstance(found, Dropped)
        assert found.why.startswith(f"the time of a run was over in {len(turns)} of {ran} runs: ")
        assert len(busy.ran) == ran
    always = suspected.confirm(Everywhere([leg]), said, 10)
    assert isinstance(always, Confirmed)
    assert (always.seen, always.tried) == (3, 3)


def test_a_leg_that_was_too_slow_is_asked_again() -> None:
    slow, fine = Scripted("a", on_turns((0, 1), late)), Scripted("b")
    seen = Everywhere([slow, fine]).look(RUNNING)
    assert all(isinstance(verdict, Agree) for verdict in seen.verdicts.values())
    assert set(seen.verdicts) == set(seen.traces) == {"a", "b"}
    assert (len(slow.ran), len(fine.ran)) == (3, 1)
    assert seen.traces["a"] == seen.traces["b"]
    stuck, wrong_otherwise = Scripted("a", late), Scripted("b", bad_finalize)
    seen = Everywhere([stuck, wrong_otherwise]).look(RUNNING)
    assert all(isinstance(verdict, Diverge) for verdict in seen.verdicts.values())
    assert (len(stuck.ran), len(wrong_otherwise.ran)) == (1 + LATE_TRIES, 1)
    assert LATE_TRIES == 3


def test_a_run_in_two_lists_is_late_where_they_diverge_and_one_behind_them_is_not() -> None:
    lists = "threads {\nrun v0 { nop }\nget v0 x1\n} {\nget v0 x0\n}\nrun v0 { nop }\n"
    case = parse_case(f"create v0\ninit v0\nfinalize v0\n{lists}")
    threads, first, behind = 3, 4, 7
    ended = Observation(EINTR, 0, RUN_DATA.pack(*[0] * 5, RUN_TIMED_OUT))
    for at, late_there in ((first, True), (behind, False)):
        observed = [Observation(0)] * len(case.ops)
        observed[at] = ended
        assert late_at(case, Trace(tuple(observed)), threads) == late_there
        assert late_at(case, Trace(tuple(observed)), at)
        assert not late_at(case, Trace(tuple(observed)), 0)
    assert not late_at(case, Trace(()), len(case.ops))


def test_a_run_that_ends_otherwise_now_and_then_is_no_busy_machine() -> None:
    def failing(case: Case, _turn: int) -> Trace:
        return wrong(case, len(case.ops) - 1, Observation(EINTR, 0, RUN_DATA.pack(*[0] * 6)))

    leg = Scripted("a", failing)
    suspected = Departure(RUNNING, "a", verdict_of(leg, RUNNING))
    found = suspected.confirm(Everywhere([Scripted("a", on_turns((0,), failing))]), said, 10)
    assert isinstance(found, Confirmed)


def test_another_divergence_is_not_the_same_departure() -> None:
    leg = Scripted("a", lambda case, turn: wrong(case, LAST))
    found = departure(leg).confirm(Everywhere([leg]), said, 10)
    assert isinstance(found, Dropped)
    assert not departure(leg).shows(CASE, Everywhere([leg]))
    assert departure(leg).settle(CASE, Everywhere([leg])) is None


def test_a_departure_shows_on_its_own_leg_only() -> None:
    leg, other = Scripted("a"), Scripted("b", bad_finalize)
    legs = Everywhere([leg, other])
    assert not departure(leg).shows(CASE, legs)
    assert departure(other).shows(SMALL, legs)
    assert (len(leg.ran), len(other.ran)) == (1, 1)
    assert departure(other).settle(SMALL, legs) is not None
    assert departure(leg).settle(SMALL, legs) is None


def test_who_deviates_and_what_that_is_called() -> None:
    a, b = Scripted("kvm:a", bad_finalize), Scripted("kvm:b", bad_finalize)
    c = Scripted("emulator:c", kind="emulator")
    legs = Everywhere([a, b, c])
    one = departure(b)
    shown = one.settle(CASE, legs)
    assert shown
    assert one.deviating(shown) == ("kvm:a", "kvm:b")
    assert one.pattern(shown, legs) == "every kvm"
    found = one.signature(shown, legs)
    assert (found.oracle, found.op_kind, found.legs) == ("conformance", "finalize", "every kvm")
    nobody = Shown(CASE, diverge(rule="x"), {}, {})
    assert one.deviating(nobody) == ("kvm:b",)


def test_what_is_followed_up_once_in_a_case() -> None:
    verdict = judge_as_bad(CASE)
    base = Departure(CASE, "a", verdict)
    assert base.kind == Departure(SMALL, "b", replace(verdict, observed="x", op_index=1)).kind
    for changed in ({"oracle": "x"}, {"rule": "x"}, {"label": "x"}):
        assert base.kind != Departure(CASE, "a", replace(verdict, **changed)).kind  # type: ignore[arg-type]
    broke = diverge(fault=WARN)
    on_a = Breakage(CASE, "a", broke, broken(WARN))
    assert on_a.kind == Breakage(SMALL, "a", broke, broken(WARN)).kind
    assert on_a.kind != Breakage(CASE, "b", broke, broken(WARN)).kind
    assert on_a.kind != Breakage(CASE, "a", replace(broke, rule="x"), broken(WARN)).kind


def test_what_a_minimiser_may_cost() -> None:
    verdict = diverge(fault=WARN)
    assert departure(Scripted("a")).runs == suspicion.MINIMIZE_RUNS == 1000
    assert Breakage(CASE, "a", verdict, broken(WARN)).runs == breakage.FAULT_RUNS == 200
    logged = broken(WARN, Ending.HOST_LOG)  # what does not show costs no restart
    assert Breakage(CASE, "a", verdict, logged).runs == 1000
    assert Disagreement(CASE, {"a": verdict}).runs == 1000


def test_only_disagreements_are_about_legs_that_have_their_like() -> None:
    assert [kind.twins for kind in (Departure, Breakage, Disagreement)] == [False, False, True]
    oracles = [kind.oracle for kind in (Departure, Breakage, Disagreement)]
    assert oracles == ["conformance", "ending", "legs"]


# -- a breakage ----------------------------------------------------------------------------


def breakage_of(leg: Scripted, fault: Fault, preceding: Sequence[Case] = ()) -> Breakage:
    trace = broken(fault)
    verdict = judge(CASE, trace, leg.profile)
    assert isinstance(verdict, Diverge)
    return Breakage(CASE, leg.name, verdict, trace, earlier(*preceding))


def test_a_fault_of_the_case_alone_restarts_before_each_try_and_leaves_others_whole() -> None:
    leg, other = Scripted("a", breaking(WARN)), Scripted("b")
    notes: list[str] = []
    found = breakage_of(leg, WARN, [SMALL]).confirm(Everywhere([leg, other]), notes.append, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried, found.preceding) == (3, 3, ())
    assert leg.log == ["restart", "run"] * 3
    assert other.ran == [CASE]
    assert set(found.shown.traces) == {"a", "b"}
    assert found.shown.traces["a"].fault == WARN
    assert isinstance(found.shown.verdicts["a"], Diverge)
    assert isinstance(found.shown.verdicts["b"], Agree)
    assert notes == ["a: warn in f: reproduced 3 of 3"]


def warns_once(fault: Fault, preceding: Sequence[Case] = ()) -> Breakage:
    """A suspicion of a leg that warns in its log alone."""
    trace = broken(fault, Ending.HOST_LOG)
    verdict = judge(CASE, trace, Scripted("a").profile)
    assert isinstance(verdict, Diverge)
    return Breakage(CASE, "a", verdict, trace, earlier(*preceding))


@pytest.mark.parametrize("once", [True, False])
def test_what_a_kernel_warns_of_once_is_looked_for_in_a_fresh_machine(once: bool) -> None:
    def script(case: Case, turn: int) -> Trace:
        fresh = leg.log[-2:] == ["restart", "run"]
        return broken(WARN, Ending.HOST_LOG) if fresh or not once else sound(case)

    leg = Scripted("a", script)
    legs = Everywhere([leg])
    one = warns_once(WARN)
    assert one.runs == 1000
    found = one.confirm(legs, said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (3, 3)
    assert one.runs == (60 if once else 1000)
    leg.log.clear()
    assert one.shows(SMALL, legs)
    shown = one.settle(SMALL, legs)
    assert shown
    assert shown.verdict.fault == WARN
    assert leg.log == (["restart", "run"] if once else ["run"]) * 2


def test_what_never_showed_again_is_not_taken_to_show_once_per_boot() -> None:
    leg = Scripted("a", breaking(WARN, ()))
    one = warns_once(WARN)
    assert isinstance(one.confirm(Everywhere([leg]), said, 10), Confirmed)
    assert one.runs == 1000
    assert leg.log == ["restart", "run"] * 3


def test_a_warning_that_needs_what_ran_before_is_not_one_per_boot() -> None:
    def script(case: Case, turn: int) -> Trace:
        again = leg.log[-3:] == ["restart", "run", "run"]
        return broken(WARN, Ending.HOST_LOG) if again else sound(case)

    leg = Scripted("a", script)
    one = warns_once(WARN, [SMALL])
    found = one.confirm(Everywhere([leg]), said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.preceding) == (3, earlier(SMALL))
    assert one.runs == 1000


def test_a_fault_that_needs_what_ran_before_says_so() -> None:
    needed = parse_case("create v0\ncreate v1\n")

    def script(case: Case, turn: int) -> Trace:
        again = leg.log[-3:] == ["restart", "run", "run"]
        return broken(WARN) if case == CASE and again and leg.ran[-2] == needed else sound(case)

    leg = Scripted("a", script)
    notes: list[str] = []
    found = breakage_of(leg, WARN, [needed]).confirm(Everywhere([leg]), notes.append, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.preceding) == (3, earlier(needed))
    assert notes == ["a: warn in f: reproduced 3 of 3, after 1 other cases"]


def test_what_the_machine_itself_said_counts_even_if_it_never_shows_again() -> None:
    leg = Scripted("a", breaking(WARN, ()))
    notes: list[str] = []
    found = breakage_of(leg, WARN).confirm(Everywhere([leg]), notes.append, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (0, 3)
    assert found.shown.traces["a"].fault == WARN
    assert notes == ["a: warn in f: reproduced 0 of 3"]


@pytest.mark.parametrize("fault", [HANG, LOST, Fault(FaultKind.CRASH, "", False)])
def test_a_hang_or_a_harness_that_broke_counts_only_if_it_shows_again(fault: Fault) -> None:
    leg = Scripted("a", breaking(fault, ()))
    found = breakage_of(leg, fault).confirm(Everywhere([leg]), said, 10)
    assert found == Dropped(f"{fault}: did not show again in 3 tries", harness=True)
    again = Scripted("a", breaking(fault, (1,)))
    confirmed = breakage_of(again, fault).confirm(Everywhere([again]), said, 10)
    assert isinstance(confirmed, Confirmed)
    assert (confirmed.seen, confirmed.tried) == (1, 3)


def test_a_harness_that_broke_is_not_sought_among_earlier_cases() -> None:
    leg = Scripted("a", breaking(LOST, ()))
    found = breakage_of(leg, LOST, [SMALL] * 3).confirm(Everywhere([leg]), said, 10)
    assert isinstance(found, Dropped)
    assert leg.ran == [CASE] * 3


def test_another_fault_is_not_the_same_breakage() -> None:
    leg = Scripted("a", breaking(Fault(FaultKind.WARN, "g", True)))
    legs = Everywhere([leg, Scripted("b")])
    one = breakage_of(leg, WARN)
    assert not one.shows(CASE, legs)
    assert one.settle(CASE, legs) is None
    assert breakage_of(leg, Fault(FaultKind.WARN, "g", True)).shows(CASE, legs)


def test_a_case_that_is_right_each_time_settles_nothing() -> None:
    leg = Scripted("a", breaking(WARN, ()))
    assert breakage_of(leg, WARN).settle(SMALL, Everywhere([leg])) is None
    assert leg.ran == [SMALL]


def test_a_breakage_settles_with_this_legs_last_trace_beside_the_others() -> None:
    leg, other = Scripted("a", breaking(WARN)), Scripted("b")
    legs = Everywhere([leg, other])
    shown = breakage_of(leg, WARN).settle(SMALL, legs)
    assert shown
    assert (shown.case, len(leg.ran), len(other.ran)) == (SMALL, 1, 1)
    assert shown.verdict.fault == WARN
    assert shown.verdicts["a"] == shown.verdict
    assert shown.traces["a"].fault == WARN
    assert Scripted("c").restarted == leg.restarted == 0


# -- a disagreement ------------------------------------------------------------------------

UNKNOWN = parse_case(
    "create v0\ncreate v1\ninit v0 features=el1_32bit\nget-mp v0\nrun v0 {\n nop\n}\nget-mp v0\n"
)
SEEN_MP = 5


def going_on(last: Callable[[int], int]) -> Script:
    """The model, going on where it cannot predict; how the last op ends there is made up."""

    def script(case: Case, turn: int) -> Trace:
        done = sound(case).observations
        rest = [Observation(0)] * (len(case.ops) - len(done))
        if rest:
            rest[-1] = Observation(last(turn))
        return Trace((*done, *rest))

    return script


def pair(second: Callable[[int], int]) -> tuple[Scripted, Scripted, Everywhere]:
    a, b = Scripted("kvm:a", going_on(lambda _: 7)), Scripted("kvm:b", going_on(second))
    return a, b, Everywhere([a, b])


def differing(legs: Everywhere, case: Case = UNKNOWN) -> Disagreement:
    traces = {"kvm:a": going_on(lambda _: 7)(case, 0), "kvm:b": going_on(lambda _: 22)(case, 0)}
    verdicts = legs.judge(case, traces)
    suspects = legs.compare(case, Seen(traces, verdicts)).suspects
    assert set(suspects) == {"kvm:a", "kvm:b"}
    return Disagreement(case, suspects)


def test_a_disagreement_has_to_be_the_same_three_times_after_a_restart_of_all() -> None:
    a, b, legs = pair(lambda _: 22)
    found = differing(legs).confirm(legs, said, 10)
    assert isinstance(found, Confirmed)
    assert (found.seen, found.tried) == (3, 3)
    assert a.log == b.log == ["restart", "run", "run", "run"]
    assert set(found.shown.verdicts) == {"kvm:a", "kvm:b"}
    assert all(isinstance(verdict, Diverge) for verdict in found.shown.verdicts.values())


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_disagreement_that_is_not_steady_is_dropped_for_good(odd: int) -> None:
    a, _, legs = pair(lambda turn: 7 if turn == odd else 22)
    found = differing(legs).confirm(legs, said, 10)
    assert found == Dropped("kvm:a, kvm:b: differed, but not every time", harness=False)
    assert len(a.ran) == odd + 1


def test_a_disagreement_of_another_kind_is_not_steady() -> None:
    _, _, legs = pair(lambda _: 14)
    assert differing(legs).steady(legs) is None
    assert differing(legs).shows(UNKNOWN, legs)  # but alike, as a minimiser takes it


@pytest.mark.parametrize(
    ("second", "steady"),
    [
        (lambda _: 22, True),
        (lambda turn: 7 if turn == 2 else 22, False),
        (lambda turn: 22 if turn == 0 else 7, False),
        (lambda _: 7, False),
    ],
)
def test_a_difference_that_was_seen_once_counts_if_it_is_steady(
    second: Callable[[int], int], steady: bool
) -> None:
    _, _, legs = pair(second)
    found = steady_difference(UNKNOWN, legs.look(UNKNOWN), legs)
    assert set(found) == ({"kvm:a", "kvm:b"} if steady else set())


def test_a_disagreement_names_all_that_are_in_question() -> None:
    _, _, legs = pair(lambda _: 22)
    one = differing(legs)
    shown = one.steady(legs)
    assert shown
    assert one.deviating(shown) == ("kvm:a", "kvm:b")
    assert one.pattern(shown, legs) == "kvm:a,kvm:b"
    swapped = Disagreement(UNKNOWN, {name: one.suspects[name] for name in ("kvm:b", "kvm:a")})
    assert swapped.deviating(shown) == ("kvm:a", "kvm:b")
    smaller = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\nget-mp v0\n")
    assert one.shows(smaller, legs)
    settled = one.settle(smaller, legs)
    assert settled
    assert settled.case == smaller
    assert not one.shows(SMALL, legs)
    assert one.settle(SMALL, legs) is None


def test_what_all_legs_do_is_shown_of_a_disagreement() -> None:
    a, b, twins = pair(lambda _: 22)
    shown = differing(twins).steady(Everywhere([a, b, Scripted("c", kind="emulator")]))
    assert shown
    assert set(shown.verdicts) == set(shown.traces) == {"kvm:a", "kvm:b", "c"}
    kinds = {name: type(verdict) for name, verdict in shown.verdicts.items()}
    assert kinds == {"kvm:a": Diverge, "kvm:b": Diverge, "c": Agree}


def test_another_op_or_label_or_other_suspects_are_another_disagreement() -> None:
    _, _, legs = pair(lambda _: 22)
    one = differing(legs)
    labelled = {name: replace(v, label="stage") for name, v in one.suspects.items()}
    assert not Disagreement(UNKNOWN, labelled).shows(UNKNOWN, legs)
    other_op = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\nreg-list v0\n")
    assert not one.shows(other_op, legs)
    c = Scripted("kvm:c", going_on(lambda _: 7))
    three = Everywhere([*legs.legs, c])  # now b is the odd one
    assert not one.shows(UNKNOWN, three)


# -- what comes of them --------------------------------------------------------------------


def followed(leg: Scripted, others: Sequence[Scripted] = ()) -> tuple[object, list[str]]:
    notes: list[str] = []
    legs = Everywhere([leg, *others])
    investigator = Investigator(legs, notes.append, 30)
    return investigator.follow(departure(leg)), notes


def test_a_confirmed_departure_is_minimised_and_described() -> None:
    leg, other = Scripted("kvm:a", bad_finalize), Scripted("emulator:keep", kind="emulator")
    found, notes = followed(leg, [other])
    assert isinstance(found, FindingRecord)
    assert [op.word for op in found.minimal.ops] == ["create", "init", "finalize"]
    assert (found.original, found.reproduced, found.preceding) == (CASE, (3, 3), ())
    assert (found.op_index, found.deviating, found.strict) == (2, ("kvm:a",), True)
    assert (found.expected, found.observed) == ("success", "EINVAL")
    assert found.culprit == found.signature.rule
    assert found.explanation.startswith("kvm:a: op 2 (finalize): rule finalize")
    assert set(found.traces) == {"kvm:a", "emulator:keep"}
    assert len(found.traces["kvm:a"].observations) == 3
    assert found.signature.legs == "kvm:a"
    (note,) = notes
    assert note.startswith("kvm:a: minimised 6 to 3 ops in ")


def test_what_nothing_makes_smaller_is_shown_as_it_was() -> None:
    leg = Scripted(
        "kvm:a", lambda case, turn: bad_finalize(case, turn) if case == SMALL else sound(case)
    )
    notes: list[str] = []
    found = Investigator(Everywhere([leg]), notes.append, 30).follow(departure(leg, SMALL))
    assert isinstance(found, FindingRecord)
    assert found.minimal == found.original == SMALL


def test_a_dropped_suspicion_stays_dropped() -> None:
    leg = Scripted("kvm:a")
    found, notes = followed(leg)
    assert isinstance(found, Dropped)
    assert notes == []


def test_what_needs_earlier_cases_or_never_showed_again_is_not_minimised() -> None:
    never = Scripted("kvm:a", breaking(WARN, ()))
    found = Investigator(Everywhere([never]), said, 30).follow(breakage_of(never, WARN, [SMALL]))
    assert isinstance(found, FindingRecord)
    assert (found.minimal, found.reproduced) == (CASE, (0, 5))
    assert found.preceding == (Earlier(SMALL, False),)
    assert never.ran == [CASE] * 3 + [SMALL, CASE] * 2


def test_after_the_end_only_the_least_is_done() -> None:
    leg = Scripted("kvm:a", bad_finalize)
    investigator = Investigator(Everywhere([leg]), said, 0)
    investigator.end = 0.0
    found = investigator.follow(departure(leg))
    assert isinstance(found, FindingRecord)
    assert found.minimal == CASE
    assert found.reproduced == (3, 3)


def test_a_leg_that_is_gone_ends_minimising_not_the_finding() -> None:
    def script(case: Case, turn: int) -> Trace:
        if turn == 8:
            raise TransportError("for a moment.")
        return bad_finalize(case, turn)

    leg = Scripted("kvm:a", script)
    found, _ = followed(leg)
    assert isinstance(found, FindingRecord)
    assert any(isinstance(op, Finalize) for op in found.minimal.ops)
    assert not any(isinstance(op, GetReg) for op in found.minimal.ops)


def test_a_recorded_case_is_a_finding_of_its_leg_seen_once() -> None:
    leg, other = Scripted("kvm:a"), Scripted("emulator:keep", kind="emulator")
    verdict = judge_as_bad(SMALL)
    found = Investigator(Everywhere([leg, other]), said, 30).recorded(SMALL, "kvm:a", verdict)
    assert (found.minimal, found.original, found.reproduced) == (SMALL, SMALL, (1, 1))
    assert (found.deviating, found.signature.legs) == (("kvm:a",), "kvm:a")
    assert set(found.traces) == {"kvm:a", "emulator:keep"}


def test_what_another_leg_does_wrong_there_counts_if_it_is_recorded_too() -> None:
    verdict = judge_as_bad(SMALL)
    recorded = KeptCase(Path("k.case"), SMALL, (Known("kvm", verdict.rule),), "known")
    for knowledge, deviating in (
        (Knowledge([recorded]), ("kvm:a", "kvm:b")),
        (Knowledge([replace(recorded, known=(Known("kvm", "other"),))]), ("kvm:a",)),
        (Knowledge([]), ("kvm:a",)),
    ):
        legs = [Scripted("kvm:a", bad_finalize), Scripted("kvm:b", bad_finalize), Scripted("kvm:c")]
        investigator = Investigator(Everywhere(legs, knowledge), said, 30)
        found = investigator.recorded(SMALL, "kvm:a", verdict)
        assert (found.deviating, found.signature.legs) == (deviating, ",".join(deviating))


def test_an_explanation_of_its_own_is_told_as_it_is() -> None:
    leg = Scripted("kvm:a")
    told = diverge(told="they differ")
    found = Investigator(Everywhere([leg]), said, 30).recorded(SMALL, "kvm:a", told)
    assert found.explanation == "they differ"
