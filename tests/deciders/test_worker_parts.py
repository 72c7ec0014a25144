"""What a worker runs, what it runs ahead, what it counts, and what it follows up no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Scripted, broken, sound, wrong

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.inputs import case_of
from corpus.isa.unallocated import NEWER
from corpus.kept import KeptCase, Known
from corpus.ops import Finalize
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from db.records import FindingRecord, SignatureRecord
from fuzz.generate import arriving, copies, el2, newer, served, strangers
from fuzz.generate.mutate import crossed, mutated
from fuzz.generate.newer import with_newer
from fuzz.oracle.knowledge import NOTHING, Knowledge
from fuzz.oracle.selfsame import retellings
from fuzz.worker import feedback
from fuzz.worker import runner as runner_module
from fuzz.worker import session as module
from fuzz.worker.runner import AHEAD, Mutators, Runner
from fuzz.worker.session import Session
from targets.base import Incident, Target
from targets.model.target import ModelTarget
from targets.mutants import MUTANTS
from targets.profile import Profile

UP = "create v0\ninit v0\nfinalize v0\n"
CASE = parse_case(UP + "get v0 z3\n")
OTHER = parse_case("create v0\nget-mp v0\n")
CASES = [parse_case("create v0\n" * n) for n in range(1, 6)]
WARN = Fault(FaultKind.WARN, "f", True, "WARNING: f")


def deep(depth: int, name: str = "kvm:a") -> Scripted:
    """A leg that takes several cases at once."""
    leg = Scripted(name)
    leg.depth = depth
    return leg


# -- the runner --------------------------------------------------------------------------------


def fits(runner: Runner, case: Case) -> bool:
    return runner.take(case.encoded).fits


def test_a_case_fits_if_every_leg_has_what_it_needs() -> None:
    small = Scripted("kvm:b", profile=Profile(vqs=1))
    needs = Case(CASE.ops, 2)
    assert fits(Runner([Scripted("kvm:a")]), needs)
    assert not fits(Runner([Scripted("kvm:a"), small]), needs)
    assert not fits(Runner([small]), needs)
    assert fits(Runner([small]), Case(CASE.ops, 1))
    assert not fits(Runner([Scripted("kvm:a")]), Case(()))


def test_a_case_fits_if_no_leg_is_known_to_die_of_it() -> None:
    dies = {"kvm:a": replace(Profile(), avoid=frozenset({"finalize.ok", "other"}))}
    leg = Scripted("kvm:a")
    assert not fits(Runner([leg], machines=dies), CASE)
    assert fits(Runner([leg], machines=dies), OTHER)
    assert fits(Runner([leg]), CASE)
    assert fits(Runner([Scripted("kvm:b")], machines=dies), CASE)
    assert not fits(Runner([Scripted("kvm:b"), leg], machines=dies), CASE)


@pytest.mark.parametrize("share", [None, False, True])
def test_vms_are_shared_only_when_asked(share: bool | None) -> None:
    leg = Scripted("kvm:a")
    runner = Runner([leg]) if share is None else Runner([leg], share_vms=share)
    ((ran, result),) = runner.run(runner.take(CASE.encoded))
    assert (ran, result.trace) == (leg, sound(CASE))
    assert leg.shared == [CASE] * bool(share)


def test_what_was_begun_too_early_is_given_up_one_at_a_time() -> None:
    leg = deep(3)
    runner = Runner([leg])
    assert runner.ahead == 2
    for count, given_up in ((2, 0), (3, 1)):
        leg.executions = 0
        for case in CASES[:count]:
            runner.begin(case.encoded, case)
        runner.take(CASE.encoded)
        assert leg.executions == given_up
        taken = runner.take(CASES[0].encoded)
        assert bool(taken.tickets) is not given_up
        runner.settle()
        for case in CASES[1:count]:
            assert runner.take(case.encoded).results
    assert runner.take(CASES[1].encoded).results == {}


def test_how_far_is_run_ahead() -> None:
    assert AHEAD == 4
    rows: list[tuple[tuple[int, ...], int]] = [
        *(((), 0), ((1,), 0), ((2,), 1), ((5,), 4), ((9,), 4), ((3, 5), 2), ((1, 3), 2)),
    ]
    for depths, ahead in rows:
        legs = [deep(depth, f"kvm:{n}") for n, depth in enumerate(depths)]
        assert Runner(legs).ahead == ahead


def test_a_case_that_is_expected_is_not_decoded_again() -> None:
    runner = Runner([Scripted("kvm:a")])
    runner.expect(b"data", CASE)
    assert runner.take(b"data").case is CASE
    assert runner.take(b"data").case is CASE
    assert runner.take(OTHER.encoded).case == OTHER
    assert runner.take(b"").case == case_of(b"")


# -- mutators ----------------------------------------------------------------------------------


def test_children_are_made_of_what_is_given_with_one_seed_after_the_other() -> None:
    data, other = CASE.encoded, CASES[4].encoded
    leg = Scripted("kvm:a")
    share = el2.share(Runner([leg]).machines)

    def child(seed: int) -> bytes:
        return with_newer(mutated(data, seed, share), 1).encoded

    def of_two(seed: int) -> bytes:
        return with_newer(crossed(data, other, seed), 1).encoded

    for seed in (3, 40):
        plain, ahead = Mutators(Runner([leg])), Mutators(Runner([deep(3)]))
        assert plain.mutate(data, 4096, seed) == child(seed)
        assert plain.crossover(data, other, 4096, seed) == of_two(seed)
        first = [ahead.mutate(data, 4096, seed)]
        first += [ahead.mutate(data, 4096, 1000) for _ in range(2)]
        assert first == [child(seed + n) for n in range(3)]
        ahead = Mutators(Runner([deep(3)]))
        first = [ahead.crossover(data, other, 4096, seed)]
        first += [ahead.crossover(data, other, 4096, 1000) for _ in range(2)]
        assert first == [of_two(seed + n) for n in range(3)]


def test_what_stands_beside_children_is_what_some_machine_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[strangers.Beside] = []

    def noted(data: bytes, seed: int, share: float, beside: strangers.Beside) -> Case:
        told.append(beside)
        return CASE

    monkeypatch.setattr(runner_module, "mutated", noted)
    for machine in (Profile(), Profile(threads=True, strangers=frozenset({"signal"}))):
        runner = Runner([Scripted("kvm:a", profile=machine), ModelTarget(Profile(threads=True))])
        assert runner.machines == [machine]
        Mutators(runner).mutate(b"", 4096, 1)
        assert told.pop() == strangers.Beside.of([machine])


@pytest.mark.parametrize("change", ["to_its_own", "with_few", "with_newer", "with_served"])
def test_a_child_is_changed_for_machines_that_call_for_it(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    rooms = {"to_its_own": arriving, "with_few": copies, "with_newer": newer, "with_served": served}
    other = Case(CASE.ops[:1])
    monkeypatch.setattr(rooms[change], change, lambda *_: other)
    usual = Profile()
    told: set[bool] = set()
    for machine in (
        *(usual, replace(usual, kernel=(6, 1)), replace(usual, gic=False)),
        replace(usual, kernel=(6, 1), mode="protected"),
        replace(usual, lacks=frozenset({NEWER})),
    ):
        calls = {
            "to_its_own": arriving.takes_others([machine]),
            "with_few": copies.are_doubtful([machine]),
            "with_newer": bool(newer.share([machine])),
            "with_served": served.can_be([machine]),
        }
        mutators = Mutators(Runner([Scripted("kvm:a", profile=machine)]), lambda child: child)
        assert (mutators.mutate(CASE.encoded, 4096, 1) == other.encoded) is calls[change]
        told.add(calls[change])
    assert told == {False, True}


def test_a_child_is_cut_to_what_libfuzzer_takes_and_known_when_it_comes_back() -> None:
    for depth in (1, 3):
        runner = Runner([deep(depth)])
        mutators = Mutators(runner, lambda _: CASE)
        whole = mutators.mutate(b"", 4096, 1)
        assert whole == CASE.encoded
        assert runner.take(whole).case is CASE
        cut = Mutators(runner, lambda _: CASE).mutate(b"", 9, 1)
        assert cut == CASE.encoded[:9]
        assert runner.take(cut).case == case_of(cut)


class Steered:
    """Gives one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.shares: list[float] = []

    def child(self, share: float, beside: object) -> Case:
        self.shares.append(share)
        return self.case


def test_no_child_waits_until_the_time_of_a_run_is_up() -> None:
    text = "create v0\ninit v0\ncreate-gic\nrun v0 {{\n{}-loop #{}\n}}\n"
    steering = Steered(parse_case(text.format("wfi", 900)))
    mutators = Mutators(Runner([Scripted("kvm:a")]), steering=steering)  # type: ignore[arg-type]
    assert mutators.mutate(b"", 4096, 1) == parse_case(text.format("mmio", 10)).encoded


def test_with_steering_children_are_its_own() -> None:
    steering = Steered(CASE)
    runner = Runner([Scripted("kvm:a")])
    mutators = Mutators(runner, steering=steering)  # type: ignore[arg-type]
    assert mutators.mutate(b"", 4096, 1) == CASE.encoded
    assert mutators.crossover(b"", b"", 4096, 1) == CASE.encoded
    assert mutators.crossover(b"", b"", 9, 1) == CASE.encoded[:9]
    assert steering.shares == [el2.share(runner.machines)] * 3


def test_what_may_steer() -> None:
    assert feedback.SOURCES == ("model", "rules", "kernel", "semantic", "pairs", "schedules")
    assert feedback.USUAL == ("rules", "kernel", "semantic", "pairs", "schedules")


# -- a session's books -------------------------------------------------------------------------


class Heard:
    """A session over legs, and what it told."""

    def __init__(
        self, legs: Sequence[Target], knowledge: Knowledge = NOTHING, minimize: float = 0.0
    ) -> None:
        self.found: list[FindingRecord] = []
        self.again: list[SignatureRecord] = []
        self.notes: list[str] = []
        self.broke: list[bool] = []
        self.session = Session(
            legs,
            None,
            self.found.append,
            self.again.append,
            self.notes.append,
            minimize_seconds=minimize,
            knowledge=knowledge,
            incident=lambda leg, incident, investigating: self.broke.append(investigating),
            hypotheses={},
        )

    def execute(self, *cases: Case) -> None:
        for case in cases:
            self.session.execute(case.encoded)


def bad(case: Case, turn: int = 0) -> Trace:
    """FINALIZE fails."""
    at = next((n for n, op in enumerate(case.ops) if isinstance(op, Finalize)), None)
    return sound(case) if at is None else wrong(case, at, Observation(22))


def test_each_execution_adds_to_the_counts() -> None:
    keeps = parse_case(
        UP
        + "set v0 z3 0xab*\nset v0 cpacr_el1 0x330000\nrun v0 {\n mrs x1, zcr_el1\n}\nget v0 z3\n"
    )
    clears = ModelTarget(Profile(), "kvm:b", choose=lambda c: len(c) - 1)
    clears.kind = "kvm"
    heard = Heard([Scripted("kvm:a"), clears])
    heard.execute(keeps, keeps, keeps)
    tally = heard.session.tally
    assert tally.kept == {"kvm:a": 3, "kvm:b": 0}
    assert tally.cleared == {"kvm:a": 0, "kvm:b": 3}
    assert tally.not_judged == {}


def test_why_verdicts_stopped_is_told_once_with_its_first_case() -> None:
    unknown = [
        parse_case(f"create v0\ninit v0 features=el1_32bit\n{more}run v0 {{ }}\n")
        for more in ("", "get-mp v0\n")
    ]
    leg = Scripted("kvm:a", lambda c, t: Trace((*sound(c).observations, Observation(0))))
    heard = Heard([leg])
    heard.execute(*unknown)
    tally = heard.session.tally
    assert tally.not_judged == {"kvm:a": 2}
    ((reason, count),) = tally.unjudged.items()
    assert count == 2
    assert heard.session.stopped == {reason.removeprefix("kvm:a: "): unknown[0]}
    heard.session.stopped.clear()
    heard.execute(*unknown)
    assert heard.session.stopped == {}


@pytest.mark.parametrize("order", [("kvm:a", "kvm:b"), ("kvm:b", "kvm:a")])
def test_a_verdict_is_of_its_own_machine(order: Sequence[str]) -> None:
    profiles = {"kvm:a": Profile(), "kvm:b": Profile(vqs=1)}
    legs = [Scripted(name, lambda c, t: sound(c), profile=profiles[name]) for name in order]
    heard = Heard(legs)
    heard.execute(parse_case("create v0\ninit v0\nget-vls v0\n"))
    assert [record.deviating for record in heard.found] == [("kvm:b",)]
    assert heard.session.tally.divergences == 1
    assert heard.notes == ["kvm:b: minimised 3 to 3 ops in 0 runs, 0.0 s"]


# -- what is followed up -----------------------------------------------------------------------

ON = UP + "set v0 cpacr_el1 0x330000\nset v0 zcr_el1 15\nset v0 z1 noise:1\n"
FILLED = ON + "run v0 {\n    rdvl x0, #1\n}\n"
SHOWN_BY = [
    parse_case(FILLED + last)
    for last in ("get v0 z1\n", "read-all v0\n", "migrate v0\n", "get v0 z1\nget v0 z2\n")
]
"""One defect that shows in several ways."""


def test_of_a_bucket_that_is_known_well_enough_no_more_is_looked_at() -> None:
    mutant = MUTANTS["exit-cuts-registers"]
    leg = ModelTarget(mutant.machine(Profile()), "kvm:a", make=mutant.make)
    leg.kind = "kvm"
    heard = Heard([leg])
    get, look, migrate, _ = SHOWN_BY
    heard.execute(get, look)
    first, second = heard.found
    assert first.signature == second.signature
    assert (first.signature.op_kind, first.signature.rule) == ("run", "keeps")
    notes = len(heard.notes)
    for seen in range(4):
        heard.execute(migrate)
        assert heard.again == [first.signature] * (seen + 1)
    assert len(heard.found) == 2
    assert len(heard.notes) == notes  # nothing was made small for them


@pytest.mark.parametrize("left", ["kvm:a", "kvm:b"])
def test_legs_that_do_it_are_part_of_what_is_followed_up_twice(left: str) -> None:
    wrong_ones = {"kvm:a", "kvm:b"}

    def leg(name: str) -> Scripted:
        return Scripted(name, lambda c, t: bad(c) if name in wrong_ones else sound(c))

    heard = Heard([leg("kvm:a"), leg("kvm:b")])
    heard.execute(CASE, CASE)
    assert [record.deviating for record in heard.found] == [("kvm:a", "kvm:b")] * 2
    wrong_ones &= {left}
    heard.execute(CASE)
    assert [record.deviating for record in heard.found[2:]] == [(left,)]


def test_what_the_harness_did_leaves_both_follow_ups() -> None:
    steady = [False]

    def script(case: Case, turn: int) -> Trace:
        return bad(case) if steady[0] or turn % 4 == 0 else sound(case)

    heard = Heard([Scripted("kvm:a", script)])
    heard.execute(CASE, CASE, CASE)
    assert heard.found == []
    steady[0] = True
    heard.execute(CASE, CASE, CASE)
    assert len(heard.found) == module.FOLLOW_UPS
    assert len(heard.again) == 1


def test_what_ran_before_a_fault_is_forgotten_with_its_case() -> None:
    def script(case: Case, turn: int) -> Trace:
        if case == CASE:
            leg.told = [Incident(WARN, "log", CASE)]
        return broken(WARN) if case == CASE else sound(case)

    leg = Scripted("kvm:a", script)
    heard = Heard([leg])
    heard.execute(CASE)
    assert heard.found
    assert heard.session._preceding == {}


def test_incidents_of_recorded_cases_are_told_as_they_come() -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.told = [Incident(WARN, "log", case)]
        return broken(WARN)

    leg = Scripted("kvm:a", script)
    known = Knowledge([KeptCase(Path("k.case"), CASE, (Known("kvm", "ending.bug@g"),), "known")])
    heard = Heard([leg], known)
    heard.session.show_known()
    assert heard.found
    assert heard.broke[0] is False
    assert heard.broke[1:]
    assert all(heard.broke[1:])
    assert leg.told == []


def test_what_a_recorded_case_broke_as_recorded_is_no_investigation() -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.told = [Incident(WARN, f"log {turn}", case)]
        return broken(WARN)

    leg = Scripted("kvm:a", script)
    known = Knowledge([KeptCase(Path("k.case"), CASE, (Known("kvm", "ending.warn@f"),), "known")])
    heard = Heard([leg], known)
    heard.session.show_known()
    assert [record.reproduced for record in heard.found] == [(1, 1)]
    assert heard.broke[0] is False
    assert all(heard.broke[1:])


# -- told otherwise ----------------------------------------------------------------------------


def with_id(wanted: Callable[[str], bool]) -> Case:
    """A case that can be told otherwise, by its id."""
    found = (parse_case(f"{UP}get v0 x1\nset v0 x2 {n}\nget v0 x1\n") for n in range(5000))
    return next(case for case in found if wanted(case.id))


def test_one_case_in_some_is_told_otherwise_by_its_id() -> None:
    share = module.RETOLD_SHARE
    assert share == 24
    for case, told in (
        (with_id(lambda i: int(i[:4], 16) % share == 0 and int(i[:3], 16) % share != 0), True),
        (with_id(lambda i: int(i[:4], 16) % share != 0 and int(i[:3], 16) % share == 0), False),
        (with_id(lambda i: int(i[:4], 16) % share != 0 and int(i[:5], 16) % share == 0), False),
    ):
        heard = Heard([Scripted("emulator:a", kind="emulator"), ModelTarget(Profile())])
        heard.execute(case)
        ways = len(list(retellings(case, sound(case))))
        assert heard.session.tally.retold == (ways if told else 0)
        retold = {one.rule for one in retellings(case, sound(case))} if told else set()
        used = heard.session.exercised["emulator:a"]
        assert {rule for rule in used if rule.startswith("self.")} == retold
        assert heard.found == []
        assert heard.session.tally.divergences == 0


def test_what_was_begun_is_waited_for_before_a_case_is_told_otherwise() -> None:
    case = with_id(lambda i: int(i[:4], 16) % module.RETOLD_SHARE == 0)
    ended: list[Case] = []

    def script(one: Case, turn: int) -> Trace:
        ended.append(one)
        return sound(one)

    leg = Scripted("kvm:a", script)
    leg.depth = 3
    heard = Heard([leg])
    heard.session.runner.begin(case.encoded, case)
    heard.session.runner.begin(OTHER.encoded, OTHER)
    heard.execute(case)
    assert ended[:2] == [case, OTHER]
    assert len(ended) > 2


def test_what_is_wrong_as_it_was_told_is_not_held_against_the_leg_twice() -> None:
    case = with_id(lambda i: int(i[:4], 16) % module.RETOLD_SHARE == 0)
    at = len(parse_case(UP).ops)

    def script(one: Case, turn: int) -> Trace:
        return wrong(one, at, Observation(0, 0, b"\1" * 8)) if one == case else sound(one)

    heard = Heard([Scripted("emulator:a", script, kind="emulator")])
    heard.execute(case)
    assert heard.session.tally.retold
    assert [record.signature.oracle for record in heard.found] == ["conformance"]
    assert heard.session.tally.divergences == 1


def test_what_is_wrong_only_as_it_is_told_otherwise_is_a_suspicion_like_any_other() -> None:
    case = with_id(lambda i: int(i[:4], 16) % module.RETOLD_SHARE == 0)
    leg = Scripted("emulator:a", lambda one, _: sound(one) if one == case else bad(one), "emulator")
    heard = Heard([leg])
    heard.execute(case)
    found = {record.signature.oracle: record for record in heard.found}
    assert found["conformance"].signature.op_kind == "finalize"
