"""A leg behind a transport, the kinds of legs, and the algebra of sets."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

import pytest
from scripted import Scripted

from corpus.fault import Fault, FaultKind
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.wire import FLAG_REUSE_VM, with_flags
from targets.base import HISTORY, LOST_TRIES, Incident, Ran, WireTarget, fingerprint_hash
from targets.codemap import CodeMap
from targets.kind import KINDS
from targets.legs import open_legs
from targets.model.target import ModelTarget
from targets.profile import Profile
from targets.spec import sets
from targets.spec.sets import exact, unknown
from targets.transport import Loss, Reply, Transport

CASE = parse_case("create v0\n")
OTHER = parse_case("create v1\n")
EMPTY = b"VFT1" + (16).to_bytes(4, "little") + bytes(8)
HANG = Fault(FaultKind.HANG, "g", True, "no progress")


class Wire(Transport):
    """Answers what it is given, by request."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []
        self.boots, self.boot_seconds, self.depth = 1, 2.5, 4
        self.code, self.no_coverage = CodeMap(0, 0, ()), "no compiler."
        self.lost: list[Loss] = []
        self.restarted = self.closed = 0

    def start(self) -> Mapping[str, str]:
        return {"release": "6.12.9", "vqs": "1-4", "mode": "vhe"}

    def submit(self, request: bytes) -> int:
        self.requests.append(request)
        return 100 + len(self.requests)

    def collect(self, ticket: int) -> Reply:
        reply = self.replies.pop(0) if self.replies else Reply(Ending.OK, EMPTY, "", 0.1)
        self.boots += reply.ending is Ending.LOST
        return reply

    def losses(self) -> Sequence[Loss]:
        told, self.lost = self.lost, []
        return told

    def restart(self) -> None:
        self.restarted += 1

    def close(self) -> None:
        self.closed += 1


def leg(*replies: Reply, shares: bool = False) -> tuple[WireTarget, Wire]:
    wire = Wire(*replies)
    return WireTarget("kvm:x", "kvm", wire, {"extra": "1"}, lambda _: shares), wire


def test_a_leg_is_what_its_probe_says() -> None:
    target, wire = leg()
    assert (target.name, target.kind, target.depth) == ("kvm:x", "kvm", 4)
    assert target.fingerprint == {
        "release": "6.12.9",
        "vqs": "1-4",
        "mode": "vhe",
        "extra": "1",
        "leg": "kvm:x",
    }
    assert (target.profile.vqs, target.profile.kernel) == (0xF, (6, 12))
    assert (target.boots, target.boot_seconds) == (1, 2.5)
    assert (target.code, target.no_coverage) == (wire.code, "no compiler.")
    plain = WireTarget("kvm:x", "kvm", Wire())
    assert plain.fingerprint["leg"] == "kvm:x"
    assert not plain.shares


def test_a_case_is_run_as_it_is_and_its_blocks_are_its_own() -> None:
    target, wire = leg(
        Reply(Ending.OK, EMPTY, "said", 0.1, blocks=[4, 8]), Reply(Ending.OK, EMPTY, "", 0.1)
    )
    assert target.run(CASE) == Trace((), Ending.OK, "said")
    assert list(target.blocks) == [4, 8]
    assert wire.requests == [with_flags(CASE.request, 0)]
    target.run(OTHER)
    assert list(target.blocks) == []
    assert (target.executions, target.restarts) == (2, 0)
    assert target.incidents() == []


def test_a_vm_is_shared_only_where_that_was_tried() -> None:
    for shares in (True, False):
        target, wire = leg(shares=shares)
        target.collect(target.submit_shared(CASE))
        target.collect(target.submit(CASE))
        flags = [
            with_flags(CASE.request, FLAG_REUSE_VM if shares else 0),
            with_flags(CASE.request, 0),
        ]
        assert wire.requests == flags


def test_whether_vms_can_be_shared_is_tried_once() -> None:
    tried: list[object] = []
    wire = Wire()
    target = WireTarget("kvm:x", "kvm", wire, can_share=lambda one: bool(tried.append(one)) or True)
    assert target.shares
    assert target.shares
    assert tried == [wire]


def test_what_finished_with_a_complaint_keeps_its_observations() -> None:
    logged = Reply(Ending.HOST_LOG, EMPTY, "WARNING", 0.1, fault=HANG)
    target, _ = leg(logged)
    assert target.run(CASE) == Trace((), Ending.HOST_LOG, "WARNING", fault=HANG)
    assert target.incidents() == []
    assert target.restarts == 0


def test_what_broke_is_an_incident_with_its_fault_and_what_ran_before() -> None:
    target, wire = leg(
        Reply(Ending.OK, EMPTY, "", 0.1), Reply(Ending.HANG, None, "log", 9.0, at=3, fault=HANG)
    )
    target.run(OTHER)
    trace = target.run(CASE)
    assert trace == Trace((), Ending.HANG, "log", 3, HANG)
    assert (target.restarts, target.executions) == (1, 2)
    wire.lost = [Loss(Fault(FaultKind.LOST, "killed"), "gone\n")]
    assert target.incidents() == [
        Incident(Fault(FaultKind.LOST, "killed"), "gone\n"),
        Incident(HANG, "log", CASE, (Ran(OTHER),)),
    ]
    assert target.incidents() == []


def test_only_what_the_same_executor_ran_before_counts() -> None:
    crash = Reply(Ending.CRASH, None, "log", 0.1, fault=HANG)
    target, wire = leg(crash)
    first, second, third = target.submit(OTHER), target.submit(CASE), target.submit(OTHER)
    del first, third
    target.collect(second)
    (incident,) = target.incidents()
    assert incident.preceding == (Ran(OTHER),)
    wire.replies = [crash]
    wire.boots = 2
    target.collect(target.submit(CASE))
    (later,) = target.incidents()
    assert later.preceding == ()
    assert HISTORY == 64


def test_what_ran_before_on_another_executor_does_not_count() -> None:
    fine = [Reply(Ending.OK, EMPTY, "", 0.1, boot=boot) for boot in (7, 8)]
    target, _ = leg(*fine, Reply(Ending.CRASH, None, "log", 0.1, fault=HANG, boot=7))
    for case in (OTHER, CASE, CASE):
        target.run(case)
    (incident,) = target.incidents()
    assert incident.preceding == (Ran(OTHER),)
    assert target.restarts == 1


def test_what_is_sent_may_be_another_request_than_the_cases() -> None:
    target, wire = leg(Reply(Ending.LOST, None, "", 0.1), Reply(Ending.OK, EMPTY, "said", 0.1))
    assert target.run_as(CASE, OTHER.request) == Trace((), Ending.OK, "said")
    assert wire.requests == [with_flags(OTHER.request, 0)] * 2
    wire.replies = [Reply(Ending.CRASH, None, "log", 0.1, fault=HANG)]
    target.run_as(CASE, OTHER.request)
    (incident,) = target.incidents()
    assert (incident.case, incident.preceding) == (CASE, (Ran(CASE),))


def test_of_what_ran_before_the_latest_count() -> None:
    target, wire = leg()
    for case in (*[CASE] * 9, *[OTHER] * (HISTORY - 1)):
        target.run(case)
    wire.replies = [Reply(Ending.CRASH, None, "log", 0.1, fault=HANG)]
    target.run(CASE)
    (incident,) = target.incidents()
    assert incident.preceding == (Ran(OTHER),) * (HISTORY - 1)


@pytest.mark.parametrize("losses", [1, LOST_TRIES - 1])
def test_a_case_that_was_lost_runs_again(losses: int) -> None:
    target, wire = leg(*[Reply(Ending.LOST, None, "", 0.1)] * losses)
    assert target.run(CASE).ending is Ending.OK
    assert (target.restarts, target.executions, len(wire.requests)) == (losses, 1, losses + 1)
    assert target.incidents() == []


def test_a_case_that_is_lost_five_times_is_at_fault() -> None:
    target, wire = leg(*[Reply(Ending.LOST, None, "its log", 0.1)] * 9)
    trace = target.run(CASE)
    assert (trace.ending, trace.log) == (Ending.CRASH, "lost again and again\nits log")
    assert trace.fault == Fault(FaultKind.CRASH, line="lost again and again")
    assert len(wire.requests) == LOST_TRIES == 5
    assert target.restarts == LOST_TRIES


def test_a_shared_case_that_was_lost_is_shared_again() -> None:
    target, wire = leg(Reply(Ending.LOST, None, "", 0.1), shares=True)
    target.collect(target.submit_shared(CASE))
    assert wire.requests == [with_flags(CASE.request, FLAG_REUSE_VM)] * 2


@pytest.mark.parametrize("ending", [Ending.OK, Ending.HOST_LOG])
def test_an_answer_that_cannot_be_read_is_a_crash(ending: Ending) -> None:
    target, _ = leg(
        Reply(ending, b"junk", "its log", 0.1, fault=HANG if ending is Ending.HOST_LOG else None)
    )
    trace = target.run(CASE)
    (incident,) = target.incidents()
    assert (incident.case, incident.fault) == (CASE, trace.fault)
    if ending is Ending.OK:
        assert trace.ending is Ending.CRASH
        assert trace.fault
        assert trace.fault.kind is FaultKind.CRASH
        assert trace.log == f"{trace.fault.line}\nits log"
    else:
        assert (trace.ending, trace.fault, trace.log) == (ending, HANG, "its log")
    assert target.restarts == 0


def test_restart_and_close_reach_the_transport() -> None:
    target, wire = leg()
    target.restart()
    with target as same:
        assert same is target
    assert (wire.restarted, wire.closed) == (1, 1)


def test_a_leg_without_state_has_nothing_to_do() -> None:
    with ModelTarget(Profile()) as plain:
        assert plain.incidents() == ()
        plain.restart()
        assert (plain.depth, plain.boots, plain.boot_seconds, plain.code) == (1, 0, 0.0, None)
        assert (plain.executions, plain.restarts, plain.no_coverage, list(plain.blocks)) == (
            0,
            0,
            "",
            [],
        )
        assert plain.collect(plain.submit_shared(CASE)) == plain.run(CASE)


def test_a_fingerprint_changes_with_anything_in_it() -> None:
    base = {"a": "1", "b": "2"}
    assert fingerprint_hash(base) == fingerprint_hash({"b": "2", "a": "1"})
    others = ({"a": "1"}, {"a": "1", "b": "3"}, {"a": "1", "c": "2"}, {"a": "2", "b": "1"})
    assert len({fingerprint_hash(one) for one in (base, *others)}) == 5
    assert len(fingerprint_hash(base)) == 12


# -- kinds -----------------------------------------------------------------------------------


def test_the_kinds_of_legs() -> None:
    assert list(KINDS) == ["kvm", "emulator", "mutant", "model"]
    assert [kind.turn for kind in KINDS.values()] == [0, 1, 2, 3]
    flags = {name: (k.own, k.lends, k.reference, k.kernel) for name, k in KINDS.items()}
    assert flags == {
        "kvm": (True, True, False, True),
        "emulator": (True, False, False, False),
        "mutant": (False, True, False, False),
        "model": (False, False, True, False),
    }
    assert all(name == kind.name for name, kind in KINDS.items())


def test_the_model_imitates_the_first_machine_that_is_lent() -> None:
    model, mutant = open_legs(["model", "mutant:finalize-twice"])
    assert [leg.name for leg in (model, mutant)] == ["model", "mutant:finalize-twice"]
    assert model.profile == mutant.profile


# -- sets ------------------------------------------------------------------------------------


def test_one_value_or_some_bits() -> None:
    assert exact(5) == ((5, 0),)
    assert unknown(0b1111, 0b0110) == ((0b1001, 0b0110),)


def test_a_union_keeps_its_order_and_collapses_when_it_grows() -> None:
    assert sets.either([(3, 0), (1, 0), (3, 0)]) == ((3, 0), (1, 0))
    before = sets.collapses
    assert (
        len(sets.either([(n, 0) for n in range(sets.MAX_CANDIDATES)])) == sets.MAX_CANDIDATES == 6
    )
    assert sets.collapses == before
    for times in (1, 2):
        assert sets.either([(n, 0) for n in range(7)]) == ((0, 7),)
        assert sets.collapses == before + times


def test_a_process_that_begins_has_collapsed_nothing() -> None:
    spec = importlib.util.find_spec("targets.spec.sets")
    assert spec
    assert spec.loader
    anew = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(anew)
    assert anew.collapses == 0


def test_joining_makes_unknown_what_differs_and_counts_nothing() -> None:
    before = sets.collapses
    assert sets.join(((0b1100, 0), (0b1010, 0))) == (0b1000, 0b0110)
    assert sets.join(((0b1100, 0b1), (0b1100, 0b10))) == (0b1100, 0b11)
    assert sets.join(((7, 0),)) == (7, 0)
    assert sets.collapses == before


@pytest.mark.parametrize(
    ("candidates", "bits", "expected"),
    [
        (((0xFF, 0),), 8, ((0xFF, 0),)),
        (((0x1FF, 0),), 8, ((0x1FF, 0), (0xFF, 0))),
        (((0xFF, 0x100),), 8, ((0xFF, 0x100), (0xFF, 0))),
        (((0x1FF, 0x200),), 8, ((0x1FF, 0x200), (0xFF, 0))),
        (((0x1FF, 1),), 8, ((0x1FF, 1), (0xFF, 1))),
        (((0x1FF, 0), (0xFF, 0)), 8, ((0x1FF, 0), (0xFF, 0))),
        (((0x1FF, 0), (0x2EE, 0)), 8, ((0x1FF, 0), (0xFF, 0), (0x2EE, 0), (0xEE, 0))),
    ],
)
def test_what_lies_above_is_kept_or_all_of_it_cleared(
    candidates: sets.Set, bits: int, expected: sets.Set
) -> None:
    assert sets.keep_or_clear_above(candidates, bits) == expected


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (((0xFF, 0),), ((0x12, 0),)),
        (((0xFF, 0xF0),), ((0x12, 0),)),
        (((0x1FF, 0),), ((0x112, 0), (0x12, 0))),
        (((0xFF, 0x300),), ((0x12, 0x300), (0x12, 0))),
        (((0x1FF, 0), (0xFF, 0)), ((0x112, 0), (0x12, 0))),
        (((0xFF, 0), (0x1FF, 0)), ((0x12, 0), (0x112, 0))),
        (((0x0FF, 0), (0xEE, 0)), ((0x12, 0),)),
    ],
)
def test_a_write_keeps_or_clears_what_lies_above(candidates: sets.Set, expected: sets.Set) -> None:
    assert sets.write_low(candidates, 8, 0x12) == expected
    masked = sets.write_low(candidates, 8, 0x10, 0x0F)
    assert [m & 0xFF for _, m in masked] == [0x0F] * len(masked)
    assert [v & 0xFF for v, _ in masked] == [0x10] * len(masked)


def test_a_reader_of_low_bits_sees_one_candidate() -> None:
    assert sets.low(((0x1FF, 0xE00),), 8) == (0xFF, 0)
    assert sets.low(((0x1F0, 0x20F),), 8) == (0xF0, 0x0F)
    assert sets.low(((0x1FF, 0), (0xFF, 0)), 8) == (0xFF, 0)
    assert sets.low(((0x1FF, 0), (0xFE, 0)), 8) == (0xFE, 1)


def test_narrowing_takes_the_first_that_permits() -> None:
    candidates = ((0x10, 0x0F), (0x12, 0), (0x30, 0))
    assert sets.narrow(candidates, 0x12) == 0
    assert sets.narrow(candidates, 0x30) == 2
    assert sets.narrow(candidates, 0x20) is None


def test_a_scripted_leg_answers_as_told() -> None:
    assert Scripted("kvm:a", lambda c, t: Trace((Observation(t),))).run(CASE).observations == (
        Observation(0),
    )
