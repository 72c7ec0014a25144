"""A worker runs stored findings again, in a little of its time, and the campaign tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scripted import Scripted, sound

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.text import parse_case
from corpus.trace import Observation, Trace
from db.records import FindingRecord, FindingView, LegRecord, RetestRecord, SignatureRecord, Status
from db.store import Store
from fuzz.campaign.campaign import Campaign
from fuzz.campaign.due import due_findings
from fuzz.campaign.ledger import Ledger
from fuzz.campaign.options import CampaignOptions
from fuzz.worker import events, travel
from fuzz.worker.session import Session
from fuzz.worker.spare import AGAIN_S, BREAKS_S, SHARE, Due, Spare
from targets.base import Incident
from targets.legs import open_legs

CASE = parse_case("create v0\ninit v0\nfinalize v0\nfinalize v0\n")
HANG = Fault(FaultKind.HANG, "g", True)
LEG = LegRecord("model:zero", "model", {"leg": "model:zero"})


def record(leg: str, rule: str = "finalize.twice") -> FindingRecord:
    return FindingRecord(
        signature=SignatureRecord("conformance", "finalize", rule, "op:EPERM->success", "-", leg),
        minimal=CASE,
        original=CASE,
        strict=True,
        op_index=3,
        expected="EPERM",
        observed="success",
        explanation="it was wrong once",
        reproduced=(3, 3),
        deviating=(leg,),
        traces={leg: Trace((Observation(0),) * 4)},
        culprit=rule,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/t.db")


def stored(store: Store, *leg: LegRecord) -> FindingView:
    campaign = store.begin_campaign(1, leg, {})
    return store.finding(store.add_finding(campaign, record(leg[0].name)).finding_id)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Told:
    """What a `Spare` ran, each run taking `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.clock, self.seconds = Clock(), seconds
        self.ran: list[int] = []

    def run(self, due: Due) -> Sequence[RetestRecord]:
        self.clock.now += self.seconds
        return [RetestRecord(leg, 0, 3) for leg in due.legs]

    def tell(self, finding: int, records: Sequence[RetestRecord]) -> None:
        self.ran.append(finding)


def spare_of(told: Told, due: Sequence[Due], deadline: float = 1e9) -> Spare:
    return Spare(due, told.run, told.tell, deadline, told.clock)


def test_a_share_of_the_time_is_not_exceeded(store: Store) -> None:
    finding = stored(store, LEG)
    told = Told(seconds=1.0)
    spare = spare_of(told, [Due(replace(finding, id=n), ("kvm",)) for n in range(100)])
    while told.clock.now < 400:
        spare.turn()
        told.clock.now += 0.1
    assert told.ran == sorted(set(told.ran))
    assert 400 * SHARE * 0.8 <= len(told.ran) * told.seconds <= 400 * SHARE + told.seconds


def test_a_turn_comes_again_after_a_rest(store: Store) -> None:
    told = Told(seconds=0.0)
    spare = spare_of(told, [Due(stored(store, LEG), ("kvm",))])
    for moment, runs in ((0, 1), (AGAIN_S / 2, 1), (AGAIN_S, 2), (AGAIN_S + 1, 2)):
        told.clock.now = moment
        spare.turn()
        assert len(told.ran) == runs


def test_what_breaks_machines_is_not_begun_near_the_end(store: Store) -> None:
    breaks = replace(stored(store, LEG), oracle="ending")
    for left, runs in ((BREAKS_S + 1, 1), (BREAKS_S - 1, 0)):
        told = Told(seconds=0.0)
        spare_of(told, [Due(breaks, ("kvm",))], deadline=left).turn()
        assert len(told.ran) == runs


def test_what_no_leg_here_can_run_is_not_told(store: Store) -> None:
    told = Told(seconds=0.0)
    spare_of(told, [Due(stored(store, LEG), ())]).turn()
    assert told.ran == []


def test_what_is_due_travels(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "due"
    due = [Due(stored(store, LEG), ("kvm:a", "model"))]
    travel.write_due(path, due)
    assert travel.read_due(str(path)) == due
    assert travel.read_due("") == []
    assert travel.UNCONFIRMED == "unconfirmed", "as databases have it"


def test_a_session_runs_it_on_the_legs_that_it_has(store: Store) -> None:
    legs = open_legs(["mutant:finalize-twice", "model"])
    session = Session(legs, None, *(lambda _: None,) * 3)
    due = Due(stored(store, LEG), ("mutant:finalize-twice", "kvm:6.12:vhe"))
    ((again),) = session.run_again(due)
    assert (again.name, again.seen, again.tried) == ("mutant:finalize-twice", 3, 3)
    assert session.run_again(replace(due, legs=("kvm:6.12:vhe",))) == []


def test_what_breaks_when_it_is_run_again_is_part_of_an_investigation(store: Store) -> None:
    def script(case: Case, turn: int) -> Trace:
        leg.told = [Incident(HANG, f"log {turn}", case)]
        return sound(case)

    leg = Scripted("kvm:a", script)
    told: list[tuple[str, bool]] = []
    session = Session(
        *([leg], None, *(lambda _: None,) * 3),
        incident=lambda name, incident, investigating: told.append((incident.log, investigating)),
    )
    leg.told = [Incident(HANG, "before")]
    session.run_again(Due(stored(store, LEG), ("kvm:a",)))
    assert told == [("before", False), ("log 2", True)]
    assert leg.told == []


def test_what_was_begun_is_waited_for_before_anything_is_run_again(store: Store) -> None:
    ended: list[int] = []

    def script(case: Case, turn: int) -> Trace:
        ended.append(turn)
        return sound(case)

    leg = Scripted("kvm:a", script)
    leg.depth = 3
    session = Session([leg], None, *(lambda _: None,) * 3)
    session.runner.begin(b"", CASE)
    session.run_again(Due(stored(store, LEG), ("kvm:a",)))
    assert ended == [0, 1, 2, 3]


def test_due_is_what_is_open_with_the_legs_on_which_it_shows(store: Store, tmp_path: Path) -> None:
    finding = stored(store, LEG)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    (due,) = due_findings(store, soon)
    assert (due.finding, due.legs) == (finding, ("model:zero",))
    travel.write_due(tmp_path / "due", [due])
    assert travel.read_due(str(tmp_path / "due")) == [due]
    assert travel.read_due("") == []
    store.set_status(finding.bucket_id, Status.WONTFIX)
    assert due_findings(store, soon) == []


def test_the_books_tell_what_is_fixed_and_what_returned(store: Store) -> None:
    finding = stored(store, LEG)
    campaign = store.begin_campaign(2, [LEG], {})
    said: list[str] = []
    ledger = Ledger(store, said.append)
    passed = [RetestRecord(LEG.name, 0, 3, leg=LEG)]
    ledger.retested(campaign, travel.retested(finding.id, passed))
    assert (ledger.reruns.buckets, ledger.reruns.fixed) == (1, (finding.bucket_id,))
    assert ledger.totals()["retests"] == {"buckets": 1, "fixed": [f"B{finding.bucket_id}"]}
    assert store.retests(finding.bucket_id)[0].campaign_id == campaign
    ledger.retested(campaign, travel.retested(finding.id, [replace(passed[0], seen=3)]))
    assert (ledger.reruns.fixed, ledger.new_buckets) == ((), 1)
    assert [bucket.new for bucket in ledger.buckets] == [True]
    assert any("RETURNED" in line for line in said)


def test_the_books_tell_what_is_probably_the_same(store: Store) -> None:
    campaign = store.begin_campaign(1, [LEG], {})
    one, other = record(LEG.name), record(LEG.name, "finalize.no-sve")
    ledger = Ledger(store, lambda _: None)
    ledger.legs[LEG.name] = LEG
    for found in (one, other):
        ledger.found(campaign, travel.found(found))
    told = events.Akin(one.signature.parts, other.signature.parts, "because")
    ledger.akin(campaign, told)  # whichever is named first, the later one is said to be the same
    assert [bucket.same_as for bucket in ledger.buckets] == [0, 1]
    ((kin),) = store.proposals()
    assert (kin.bucket_id, kin.other_id, kin.reason) == (2, 1, "because")
    assert kin.source == f"campaign {campaign}"
    ledger.akin(campaign, events.Akin(one.signature.parts, one.signature.parts, "of course"))
    assert len(store.proposals()) == 1


@pytest.mark.long
def test_a_campaign_finds_out_what_was_fixed(store: Store) -> None:
    finding = stored(store, LEG)
    options = CampaignOptions(("model", "model:zero"), seconds=60, cases=30, seed=1)
    campaign = Campaign(options, store, lambda _: None)
    status = campaign.run()
    assert status.reruns.fixed == (finding.bucket_id,)
    assert store.bucket(finding.bucket_id).status is Status.FIXED
    assert campaign.summary()["retests"] == {"buckets": 1, "fixed": [f"B{finding.bucket_id}"]}
