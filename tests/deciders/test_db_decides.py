"""What the database decides: buckets and their statuses, votes and suspects, retests and mutes.

On tables made directly in memory: what migrations do is tested elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from corpus.text import format_case, parse_case
from corpus.trace import Observation, Trace
from db import lifecycle, mutes, retests, sightings
from db import records as r
from db import schema as s
from db.edits import now
from db.suspects import OF, Suspect, Suspicion, suspect

SIGNATURE = r.SignatureRecord("conformance", "get", "sve.z", "z", "guest<vcpu", "every kvm")
SMALL, LONG, EARLIER = (parse_case("create v0\n" * n) for n in (1, 2, 3))
KVM = r.LegRecord("kvm:6.12:vhe", "kvm", {"release": "6.12.9", "mode": "vhe"})
OLD = r.LegRecord("kvm:6.1:vhe", "kvm", {"release": "6.1.5", "mode": "vhe"})
MODEL = r.LegRecord("model", "model")
RECORD = r.FindingRecord(
    signature=SIGNATURE,
    minimal=SMALL,
    original=LONG,
    strict=False,
    op_index=0,
    expected="0x0",
    observed="0x1",
    explanation="z3 is wrong",
    reproduced=(2, 3),
    deviating=(KVM.name,),
    traces={KVM.name: Trace((Observation(1),)), "model": Trace((Observation(0),))},
    preceding=(r.Earlier(EARLIER, True), r.Earlier(LONG, False)),
)


@pytest.fixture
def db() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    s.Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def campaign(db: Session) -> s.Campaign:
    made = s.Campaign(
        started=now(),
        seed="1",
        options={},
        statistics={},
        reason="",
        beat=None,
        legs=[sightings.leg_row(db, leg) for leg in (KVM, OLD, MODEL)],
    )
    db.add(made)
    db.flush()
    return made


def bucket(db: Session, number: int = 1) -> s.Bucket:
    found = db.get(s.Bucket, number)
    assert found
    return found


def votes(db: Session, number: int = 1) -> dict[str, tuple[int, int, int]]:
    rows = lifecycle.votes_of(db, number)
    return {name: (vote.deviated, vote.agreed, vote.passes) for name, vote in rows.items()}


# -- seen ------------------------------------------------------------------------------------


def test_a_row_is_fetched_or_named() -> None:
    assert sightings.KEEP_TRACES == 5
    assert retests.ENOUGH == 3


def test_what_is_not_there_is_named(db: Session) -> None:
    with pytest.raises(r.NotFound, match="there is no bucket 7"):
        sightings.fetch(db, s.Bucket, 7, "bucket")


def test_a_leg_is_one_row_for_each_fingerprint(db: Session) -> None:
    first = sightings.leg_row(db, KVM)
    assert sightings.leg_row(db, KVM).id == first.id
    other = sightings.leg_row(db, replace(KVM, fingerprint={"release": "7.2"}))
    named = sightings.leg_row(db, replace(KVM, name="kvm:x"))
    assert len({first.id, other.id, named.id}) == 3
    assert (first.name, first.kind, first.fingerprint) == (KVM.name, "kvm", KVM.fingerprint)
    assert first.digest == KVM.digest


def test_a_case_is_one_row(db: Session) -> None:
    row = sightings.case_row(db, SMALL)
    assert (row.id, row.encoded, row.text) == (SMALL.id, SMALL.encoded, format_case(SMALL))
    assert sightings.case_row(db, SMALL) is row
    assert db.scalars(select(s.CaseRow.id)).all() == [SMALL.id]


def test_a_smaller_case_is_no_sighting_but_of_another_bucket(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, minimal=LONG))
    finding = sightings.fetch(db, s.Finding, 1, "finding")
    before = bucket(db).count, bucket(db).attempts, votes(db)
    sightings.store_smaller(db, finding, RECORD)
    assert (bucket(db).count, bucket(db).attempts, votes(db)) == before
    rows = db.scalars(select(s.Finding).order_by(s.Finding.id)).all()
    assert [(row.campaign_id, row.bucket_id, row.minimal_id) for row in rows] == [
        (campaign.id, 1, LONG.id),
        (campaign.id, 1, SMALL.id),
    ]
    moved = replace(RECORD, signature=replace(SIGNATURE, rule="sve.p"))
    for count in (1, 2):
        sightings.store_smaller(db, finding, moved)
        assert (bucket(db, 2).count, bucket(db).count) == (count, 1)
    assert db.scalars(select(s.Finding.bucket_id).order_by(s.Finding.id)).all() == [1, 1, 2, 2]


def test_a_finding_makes_its_bucket(db: Session, campaign: s.Campaign) -> None:
    before = now()
    stored = sightings.store_finding(db, campaign, RECORD)
    assert stored == r.StoredFinding(1, 1, True, False, r.Status.NEW, False)
    made = bucket(db)
    assert (made.count, made.reproduced, made.attempts, made.strict) == (1, 2, 3, False)
    assert (made.status, made.title, made.explanation) == ("new", SIGNATURE.title, "z3 is wrong")
    parts = (made.oracle, made.op_kind, made.rule, made.register_class, made.vl_relation, made.legs)
    assert parts == SIGNATURE.parts
    assert (made.signature, made.digest) == (SIGNATURE.text, SIGNATURE.digest)
    assert made.duplicate_of is None
    assert made.last_seen >= made.first_seen
    assert sightings.bucket_of(db, SIGNATURE) is made
    assert sightings.bucket_of(db, replace(SIGNATURE, rule="sve.p")) is None
    found = db.get(s.Finding, 1)
    assert found
    assert (found.minimal_id, found.original_id) == (SMALL.id, LONG.id)
    assert (found.campaign_id, found.bucket_id, found.strict) == (campaign.id, 1, False)
    assert (found.oracle, found.rule, found.op_index) == ("conformance", "sve.z", 0)
    assert (found.expected, found.observed) == ("0x0", "0x1")
    assert (found.explanation, found.reproduced, found.attempts) == ("z3 is wrong", 2, 3)
    assert (found.deviating, found.signature) == ([KVM.name], SIGNATURE.digest)
    assert (found.culprit, found.gone) == ("sve.z", False)
    assert found.created.replace(tzinfo=before.tzinfo) >= before
    assert [(one.position, one.case_id, one.shared) for one in found.preceding] == [
        *((0, EARLIER.id, True), (1, LONG.id, False)),
    ]
    assert {row.leg.name: row.case_id for row in found.traces} == {
        **{KVM.name: SMALL.id, "model": SMALL.id},
    }
    assert set(db.scalars(select(s.CaseRow.id))) == {SMALL.id, LONG.id, EARLIER.id}
    other = parse_case("create v1\n")
    sightings.store_finding(db, campaign, replace(RECORD, original=other, preceding=()))
    assert db.get(s.CaseRow, other.id)


def test_votes_are_entered_by_name(db: Session, campaign: s.Campaign) -> None:
    legs = [f"kvm:{name}" for name in "hgfedcba"]
    traces = {leg: Trace((Observation(1),)) for leg in legs}
    sightings.store_finding(
        db, campaign, replace(RECORD, traces=traces, deviating=("kvm:a", "kvm:i"))
    )
    entered = db.scalars(select(s.Vote.name).order_by(s.Vote.id)).all()
    assert entered == [f"kvm:{name}" for name in "abcdefghi"]


def test_later_findings_are_counted_in_the_same_bucket(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    again = replace(RECORD, strict=True, reproduced=(3, 3), culprit="isa.x")
    stored = sightings.store_finding(db, campaign, again)
    assert (stored.finding_id, stored.bucket_id, stored.new_bucket) == (2, 1, False)
    made = bucket(db)
    assert (made.count, made.reproduced, made.attempts, made.strict) == (2, 5, 6, True)
    sightings.store_finding(db, campaign, RECORD)
    assert bucket(db).strict  # once strict, always
    assert votes(db) == {KVM.name: (3, 0, 0), "model": (0, 3, 0)}
    second = db.get(s.Finding, 2)
    assert second
    assert second.culprit == "isa.x"


def test_traces_are_kept_of_the_first_five(db: Session, campaign: s.Campaign) -> None:
    for _ in range(7):
        sightings.store_finding(db, campaign, RECORD)
    kept = [bool(one.traces) for one in db.scalars(select(s.Finding).order_by(s.Finding.id))]
    assert kept == [True] * 5 + [False] * 2
    other = replace(RECORD, signature=replace(SIGNATURE, rule="sve.p"))
    stored = sightings.store_finding(db, campaign, other)
    last = db.get(s.Finding, stored.finding_id)
    assert last
    assert last.traces


def test_a_leg_that_joined_late_is_noted_by_its_name(db: Session, campaign: s.Campaign) -> None:
    late = {**RECORD.traces, "emulator:keep": Trace(())}
    sightings.store_finding(db, campaign, replace(RECORD, traces=late))
    (leg,) = [leg for leg in campaign.legs if leg.name == "emulator:keep"]
    assert (leg.kind, leg.fingerprint) == ("emulator", {})
    assert len(campaign.legs) == 4


def test_who_deviates_without_a_trace_votes_too(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, deviating=(KVM.name, "kvm:gone")))
    assert votes(db) == {KVM.name: (1, 0, 0), "kvm:gone": (1, 0, 0), "model": (0, 1, 0)}
    rows = lifecycle.votes_of(db, 1)
    assert rows["kvm:gone"].leg_id is None
    assert rows[KVM.name].leg_id == sightings.leg_row(db, KVM).id


def test_deviating_once_more_ends_a_row_of_passes(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    for vote in lifecycle.votes_of(db, 1).values():
        vote.passes = 2
    sightings.store_finding(db, campaign, RECORD)
    assert votes(db) == {KVM.name: (2, 0, 0), "model": (0, 2, 2)}


def test_the_suspect_follows_from_all_votes_together(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    assert bucket(db).suspect == "kernel"
    emulated = {"emulator:keep": Trace(()), "model": Trace(())}
    other = replace(RECORD, deviating=("emulator:keep",), traces=emulated)
    sightings.store_finding(db, campaign, other)
    assert bucket(db).suspect == "model"  # all implementations are wrong, none is right
    sightings.store_finding(db, campaign, replace(RECORD, suspect="lab CPU"))
    assert bucket(db).suspect == "lab CPU"


def _campaign_of(db: Session, *legs: r.LegRecord) -> s.Campaign:
    made = s.Campaign(started=now(), seed="1", options={}, statistics={}, reason="", beat=None)
    made.legs = [sightings.leg_row(db, leg) for leg in legs]
    db.add(made)
    db.flush()
    return made


def test_the_suspect_goes_by_what_legs_are(db: Session) -> None:
    named = {name: Trace((Observation(0),)) for name in ("board", "other")}
    record = replace(RECORD, traces=named, deviating=("board",))
    print_ = {"release": "6.12.9", "lab.kernel_sha256": "ab"}
    boards = [
        r.LegRecord(name, "kvm", {**print_, "mode": mode})
        for name, mode in (("board", "nvhe"), ("other", "vhe"))
    ]
    sightings.store_finding(db, _campaign_of(db, *boards), record)
    assert bucket(db).suspect == Suspect.MODE
    other = replace(record, signature=replace(SIGNATURE, rule="sve.p"))
    alone = r.LegRecord("board", "emulator")
    sightings.store_finding(db, _campaign_of(db, alone, boards[1]), other)
    assert bucket(db, 2).suspect == Suspect.EMULATOR


def test_a_vote_is_of_the_leg_that_was_seen_last(db: Session) -> None:
    newer = replace(KVM, fingerprint={"release": "7.2"})
    for leg in (KVM, newer):
        sightings.store_finding(db, _campaign_of(db, leg, MODEL), RECORD)
    assert lifecycle.votes_of(db, 1)[KVM.name].leg_id == sightings.leg_row(db, newer).id


def test_traces_of_other_buckets_do_not_count(db: Session, campaign: s.Campaign) -> None:
    other = replace(RECORD, signature=replace(SIGNATURE, rule="sve.p"))
    for _ in range(sightings.KEEP_TRACES):
        sightings.store_finding(db, campaign, RECORD)
    found = db.get(s.Finding, sightings.store_finding(db, campaign, other).finding_id)
    assert found
    assert found.traces
    assert sightings._findings_with_traces(db, found.bucket_id) == 1
    assert sightings._findings_with_traces(db, 1) == sightings.KEEP_TRACES


def test_an_incident_is_kept_with_its_case(db: Session, campaign: s.Campaign) -> None:
    record = r.IncidentRecord(KVM.name, "hang", "f" * 900, "log", SMALL, True)
    sightings.store_incident(db, campaign, record)
    sightings.store_incident(db, campaign, replace(record, case=None, investigating=False))
    first, second = db.scalars(select(s.Incident).order_by(s.Incident.id))
    assert (first.leg, first.kind, first.log) == (KVM.name, "hang", "log")
    assert (first.campaign_id, first.case_id, first.investigating) == (campaign.id, SMALL.id, True)
    assert first.place == "f" * len(first.place)
    assert 0 < len(first.place) < 900
    assert (second.case_id, second.investigating) == (None, False)
    assert db.get(s.CaseRow, SMALL.id)


# -- statuses --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", r.Status)
def test_counting_brings_back_only_what_was_fixed(
    db: Session, campaign: s.Campaign, status: r.Status
) -> None:
    sightings.store_finding(db, campaign, RECORD)
    made = bucket(db)
    made.status = status.value
    seen = made.last_seen = now() - timedelta(days=9)
    assert sightings.count(db, made, 5) is (status is r.Status.FIXED)
    assert made.count == 6
    assert made.last_seen > seen
    fixed = status is r.Status.FIXED
    assert made.status == ("new" if fixed else status.value)
    assert (made.returned is not None) is fixed


def test_a_bucket_that_was_emptied_is_new_when_it_is_seen(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, RECORD)
    made = bucket(db)
    made.status, made.duplicate_of = r.Status.DUPLICATE.value, 1
    stored = sightings.store_finding(db, campaign, RECORD)
    assert (stored.new_bucket, stored.status) == (True, r.Status.NEW)
    assert fields(made, "status", "duplicate_of") == ("new", None)


def test_a_bucket_whose_name_is_taken_gets_another(db: Session, campaign: s.Campaign) -> None:
    first = sightings.new_bucket(db, RECORD)
    for row in db.scalars(select(s.Signature)):
        row.digest = "moved"
    db.flush()
    second = sightings.new_bucket(db, RECORD)
    for row in db.scalars(select(s.Signature).where(s.Signature.bucket_id == second.id)):
        row.digest = "moved, too"
    db.flush()
    third = sightings.new_bucket(db, RECORD)
    digest = SIGNATURE.digest
    again = [hashlib.sha256(f"{digest} {n}".encode()).hexdigest() for n in (1, 2)]
    assert [first.digest, second.digest, third.digest] == [digest, *again]
    assert (third.count, third.reproduced, third.attempts) == (0, 0, 0)
    assert (third.owner, third.link, third.fixed_in) == ("", "", "")


def audit(db: Session) -> list[tuple[str, str]]:
    return [(row.action, row.actor) for row in db.scalars(select(s.Audit).order_by(s.Audit.id))]


def test_a_person_moves_a_bucket_to_any_status_but_duplicate(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, RECORD)
    made = bucket(db)
    made.returned = now()
    lifecycle.set_status(db, made, r.Status.FIXED, "ada", fixed_in="6.13")
    assert fields(made, "status", "fixed_in", "returned") == ("fixed", "6.13", None)
    lifecycle.set_status(db, made, r.Status.FIXED, "ada")
    assert made.fixed_in == "6.13"
    lifecycle.set_status(db, made, r.Status.KNOWN, "bob")
    assert (made.status, made.fixed_in) == ("known", "")
    with pytest.raises(r.Refused, match="a duplicate needs the bucket"):
        lifecycle.set_status(db, made, r.Status.DUPLICATE, "ada")
    made.status, made.duplicate_of = "duplicate", 9
    with pytest.raises(r.Refused, match="bucket 1 is part of bucket 9 now"):
        lifecycle.set_status(db, made, r.Status.KNOWN, "ada")
    assert made.status == "duplicate"
    assert audit(db) == [("status", "ada"), ("status", "bob")]


def test_a_fixed_bucket_that_returns_says_since_when(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    made = bucket(db)
    lifecycle.close(db, made, "6.13")
    assert (made.status, made.fixed_in) == ("fixed", "6.13")
    lifecycle.reopen(db, made)
    assert made.status == "new"
    assert made.returned is not None
    assert made.fixed_in == "6.13"
    lifecycle.close(db, made, "6.14")
    assert fields(made, "returned", "fixed_in") == (None, "6.14")
    assert [action for action, _ in audit(db)] == ["auto-fix", "return", "auto-fix"]


def test_what_is_open_can_be_closed_by_retests() -> None:
    assert {r.Status.NEW, r.Status.CONFIRMED, r.Status.KNOWN, r.Status.FLAKY} == r.OPEN


def test_somebody_looks_after_a_bucket(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    made = bucket(db)
    lifecycle.assign(db, made, "ada", owner="bob", link=None)
    lifecycle.assign(db, made, "ada", owner=None, link="https://x")
    assert (made.owner, made.link) == ("bob", "https://x")
    lifecycle.add_note(db, made, "text", "ada")
    (note,) = made.notes
    assert (note.text, note.author, note.withdrawn) == ("text", "ada", False)
    assert [action for action, _ in audit(db)] == ["owner", "link", "note"]


def two(db: Session, campaign: s.Campaign) -> tuple[s.Bucket, s.Bucket]:
    sightings.store_finding(db, campaign, RECORD)
    sightings.store_finding(db, campaign, RECORD)
    other = replace(RECORD, signature=replace(SIGNATURE, rule="sve.p"), strict=True)
    other = replace(other, deviating=("model",), reproduced=(1, 3))
    sightings.store_finding(db, campaign, other)
    return bucket(db, 1), bucket(db, 2)


def test_merging_moves_all_that_a_bucket_holds(db: Session, campaign: s.Campaign) -> None:
    one, other = two(db, campaign)
    one.first_seen, other.first_seen = now() - timedelta(days=1), now() - timedelta(days=5)
    one.last_seen, other.last_seen = now(), now() - timedelta(days=2)
    first, last = other.first_seen, one.last_seen
    lifecycle.merge(db, one, [other], "ada")
    assert (one.count, one.reproduced, one.attempts, one.strict) == (3, 5, 9, True)
    assert (other.count, other.reproduced, other.attempts) == (0, 0, 0)
    assert (other.status, other.duplicate_of) == ("duplicate", 1)
    assert (one.first_seen, one.last_seen) == (first, last)
    assert set(db.scalars(select(s.Finding.bucket_id))) == {1}
    assert sightings.bucket_of(db, replace(SIGNATURE, rule="sve.p")) is one
    assert votes(db, 1) == {KVM.name: (2, 1, 0), "model": (1, 2, 0)}
    assert votes(db, 2) == {KVM.name: (0, 0, 0), "model": (0, 0, 0)}


def test_what_cannot_be_merged_is_refused(db: Session, campaign: s.Campaign) -> None:
    one, other = two(db, campaign)
    with pytest.raises(r.Refused, match="bucket 1 cannot be merged with itself"):
        lifecycle.merge(db, one, [one], "ada")
    lifecycle.merge(db, one, [other], "ada")
    with pytest.raises(r.Refused, match="bucket 2 is part of bucket 1 already"):
        lifecycle.merge(db, one, [other], "ada")
    with pytest.raises(r.Refused, match="bucket 2 is part of bucket 1 already"):
        lifecycle.merge(db, other, [one], "ada")


def test_splitting_moves_findings_with_their_share(db: Session, campaign: s.Campaign) -> None:
    one, other = two(db, campaign)
    made = lifecycle.split(db, one, [2], "", "ada")
    assert (made.id, made.status, made.duplicate_of) == (3, "new", None)
    assert (made.count, made.reproduced, made.attempts) == (1, 2, 3)
    assert (one.count, one.reproduced, one.attempts) == (1, 2, 3)
    assert made.title == SIGNATURE.title
    assert votes(db, 3) == {KVM.name: (1, 0, 0), "model": (0, 1, 0)}
    assert votes(db, 1) == {KVM.name: (1, 0, 0), "model": (0, 1, 0)}
    assert sightings.bucket_of(db, SIGNATURE) is one  # a finding that stays has it, too
    for wrong, why in (([], "no finding is named"), ([1], "nothing would be left of bucket 1")):
        with pytest.raises(r.Refused, match=why):
            lifecycle.split(db, one, wrong, "", "ada")
    with pytest.raises(r.Refused, match="bucket 2 has no finding 1"):
        lifecycle.split(db, other, [1, 3], "", "ada")


def test_a_signature_follows_the_findings_that_have_it(db: Session, campaign: s.Campaign) -> None:
    one, other = two(db, campaign)
    lifecycle.merge(db, one, [other], "ada")
    made = lifecycle.split(db, one, [3], "a title", "ada")
    assert sightings.bucket_of(db, replace(SIGNATURE, rule="sve.p")) is made
    assert sightings.bucket_of(db, SIGNATURE) is one
    assert (made.title, made.rule) == ("a title", "sve.p")


# -- suspects --------------------------------------------------------------------------------

VHE, NVHE, OLDER = "kvm:6.12:vhe", "kvm:6.12:nvhe", "kvm:6.1:vhe"


@pytest.mark.parametrize(
    ("rule", "wrong", "right", "who"),
    [
        ("ending.lost", [VHE], [], Suspect.MACHINE),
        ("sve.z", ["mutant:x"], ["model"], Suspect.MUTANT),
        ("sve.z", ["emulator:keep", "emulator:zero"], [VHE], Suspect.EMULATOR),
        ("sve.z", ["model"], [VHE], Suspect.MODEL),
        ("sve.z", [VHE, "emulator:keep"], ["model"], Suspect.MODEL),
        ("sve.z", [VHE, "emulator:keep"], [], Suspect.MODEL),
        ("sve.z", [VHE, "emulator:keep"], [NVHE], Suspect.UNCLEAR),
        ("sve.z", [VHE, "mutant:x"], ["model"], Suspect.UNCLEAR),
        ("isa.xtn", [VHE, OLDER], ["emulator:keep"], Suspect.CPU),
        ("fpsr.cumulative", [VHE], ["emulator:keep"], Suspect.CPU),
        ("isa.xtn", [VHE], [NVHE], Suspect.MODE),
        ("isa.xtn", ["emulator:keep"], [], Suspect.EMULATOR),
        ("sve.z", [VHE], [NVHE, "emulator:keep"], Suspect.MODE),
        ("sve.z", [VHE, OLDER], [NVHE], Suspect.MODE),
        ("sve.z", [VHE], [OLDER], Suspect.KERNEL),
        ("sve.z", [VHE, NVHE], [OLDER], Suspect.KERNEL),
        ("sve.z", [VHE, "kvm:7.2:nvhe"], [NVHE], Suspect.KERNEL),
        ("sve.z", [VHE], ["kvm:6.1:nvhe"], Suspect.KERNEL),
        ("sve.z", [VHE, OLDER], ["emulator:keep"], Suspect.KERNEL),
        ("sve.z", [], [], Suspect.UNCLEAR),
    ],
)
def test_the_suspect_is_told_by_who_deviates_and_who_agrees(
    rule: str, wrong: list[str], right: list[str], who: Suspect
) -> None:
    assert suspect(Suspicion("conformance", rule, wrong, right)) == who.value


def test_a_leg_is_known_by_its_fingerprint_before_its_name() -> None:
    prints = {
        "kvm:a": {"lab.kernel_sha256": "1", "release": "6.12", "mode": "vhe"},
        "kvm:b": {"lab.kernel_sha256": "1", "release": "7.2", "mode": "nvhe"},
        "kvm:c": {"release": "6.12", "mode": "nvhe"},
    }
    seen = Suspicion("conformance", "sve.z", ["kvm:a"], ["kvm:b"], {"x": "kvm"}, prints)
    assert suspect(seen) == Suspect.MODE.value
    assert suspect(replace(seen, agreeing=["kvm:c"])) == Suspect.KERNEL.value
    assert (seen.kernel("kvm:c"), seen.mode("kvm:c")) == ("6.12", "nvhe")
    assert (seen.kernel("kvm:6.1:vhe"), seen.mode("kvm:6.1:vhe")) == ("6.1", "vhe")
    assert (seen.kernel("kvm:native"), seen.mode("kvm:native")) == ("native", "")
    assert (seen.kind("x"), seen.kind("emulator:keep")) == ("kvm", "emulator")
    assert set(OF) == set(Suspect)


# -- retests ---------------------------------------------------------------------------------


def retest(
    db: Session, *records: r.RetestRecord, enough: int = retests.ENOUGH
) -> tuple[bool, bool, str]:
    done = retests.add(db, bucket(db), 1, records, enough=enough)
    return done.fixed, done.returned, done.status.value


def fields(of: s.Bucket, *names: str) -> tuple[object, ...]:
    """What a type checker does not narrow between two looks."""
    return tuple(getattr(of, name) for name in names)


def passed(
    leg: r.LegRecord = KVM, tried: int = 1, seen: int = 0, judged: bool = True
) -> r.RetestRecord:
    return r.RetestRecord(leg.name, seen, tried, "said", leg, judged)


def test_a_bucket_is_fixed_when_all_that_deviated_passed_often_enough(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, deviating=(KVM.name, OLD.name)))
    assert retest(db, passed(tried=2), passed(OLD, 3)) == (False, False, "new")
    assert retest(db, passed(tried=1)) == (True, False, "fixed")
    made = bucket(db)
    assert made.fixed_in == "6.12.9"
    assert (made.reproduced, made.attempts) == (2, 9)
    assert made.retested is not None
    rows = db.scalars(select(s.Retest).order_by(s.Retest.id)).all()
    assert [(x.leg_name, x.seen, x.tried, x.said) for x in rows] == [
        *((KVM.name, 0, 2, "said"), (OLD.name, 0, 3, "said"), (KVM.name, 0, 1, "said")),
    ]
    assert [x.leg_id for x in rows] == [1, 2, 1]
    assert {(x.bucket_id, x.finding_id, x.campaign_id) for x in rows} == {(1, 1, None)}


@pytest.mark.parametrize(
    ("reproduced", "passes"), [((3, 3), 3), ((2, 3), 3), ((14, 15), 3), ((1, 2), 5), ((3, 15), 14)]
)
def test_what_shows_by_chance_is_to_pass_more_often(
    db: Session, campaign: s.Campaign, reproduced: tuple[int, int], passes: int
) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, reproduced=reproduced))
    assert retest(db, passed(tried=passes - 1))[0] is False
    assert retest(db, passed(tried=1))[0] is True


def test_what_never_showed_again_is_not_fixed_by_passing(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, reproduced=(0, 15)))
    assert retest(db, passed(tried=1000))[0] is False
    assert retest(db, passed(tried=1, seen=1)) == (False, False, "new")


def test_the_releases_that_passed_are_told(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, deviating=(KVM.name, OLD.name)))
    none = r.RetestRecord("model", 0, 1, "", MODEL)
    assert retest(db, passed(tried=3), passed(OLD, 3), none)[0]
    assert bucket(db).fixed_in == "6.1.5, 6.12.9"


def test_what_shows_once_is_not_fixed_and_its_passes_begin_anew(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, RECORD)
    retest(db, passed(tried=2))
    assert retest(db, passed(tried=3, seen=1)) == (False, False, "new")
    assert votes(db)[KVM.name] == (2, 0, 0)
    assert retest(db, passed(tried=2)) == (False, False, "new")
    assert retest(db, passed(tried=1)) == (True, False, "fixed")
    made = bucket(db)
    assert (made.reproduced, made.attempts) == (3, 11)


def test_a_fixed_bucket_that_shows_returns(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    lifecycle.close(db, bucket(db), "")
    assert retest(db, passed(tried=3)) == (False, False, "fixed")
    assert retest(db, passed(tried=3, seen=3)) == (False, True, "new")
    assert bucket(db).returned is not None


@pytest.mark.parametrize("status", r.Status)
def test_only_an_open_bucket_is_closed(db: Session, campaign: s.Campaign, status: r.Status) -> None:
    sightings.store_finding(db, campaign, RECORD)
    bucket(db).status = status.value
    assert retest(db, passed(tried=3))[0] is (status in r.OPEN)


def test_what_could_not_run_or_was_not_judged_is_no_pass(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    assert retest(db, r.RetestRecord(KVM.name, 0, 0, "gone"))[0] is False
    assert retest(db, passed(tried=9, judged=False))[0] is False
    assert votes(db)[KVM.name] == (1, 0, 0)
    made = bucket(db)
    assert (made.reproduced, made.attempts) == (2, 12)


def test_a_leg_that_never_deviated_fixes_nothing(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, reproduced=(3, 3)))
    assert retest(db, passed(OLD, 9))[0] is False
    assert votes(db)[OLD.name] == (0, 0, 9)
    assert retest(db, passed(tried=1), enough=1)[0] is True
    assert retest(db, passed(OLD, 1, 1))[1] is True
    assert votes(db)[OLD.name] == (1, 0, 0)


def test_only_releases_that_ran_are_told_and_no_more_than_there_is_room_for(
    db: Session, campaign: s.Campaign
) -> None:
    sightings.store_finding(db, campaign, RECORD)
    gone = r.RetestRecord("kvm:gone", 0, 0, "gone", OLD)
    nameless = r.RetestRecord("kvm:other", 0, 3, "said")
    fixed, returned, _ = retest(db, gone, nameless, passed(tried=3))
    assert (fixed, returned) == (True, False)
    assert bucket(db).fixed_in == "6.12.9"
    many = [r.LegRecord(f"kvm:{n}", "kvm", {"release": f"6.{n}.{'9' * 30}"}) for n in range(10, 20)]
    bucket(db).status = r.Status.NEW.value
    retest(db, passed(tried=3), *(passed(leg, 1) for leg in many))
    assert len(bucket(db).fixed_in) == 200


def test_whoever_ran_it_again_and_where_is_noted(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    newer = r.LegRecord(KVM.name, "kvm", {"release": "6.12.99", "mode": "vhe"})
    retests.add(db, bucket(db), 1, [passed(OLD), passed(newer, seen=1)], campaign.id)
    rows = db.scalars(select(s.Retest)).all()
    assert {x.campaign_id for x in rows} == {campaign.id}
    of = {name: vote.leg_id for name, vote in lifecycle.votes_of(db, 1).items()}
    assert of[OLD.name] == sightings.leg_row(db, OLD).id
    assert of[KVM.name] == sightings.leg_row(db, newer).id != sightings.leg_row(db, KVM).id


def test_what_shows_is_not_fixed_whatever_passes_then(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    assert retest(db, passed(seen=1), passed(tried=9)) == (False, False, "new")


def test_what_nobody_deviated_in_is_not_fixed_by_passing(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, deviating=()))
    assert retest(db, passed(tried=9)) == (False, False, "new")


def test_who_is_due_comes_longest_first(db: Session, campaign: s.Campaign) -> None:
    for rule in "abcdef":
        signature = replace(SIGNATURE, rule=rule)
        sightings.store_finding(db, campaign, replace(RECORD, signature=signature))
    days = (1, 9, None, 5, 7, None)
    for number, ago in enumerate(days, 1):
        bucket(db, number).retested = None if ago is None else now() - timedelta(days=ago)
    bucket(db, 5).status = r.Status.WONTFIX.value
    bucket(db, 4).status = r.Status.FIXED.value
    db.flush()
    moment = now() - timedelta(days=3)
    assert retests.due(db, moment, 9) == [3, 6, 2, 4]
    assert retests.due(db, moment, 2) == [3, 6]
    bucket(db, 2).retested = moment
    db.flush()
    assert retests.due(db, moment, 9) == [3, 6, 4]


def test_the_matrix_keeps_the_latest_of_each_leg(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    cells = [r.CellRecord(KVM.name, "shows", "a", KVM), r.CellRecord("x", "absent", "b")]
    retests.set_matrix(db, bucket(db), 1, cells)
    retests.set_matrix(db, bucket(db), 1, [r.CellRecord(KVM.name, "passes", "c", KVM)])
    found = db.scalars(select(s.Cell).order_by(s.Cell.id)).all()
    assert [(c.leg_name, c.outcome, c.said, c.leg_id, c.finding_id) for c in found] == [
        *((KVM.name, "passes", "c", 1, 1), ("x", "absent", "b", None, 1)),
    ]


# -- mutes -----------------------------------------------------------------------------------


def mute(
    rule: str = "*", legs: str = "*", low: str = "", high: str = "", days: int = 0
) -> r.MuteRecord:
    expires = now() + timedelta(days=days) if days else None
    return r.MuteRecord(rule, legs, "noise", low, high, expires)


@pytest.mark.parametrize(
    ("record", "covered"),
    [
        *((mute("sve.*"), True), (mute("sve.p"), False), (mute("*", "kvm:*"), True)),
        *((mute("*", "kvm:6.1:*"), False), (mute("sve.z", "emulator:*"), False)),
        *((mute(low="6.12"), True), (mute(low="6.12.9"), True), (mute(low="6.12.10"), False)),
        *((mute(high="6.12"), True), (mute(high="6.12.9"), True), (mute(high="6.12.8"), False)),
        *((mute(high="6"), True), (mute(high="6.11"), False), (mute(low="6.13"), False)),
        *((mute(low="6.1", high="6.12"), True), (mute("sve.*", days=1), True)),
    ],
)
def test_a_mute_covers_by_rule_leg_and_kernel(
    db: Session, campaign: s.Campaign, record: r.MuteRecord, covered: bool
) -> None:
    stored = sightings.store_finding(db, campaign, RECORD)
    assert stored.muted is False
    number = mutes.add(db, record, "ada")
    assert bucket(db).muted_by == (number if covered else None)
    again = sightings.store_finding(db, campaign, RECORD)
    assert again.muted is covered


def test_one_leg_that_is_not_covered_is_news(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    mutes.add(db, mute("*", "kvm:6.12:*"), "ada")
    assert bucket(db).muted_by == 1
    both = replace(
        RECORD, deviating=(KVM.name, OLD.name), traces={**RECORD.traces, OLD.name: Trace(())}
    )
    assert sightings.store_finding(db, campaign, both).muted is False
    assert bucket(db).muted_by is None


def test_a_leg_of_no_known_kernel_is_not_within_bounds(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, replace(RECORD, deviating=("kvm:gone",)))
    mutes.add(db, mute(low="6.1"), "ada")
    assert bucket(db).muted_by is None


def test_the_first_mute_in_force_counts_until_it_ends(db: Session, campaign: s.Campaign) -> None:
    sightings.store_finding(db, campaign, RECORD)
    first, second = (mutes.add(db, mute(rule), "ada") for rule in ("sve.*", "sve.z"))
    assert bucket(db).muted_by == first
    row = db.get(s.Mute, first)
    assert row
    mutes.end(db, row, "ada")
    assert bucket(db).muted_by == second
    with pytest.raises(r.Refused, match="mute 1 has ended already"):
        mutes.end(db, row, "ada")
    other = db.get(s.Mute, second)
    assert other
    mutes.end(db, other, "ada")
    assert bucket(db).muted_by is None
    moment = now()
    for expires, withdrawn, holds in (
        *((None, False, True), (None, True, False)),
        *((timedelta(1), False, True), (timedelta(0), False, False), (timedelta(1), True, False)),
    ):
        row.expires, row.withdrawn = None if expires is None else moment + expires, withdrawn
        assert mutes.holds(row, moment) is holds


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (mute(), "would hide all"),
        (mute("", ""), "would hide all"),
        (mute("sve.*", low="new"), "'new' is no version"),
        (mute("sve.*", high="x"), "'x' is no version"),
        (mute("sve.*", days=-1), "would be over already"),
    ],
)
def test_a_mute_that_cannot_be_meant_is_refused(
    db: Session, record: r.MuteRecord, why: str
) -> None:
    with pytest.raises(r.Refused, match=why):
        mutes.add(db, record, "ada")


def test_a_mute_is_kept_as_it_was_said(db: Session, campaign: s.Campaign) -> None:
    number = mutes.add(db, mute("", "kvm:*", "6.1", "6.12"), "ada")
    row = db.get(s.Mute, number)
    assert row
    assert (row.rule, row.legs, row.low, row.high) == ("*", "kvm:*", "6.1", "6.12")
    assert (row.reason, row.author, row.withdrawn) == ("noise", "ada", False)
    empty = db.get(s.Mute, mutes.add(db, mute("sve.*", ""), "ada"))
    assert empty
    assert empty.legs == "*"
