"""What a worker makes of a case: judged once, counted, compared, followed up no more than twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import pytest
from scripted import LAB, Scripted, broken, sound, wrong

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.kept import KeptCase, Known
from corpus.ops import Finalize, Init, Op
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.wire import RUN_DATA, RUN_TIMED_OUT
from db.records import FindingRecord, SignatureRecord
from fuzz.followup.kinship import Kin
from fuzz.followup.suspicion import Dropped, Suspicion
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.worker import session as module
from fuzz.worker.feedback import SOURCES
from fuzz.worker.focus import Focus
from fuzz.worker.schedules import Schedules
from fuzz.worker.session import Session
from fuzz.worker.steering import Steering
from targets.base import Incident, Ran
from targets.codemap import CodeMap
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec.errno import EINTR
from targets.spec.model import Model

CASE = parse_case("create v0\ninit v0\nfinalize v0\nget v0 z3\n")
OTHER = parse_case("create v0\nget-mp v0\n")
SIGNATURE = SignatureRecord("conformance", "get", "sve.z", "z", "-", "kvm:a")
WARN = Fault(FaultKind.WARN, "f", True, "WARNING: f")
HANG = Fault(FaultKind.HANG, "g", True)


class Heard:
    """All that a session tells."""

    def __init__(self) -> None:
        self.found: list[FindingRecord] = []
        self.again: list[SignatureRecord] = []
        self.notes: list[str] = []
        self.incidents: list[tuple[str, Incident, bool]] = []
        self.unconfirmed: list[tuple[Suspicion, Dropped]] = []
        self.restarted: list[tuple[str, float]] = []
        self.akin: list[Kin] = []

    def session(
        self,
        legs: Sequence[Scripted | ModelTarget],
        knowledge: Knowledge = NOTHING,
        **options: object,
    ) -> Session:
        return Session(
            legs,
            options.pop("feedback", None),  # type: ignore[arg-type]
            self.found.append,
            self.again.append,
            self.notes.append,
            minimize_seconds=20,
            knowledge=knowledge,
            incident=lambda *told: self.incidents.append(told),
            unconfirmed=lambda *told: self.unconfirmed.append(told),
            restarted=lambda *told: self.restarted.append(told),
            akin=self.akin.append,
            **options,  # type: ignore[arg-type]
        )


def bad(case: Case, turn: int = 0, kind: type[Op] = Finalize) -> Trace:
    """FINALIZE fails, or another op."""
    for index, op in enumerate(case.ops):
        if isinstance(op, kind):
            return wrong(case, index, Observation(22))
    return sound(case)


def model(name: str = "model") -> ModelTarget:
    return ModelTarget(Profile(), name)


# -- running and judging ---------------------------------------------------------------------


def test_a_case_runs_on_each_leg_but_the_reference_and_is_counted() -> None:
    leg, emulator, reference = Scripted("kvm:a"), Scripted("emulator:e", kind="emulator"), model()
    heard = Heard()
    session = heard.session([reference, emulator, leg])
    assert [one.name for one in session.legs] == ["kvm:a", "emulator:e", "model"]
    session.execute(CASE.encoded)
    session.execute(CASE.encoded)
    assert (leg.ran, emulator.ran, reference.executions) == ([CASE] * 2, [CASE] * 2, 0)
    tally = session.tally
    assert (tally.cases, tally.discarded, tally.divergences) == (2, 0, 0)
    assert tally.executions == {"kvm:a": 2, "emulator:e": 2, "model": 2}
    assert tally.rules["vcpu.create"] == 4
    assert "sve.z" in session.exercised["kvm:a"]
    assert session.exercised["model"] == set()
    assert heard.found == []
    assert session.features == 0


def test_the_reference_runs_where_it_is_alone() -> None:
    reference = model()
    Heard().session([reference]).execute(CASE.encoded)
    assert reference.executions == 1


def test_what_no_leg_can_run_is_discarded() -> None:
    leg = Scripted("kvm:a", profile=Profile(vqs=1))
    session = Heard().session([leg])
    session.execute(Case(CASE.ops, 2).encoded)
    session.execute(b"")
    assert (session.tally.discarded, session.tally.cases, leg.ran) == (2, 0, [])


def test_the_same_trace_on_the_same_machine_is_judged_once() -> None:
    made: list[Profile] = []

    class Counted(Model):
        def __init__(self, profile: Profile) -> None:
            made.append(profile)
            super().__init__(profile)

    def traced(legs: Sequence[Scripted]) -> int:
        made.clear()
        Heard().session(legs, traced=Counted).execute(CASE.encoded)
        return len(made)

    assert traced([Scripted("kvm:a"), Scripted("kvm:b")]) == 1


def test_a_verdict_is_shared_only_between_the_same_machines_and_traces() -> None:
    heard = Heard()
    small = Profile(vqs=1)
    legs = [
        Scripted("kvm:a", lambda c, t: sound(c)),
        Scripted("kvm:b", lambda c, t: sound(c), profile=small),
    ]
    lengths = parse_case("create v0\ninit v0\nget-vls v0\n")
    heard.session(legs).execute(lengths.encoded)  # what is right at 16 quadwords is wrong at one
    assert [record.deviating for record in heard.found] == [("kvm:b",)]
    heard = Heard()
    legs = [Scripted("kvm:a"), Scripted("kvm:b", bad), Scripted("kvm:c")]
    heard.session(legs).execute(CASE.encoded)
    assert [record.deviating for record in heard.found] == [("kvm:b",)]


def test_what_was_kept_cleared_and_not_judged_is_counted_by_leg() -> None:
    keeps = parse_case(
        "create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\nset v0 cpacr_el1 0x330000\n"
        "run v0 {\n mrs x1, zcr_el1\n}\nget v0 z3\n"
    )
    clears = ModelTarget(Profile(), "kvm:b", choose=lambda c: len(c) - 1)
    clears.kind = "kvm"
    session = Heard().session([Scripted("kvm:a"), clears])
    session.execute(keeps.encoded)
    assert session.tally.kept == {"kvm:a": 1, "kvm:b": 0}
    assert session.tally.cleared == {"kvm:a": 0, "kvm:b": 1}
    unknown = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\n")
    going_on = Scripted("kvm:a", lambda c, t: Trace((*sound(c).observations, Observation(0))))
    session = Heard().session([going_on])
    session.execute(unknown.encoded)
    ((reason, count),) = session.tally.unjudged.items()
    assert ("AArch32" in reason, count) == (True, 1)


def test_cases_share_machines_only_when_asked() -> None:
    alone, shared = Scripted("kvm:a"), Scripted("kvm:b")
    Heard().session([alone]).execute(CASE.encoded)
    Heard().session([shared], share_vms=True).execute(CASE.encoded)
    assert (alone.shared, shared.shared) == ([], [CASE])


# -- following up ----------------------------------------------------------------------------


def test_a_divergence_is_followed_up_twice_and_counted_after_that() -> None:
    heard = Heard()
    leg = Scripted("kvm:a", bad)
    session = heard.session([leg])
    for turn in range(4):
        before = len(leg.ran)
        session.execute(CASE.encoded)
        assert len(heard.found) == min(turn + 1, module.FOLLOW_UPS)
        assert (len(leg.ran) == before + 1) == (turn >= module.FOLLOW_UPS)
    assert heard.akin == []
    assert module.FOLLOW_UPS == 2
    assert heard.again == [heard.found[0].signature] * 2
    assert session.tally.divergences == 4
    assert session.tally.infra_errors == 0


def test_kin_of_a_finding_are_told() -> None:
    heard = Heard()
    session = heard.session([Scripted("kvm:a", bad)])
    kin = [Kin(SIGNATURE, SIGNATURE, "so"), None]
    session._family.relate = lambda record: kin[len(heard.found) - 1]  # type: ignore[method-assign]
    for _ in range(2):
        session.execute(CASE.encoded)
    assert len(heard.found) == 2
    assert heard.akin == kin[:1]


def test_legs_that_do_the_same_wrong_are_followed_up_once_in_a_case() -> None:
    heard = Heard()
    heard.session([Scripted("kvm:a", bad), Scripted("kvm:b", bad), model()]).execute(CASE.encoded)
    (record,) = heard.found
    assert record.deviating == ("kvm:a", "kvm:b")
    assert record.signature.legs == "every kvm"


def test_two_things_wrong_in_a_case_are_followed_up_both() -> None:
    heard = Heard()
    legs = [Scripted("kvm:a", bad), Scripted("kvm:b", lambda c, t: bad(c, t, Init))]
    heard.session(legs).execute(CASE.encoded)
    assert sorted(record.deviating for record in heard.found) == [("kvm:a",), ("kvm:b",)]


def test_a_run_that_was_late_once_is_run_once_more() -> None:
    case = parse_case("create v0\ninit v0\nfinalize v0\nrun v0 { nop }\n")
    ended = Observation(EINTR, 0, RUN_DATA.pack(*[0] * 5, RUN_TIMED_OUT))
    for seen in (ended, Observation(EINTR)):

        def once(case: Case, turn: int, seen: Observation = seen) -> Trace:
            return sound(case) if turn else wrong(case, 3, seen)

        heard = Heard()
        leg = Scripted("kvm:a", once)
        heard.session([leg]).execute(case.encoded)
        assert heard.found == []
        assert len(leg.ran) == (2 if seen is ended else 4)
        ((_, dropped),) = heard.unconfirmed
        assert ("the time of a run was over" in dropped.why) == (seen is ended)


def test_what_the_harness_did_is_not_held_against_the_next_of_its_kind() -> None:
    heard = Heard()
    leg = Scripted("kvm:a", lambda c, turn: bad(c) if turn in (0, 4, 8) or turn >= 12 else sound(c))
    session = heard.session([leg])
    for _ in range(3):
        session.execute(CASE.encoded)  # each time once, and three times not
    assert (heard.found, session.tally.infra_errors, session.tally.divergences) == ([], 3, 3)
    assert all("did not reproduce" in dropped.why for _, dropped in heard.unconfirmed)
    assert [(found.name, found.case) for found, _ in heard.unconfirmed] == [("kvm:a", CASE)] * 3
    session.execute(CASE.encoded)
    assert len(heard.found) == 1
    assert heard.again == []
    session.execute(CASE.encoded)
    before = len(leg.ran)
    session.execute(CASE.encoded)
    assert (len(heard.found), len(leg.ran)) == (2, before + 1)


def test_each_fault_is_followed_up_and_told_with_what_ran_before() -> None:
    def script(case: Case, turn: int) -> Trace:
        if case == CASE and turn < 3:
            leg.told = [Incident(WARN, "log", CASE, (Ran(OTHER),))]
            return broken(WARN)
        fresh = leg.log[-3:] == ["restart", "run", "run"]
        return broken(WARN) if case == CASE and fresh and leg.ran[-2] == OTHER else sound(case)

    leg = Scripted("kvm:a", script)
    heard = Heard()
    session = heard.session([leg])
    session.execute(OTHER.encoded)
    session.execute(OTHER.encoded)
    session.execute(CASE.encoded)
    (record,) = heard.found
    assert [earlier.case for earlier in record.preceding] == [OTHER]
    assert record.reproduced == (3, 3)
    assert heard.incidents[0] == ("kvm:a", Incident(WARN, "log", CASE, (Ran(OTHER),)), False)


def test_what_broke_a_machine_once_is_no_second_incident() -> None:
    def script(case: Case, turn: int) -> Trace:
        if turn:
            return sound(case)
        leg.told = [Incident(crash, "log", case)]
        return broken(crash)

    crash = Fault(FaultKind.CRASH, "f")
    leg = Scripted("kvm:a", script)
    heard = Heard()
    heard.session([leg]).execute(CASE.encoded)
    assert (heard.found, heard.unconfirmed) == ([], [])
    assert len(heard.incidents) == 1
    assert "did not show again" in heard.notes[-1]


def test_incidents_during_an_investigation_are_marked_and_no_leg_is_down_for_them() -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.boots += 1
        leg.told = [Incident(WARN, "log", case)]
        return broken(WARN)

    leg = Scripted("kvm:a", script)
    heard = Heard()
    session = heard.session([leg])
    session.execute(CASE.encoded)
    flags = [investigating for _, _, investigating in heard.incidents]
    assert flags[0] is False
    assert flags[1:]
    assert all(flags[1:])


def test_a_leg_that_comes_back_is_told_once_with_what_its_start_took() -> None:
    leg = Scripted("kvm:a")
    heard = Heard()
    session = heard.session([leg])
    leg.told = [Incident(HANG, "log")]
    session.tell_incidents()
    assert heard.restarted == []
    leg.boots, leg.boot_seconds = leg.boots + 1, 2.5
    session.tell_incidents()
    session.tell_incidents()
    assert heard.restarted == [("kvm:a", 2.5)]
    leg.boots += 1  # started again for an investigation: nothing was broken
    session.tell_incidents()
    leg.told = [Incident(HANG, "log")]
    session.tell_incidents(investigating=True)
    leg.boots += 1
    session.tell_incidents()
    assert heard.restarted == [("kvm:a", 2.5)]
    assert [investigating for *_, investigating in heard.incidents] == [False, True]
    leg.told = [Incident(HANG, "log")]
    session.tell_incidents()
    assert len(heard.restarted) == 1, "what it did before this broke it is no coming back"
    leg.boots += 1
    session.tell_incidents()
    assert len(heard.restarted) == 2


def test_what_broke_and_came_back_at_once_is_told() -> None:
    leg = Scripted("kvm:a")
    heard = Heard()
    session = heard.session([leg])
    leg.told, leg.boots, leg.boot_seconds = [Incident(HANG, "log")], 1, 1.5
    session.tell_incidents()
    assert heard.restarted == [("kvm:a", 1.5)]


def test_begun_cases_are_waited_for_before_an_investigation() -> None:
    leg = Scripted("kvm:a", bad)
    leg.depth = 3
    session = Heard().session([leg])
    session.runner.begin(CASE.encoded, CASE)
    session.runner.begin(OTHER.encoded, OTHER)
    session.execute(CASE.encoded)
    assert leg.ran[:3] == [CASE, OTHER, CASE]
    assert leg.executions == len(leg.ran)


def test_what_cases_begun_before_broke_is_no_part_of_an_investigation() -> None:
    broke = Incident(HANG, "log", OTHER)

    def script(case: Case, turn: int) -> Trace:
        leg.told = [broke] if case == OTHER else []
        return bad(case)

    leg = Scripted("kvm:a", script)
    leg.depth = 3
    heard = Heard()
    session = heard.session([leg])
    session.runner.begin(CASE.encoded, CASE)
    session.runner.begin(OTHER.encoded, OTHER)
    session.execute(CASE.encoded)
    assert heard.found
    assert heard.incidents == [("kvm:a", broke, False)]


def test_twins_that_differ_where_the_model_is_silent_are_one_more_suspicion() -> None:
    unknown = parse_case("create v0\ninit v0 features=el1_32bit\nrun v0 { }\nget-mp v0\n")

    def going_on(err: int) -> Callable[[Case, int], Trace]:
        def script(case: Case, turn: int) -> Trace:
            done = sound(case).observations
            rest = [Observation(err if op.word == "get-mp" else 0) for op in case.ops[len(done) :]]
            return Trace((*done, *rest))

        return script

    heard = Heard()
    session = heard.session([Scripted("kvm:a", going_on(7)), Scripted("kvm:b", going_on(22))])
    session.execute(unknown.encoded)
    (record,) = heard.found
    assert (record.signature.oracle, record.deviating) == ("legs", ("kvm:a", "kvm:b"))
    assert session.tally.compared_legs == 1
    assert session.tally.rules["legs.agree"] == 2
    session.execute(CASE.encoded)
    assert session.tally.compared_legs == 1


def test_the_end_of_a_campaign_ends_minimising() -> None:
    heard = Heard()
    session = heard.session([Scripted("kvm:a", bad)])
    session.end_at(0.0)
    longer = Case((*CASE.ops, *OTHER.ops[1:] * 20))
    session.execute(longer.encoded)
    assert session._investigator.end == 0.0
    (record,) = heard.found
    assert record.reproduced == (3, 3)


# -- recorded defects ------------------------------------------------------------------------


def record_of(case: Case, rule: str, kind: str = "kvm") -> Knowledge:
    return Knowledge([KeptCase(Path("known.case"), case, (Known(kind, rule),), "known")])


def rule_of_bad() -> str:
    heard = Heard()
    heard.session([Scripted("kvm:a", bad)]).execute(CASE.encoded)
    return heard.found[0].signature.rule


def test_recorded_cases_that_still_diverge_are_reported_as_recorded() -> None:
    heard = Heard()
    a, b, emulator = (
        Scripted("kvm:a"),
        Scripted("kvm:b", bad),
        Scripted("emulator:e", kind="emulator"),
    )
    session = heard.session([a, b, emulator], record_of(CASE, rule_of_bad()))
    session.show_known()
    (record,) = heard.found
    assert (record.minimal, record.reproduced, record.deviating) == (CASE, (1, 1), ("kvm:b",))
    assert set(record.traces) == {"kvm:a", "kvm:b", "emulator:e"}
    assert session.tally.divergences == 0


def test_a_leg_that_happens_to_fail_a_recorded_case_too_does_not_make_it_news() -> None:
    heard = Heard()
    emulator = Scripted("emulator:e", bad, kind="emulator")
    session = heard.session([Scripted("kvm:a", bad), emulator], record_of(CASE, "*", "emulator"))
    session.show_known()
    (record,) = heard.found
    assert record.deviating == ("emulator:e",)


def test_a_recorded_case_that_shows_something_else_is_followed_up() -> None:
    heard = Heard()
    session = heard.session([Scripted("kvm:a", bad)], record_of(CASE, "no.such-rule"))
    session.show_known()
    assert [record.reproduced for record in heard.found] == [(3, 3)]
    assert session.tally.divergences == 1
    once = Heard()
    flaky = Scripted("kvm:a", lambda case, turn: bad(case, turn) if turn == 0 else sound(case))
    once.session([flaky], record_of(CASE, "no.such-rule")).show_known()
    assert once.found == []


def test_a_recorded_case_is_reported_once_for_all_legs_and_not_if_it_is_gone() -> None:
    heard = Heard()
    legs = [Scripted("kvm:a", bad), Scripted("kvm:b", bad)]
    heard.session(legs, record_of(CASE, "finalize.*")).show_known()
    assert len(heard.found) == 1
    assert heard.found[0].deviating == ("kvm:a", "kvm:b")
    gone = Heard()
    gone.session([Scripted("kvm:a")], record_of(CASE, "finalize.*")).show_known()
    assert gone.found == []


def test_what_a_defect_spoils_is_still_shown_as_it_is() -> None:
    adds = parse_case(
        "create v0\ninit v0\nfinalize v0\nset v0 cpacr_el1 0x330000\nset v0 z1 0x01*\n"
        "run v0 {\n add z3.d, z1.d, z1.d\n}\nget v0 z3\n"
    )
    name = adds.ops[5].program[0].form.name  # type: ignore[attr-defined]

    def script(case: Case, turn: int) -> Trace:
        return wrong(case, 6, Observation(0, 0, b"\7" * 256)) if case == adds else sound(case)

    knowledge = record_of(adds, f"isa.{name}")
    heard = Heard()
    session = heard.session([Scripted("kvm:a", script)], knowledge)
    session.execute(adds.encoded)
    assert heard.found == []
    session.show_known()
    (record,) = heard.found
    assert record.signature.rule == f"isa.{name}"


def test_a_recorded_fault_is_reported_and_another_one_is_followed_up() -> None:
    def breaks(fault: Fault) -> Scripted:
        return Scripted("kvm:a", lambda c, t: broken(fault) if c == CASE else sound(c))

    known = record_of(CASE, "ending.warn@f")
    heard = Heard()
    heard.session([breaks(WARN)], known).show_known()
    assert [record.reproduced for record in heard.found] == [(1, 1)]
    other = Heard()
    session = other.session([breaks(Fault(FaultKind.BUG, "g", True))], known)
    session.show_known()
    (record,) = other.found
    assert (record.signature.rule, record.reproduced) == ("ending.bug", (3, 3))
    assert session.tally.divergences == 1


# -- steering --------------------------------------------------------------------------------


class Steered:
    """In place of libFuzzer's counters."""

    sources: frozenset[str] = frozenset(SOURCES)

    def __init__(self) -> None:
        self.features: list[set[Hashable]] = []
        self.blocks: list[tuple[str, list[int]]] = []
        self.seen = 7
        self.sources = frozenset(SOURCES)

    def report(self, features: Iterable[Hashable]) -> int:
        self.features.append(set(features))
        return 5

    def report_blocks(self, leg: str, blocks: Sequence[int]) -> Sequence[int]:
        self.blocks.append((leg, list(blocks)))
        return [block for block in blocks if block > 8]


class Shown:
    """In place of steering."""

    schedules = Schedules()

    def __init__(self) -> None:
        self.noted: list[tuple[object, ...]] = []

    def note(self, *told: object) -> None:
        self.noted.append(told)


def test_features_and_new_blocks_of_each_case_are_reported() -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.blocks = [4, 8, 12] if turn == 0 else [4]
        return sound(case)

    leg, plain = Scripted("kvm:a", script), Scripted("kvm:b")
    leg.code = CodeMap(0, 0, ())
    steered = Steered()
    session = Heard().session([leg, plain, model()], feedback=steered)
    session.execute(CASE.encoded)
    session.execute(OTHER.encoded)
    assert session.features == 7
    assert len(steered.features) == 2
    assert ("rule", "sve.z") in steered.features[0]
    assert steered.blocks == [("kvm:a", [4, 8, 12]), ("kvm:a", [4])]
    (reached,) = session.reached
    assert (reached.leg, reached.case, list(reached.blocks)) == ("kvm:a", CASE, [12])


@pytest.mark.parametrize(
    ("sources", "kinds", "new"),
    [
        (("rules",), {"rule"}, 5),
        (("semantic",), {"op"}, 5),
        (("kernel",), set(), 6),
        (("rules", "semantic", "kernel"), {"rule", "op"}, 6),
    ],
)
def test_only_what_is_wanted_steers(sources: tuple[str, ...], kinds: set[str], new: int) -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.blocks = [4, 12]
        return sound(case)

    shown = Shown()
    leg = Scripted("kvm:a", script)
    leg.code = CodeMap(0, 0, ())
    steered = Steered()
    steered.sources = frozenset(sources)
    focus = Focus({"kvm:a": [(8, 16)]})
    session = Heard().session([leg], feedback=steered, steering=shown, focus=focus)
    session.execute(CASE.encoded)
    assert {feature[0] for feature in steered.features[0]} == kinds  # type: ignore[index]
    ((case, traces, count, near, judged),) = shown.noted
    assert (case, [one.ending for one in traces], count) == (CASE, [Ending.OK], new)  # type: ignore[attr-defined]
    assert near == 1  # one of its two blocks lies inside
    assert judged == 1
    assert len(session.reached) == 1  # whatever steers


def test_new_blocks_of_all_legs_count() -> None:
    shown = Shown()
    legs = [Scripted(f"kvm:{name}") for name in "ab"]
    for leg, blocks in zip(legs, ([4, 12], [16, 20]), strict=True):
        leg.code, leg.blocks = CodeMap(0, 0, ()), blocks
    Heard().session(legs, feedback=Steered(), steering=shown).execute(CASE.encoded)
    assert [new for _, _, new, _, _ in shown.noted] == [5 + 1 + 2]


def test_without_a_focus_no_case_is_near_to_it() -> None:
    shown = Shown()
    session = Heard().session([Scripted("kvm:a")], feedback=Steered(), steering=shown)
    session.execute(CASE.encoded)
    assert [near for *_, near, _ in shown.noted] == [0]


def test_a_leg_that_is_lost_before_ends_as_lost_not_as_a_hang() -> None:
    leg = Scripted("kvm:a", lambda c, t: Trace((), Ending.LOST))
    heard = Heard()
    heard.session([leg]).execute(CASE.encoded)
    (record,) = heard.found
    assert record.observed == "lost"


def test_the_fingerprint_that_makes_twins() -> None:
    assert {"lab.qemu", "lab.kernel_sha256", "mode"} <= set(LAB)


@pytest.mark.parametrize("kinds", [("model", "kvm"), ("kvm", "mutant", "emulator")])
def test_legs_are_started_slowest_first(kinds: tuple[str, ...]) -> None:
    legs = [Scripted(f"{kind}:x", kind=kind) for kind in kinds]
    order = [leg.kind for leg in Heard().session(legs).legs]
    assert order == sorted(kinds, key=["kvm", "emulator", "mutant", "model"].index)


def test_what_strangers_interrupted_is_counted_and_kept_for_steering() -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.interrupted = [4 * turn, 64]
        return sound(case)

    leg = Scripted("kvm:a", script)
    steering = Steering(1)
    session = Heard().session([leg], feedback=Steered(), steering=steering)
    disturbed = parse_case("create v0\ndisturb signal after=5 {\n    init v0\n}\n")
    for case, count in ((disturbed, 2), (disturbed, 3), (CASE, 3)):
        session.execute(case.encoded)
        assert session.tally.interrupted == count
    assert steering.schedules.begun
