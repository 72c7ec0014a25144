"""Which cases a fault needs, and that nothing that breaks is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from fake_executor import FakeExecutor, in_turn

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import parse_case
from corpus.trace import Ending, Trace
from db.records import LegRecord
from db.store import Store
from fuzz.campaign.ledger import Ledger
from fuzz.followup.inquest import inquire, shortest_suffix
from fuzz.followup.suspicion import runs_of
from fuzz.worker import events
from fuzz.worker.travel import broke
from targets.base import HISTORY, LOST_TRIES, Incident, Ran, Target, WireTarget
from targets.kvm.lab import kernellog
from targets.profile import Profile
from targets.transport import Loss

PANIC = """\
[    3.4] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
[    3.4] Call trace:
[    3.4]  panic+0x164/0x378
[    3.4]  do_exit+0xa2c/0xa38
"""
KILLED = Fault(FaultKind.LOST, "killed by SIGKILL", line="lab: QEMU was killed by SIGKILL")
CASES = [parse_case("create v0\n" * (n + 1)) for n in range(9)]


class Fragile(Target):
    """A leg that panics in the place `why` of a run of cases tells, if it tells one."""

    name, kind, profile = "kvm:fragile", "kvm", Profile()
    fingerprint: Mapping[str, str] = {}

    def __init__(self, needs: Sequence[Case], place: str = "f") -> None:
        self.needs, self.place = tuple(needs), place
        self.ran: list[Case] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1
        self.ran.clear()

    def submit(self, case: Case) -> int:
        self.ran.append(case)
        return 1

    def collect(self, ticket: int) -> Trace:
        if tuple(self.ran[-len(self.needs) :]) == self.needs:
            return broken(self.place)
        return Trace(())


def broken(place: str) -> Trace:
    log = f"Internal error: Oops\npc : {place}+0x0/0x8\n"
    return Trace((), Ending.CRASH, log, fault=kernellog.find(log))


def earlier(cases: Sequence[Case]) -> tuple[Ran, ...]:
    return tuple(map(Ran, cases))


def test_a_fault_of_one_case_needs_no_others() -> None:
    leg = Fragile(CASES[8:])
    found = inquire(leg, CASES[8], broken("f"), earlier(CASES[:8]))
    assert (found.seen, found.tried, found.preceding) == (3, 3, ())
    assert leg.restarts == 3


@pytest.mark.parametrize("needed", range(1, 9))
def test_the_shortest_run_before_a_fault_is_found(needed: int) -> None:
    leg = Fragile(CASES[8 - needed :])
    found = inquire(leg, CASES[8], broken("f"), earlier(CASES[:8]))
    assert found.preceding == earlier(CASES[8 - needed : 8])
    assert (found.seen, found.tried) == (3, 3)
    assert leg.restarts <= 3 + 1 + 3 + 2


def test_another_fault_does_not_count() -> None:
    found = inquire(Fragile(CASES[8:], "g"), CASES[8], broken("f"), earlier(CASES[:8]))
    assert (found.seen, found.tried) == (0, 5)
    assert found.preceding == earlier(CASES[:8])
    assert "f+0x0" in found.trace.log


def test_the_latest_trace_that_shows_a_fault_is_kept() -> None:
    found = inquire(Fragile(CASES[8:]), CASES[8], replace(broken("f"), log="before"), ())
    assert found.trace == broken("f")


def test_what_needs_a_strangers_luck_is_tried_until_it_showed_often_enough() -> None:
    case = parse_case("disturb signal {\nrun v0 {\nnop\n}\n}\n")
    found = inquire(Fragile([case]), case, broken("f"), ())
    assert (found.seen, found.tried) == (3, 3)
    found = inquire(Fragile([case], "g"), case, broken("f"), ())
    assert (found.seen, found.tried) == (0, 3 * runs_of(case))


def test_time_is_bounded() -> None:
    leg = Fragile(CASES[:1] * 20)
    found = inquire(leg, CASES[8], broken("f"), earlier(CASES[:8]), seconds=0)
    assert (found.seen, found.tried) == (0, 2)


def test_an_end_that_nothing_shortens_stays_whole() -> None:
    sequence = earlier(CASES)
    assert shortest_suffix(sequence, lambda part: len(part) == len(sequence)) == sequence
    assert shortest_suffix(sequence, lambda _: True) == sequence[-1:]


EMPTY = b"VFT1" + (16).to_bytes(4, "little") + bytes(8)


def scripted(*endings: Ending) -> FakeExecutor:
    """An executor whose cases end so, one after the other; well after that."""
    return FakeExecutor(in_turn(endings, EMPTY, PANIC, kernellog.find(PANIC)))


def test_a_lost_case_runs_again_and_is_no_fault() -> None:
    leg = WireTarget("kvm:x", "kvm", scripted(Ending.LOST, Ending.LOST))
    assert leg.run(CASES[0]).ending is Ending.OK
    assert (leg.restarts, leg.executions) == (2, 1)
    lost = Loss.told("it was lost")
    assert leg.incidents() == [Incident(lost.fault, lost.log)] * 2
    assert leg.incidents() == []


def test_a_case_that_is_lost_again_and_again_is_at_fault() -> None:
    leg = WireTarget("kvm:x", "kvm", scripted(*[Ending.LOST] * 99))
    trace = leg.run(CASES[0])
    assert trace.ending is Ending.CRASH
    assert trace.fault == Fault(FaultKind.CRASH, line="lost again and again")
    assert leg.restarts == LOST_TRIES
    *losses, incident = leg.incidents()
    assert [loss.case for loss in losses] == [None] * LOST_TRIES
    assert incident.case == CASES[0]


def test_what_ran_before_a_fault_is_remembered_since_the_boot() -> None:
    script = [*[Ending.OK] * 2, Ending.CRASH, *[Ending.OK] * 3, Ending.HANG]
    leg = WireTarget("kvm:x", "kvm", scripted(*script))
    for case in CASES[:7]:
        leg.run(case)
    first, second = leg.incidents()
    assert (first.case, first.fault) == (CASES[2], kernellog.find(PANIC))
    assert first.preceding == earlier(CASES[:2])
    assert (second.case, second.fault) == (CASES[6], kernellog.find(PANIC))
    assert second.preceding == earlier(CASES[3:6])


def test_only_so_much_is_remembered() -> None:
    leg = WireTarget("kvm:x", "kvm", scripted(*[Ending.OK] * 200, Ending.CRASH))
    for _ in range(201):
        leg.run(CASES[0])
    (incident,) = leg.incidents()
    assert len(incident.preceding) == HISTORY - 1


def test_the_books_tell_what_broke_and_how_long_it_took() -> None:
    said: list[str] = []
    with Store.open("sqlite://") as store:
        campaign = store.begin_campaign(1, [LegRecord("kvm:x", "kvm")], {})
        ledger = Ledger(store, said.append)
        lost = Incident(KILLED, "lab: QEMU was killed by SIGKILL\n")
        ledger.broke(campaign, broke("kvm:x", lost, False))
        fault = kernellog.find(PANIC)
        assert fault
        panic = Incident(fault, "boots\n" + PANIC, CASES[0])
        ledger.broke(campaign, broke("kvm:x", panic, False))
        ledger.broke(campaign, broke("kvm:x", panic, True))
        for seconds in (1.0, 3.0):
            ledger.restarted(events.Restarted("kvm:x", seconds))
        stored = store.incidents()
    assert [(i.kind, i.place, i.investigating) for i in stored] == [
        ("lost", "killed by SIGKILL", False),
        ("panic", "do_exit", False),
        ("panic", "do_exit", True),
    ]
    assert stored[1].log.startswith("[    3.4] Kernel panic")
    assert stored[1].case_id == CASES[0].id
    assert ledger.incidents == {"lost": 1, "panic": 1}
    assert ledger.new_buckets == 0
    assert (ledger.restarts_of("kvm:x"), ledger.restarts_of("model")) == (2, 0)
    assert ledger.totals() == {
        "incidents": {"kvm:x": {"lost": 1, "panic": 1, "panic, investigating": 1}},
        "machine_restarts": {"kvm:x": {"times": 2, "median_seconds": 2.0, "longest_seconds": 3.0}},
        "retests": {"buckets": 0, "fixed": []},
    }
    assert "kvm:x: restarted in 3.0 s" in said
    assert any("killed by SIGKILL" in line for line in said)
