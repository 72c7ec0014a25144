"""What is stored comes back, is counted once per bucket, and survives kills and full disks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from db.filters import BucketFilter
from db.records import (
    Earlier,
    FindingRecord,
    IncidentRecord,
    LegRecord,
    NotFound,
    SignatureRecord,
    Status,
)
from db.sightings import KEEP_TRACES
from db.store import Store, StoreError

MODEL = LegRecord("model", "model", {"version": "1"})
KVM = LegRecord("kvm:6.12", "kvm", {"kernel": "6.12", "vq": "1,2,4"})
SIGNATURE = SignatureRecord("model", "get", "zreg-after-run", "z", "guest<max", "one kernel")
MINIMAL = parse_case("create v0\ninit v0\nfinalize v0\nget v0 z3\n")
ORIGINAL = parse_case("create v0\ninit v0\nfinalize v0\nset v0 z3 0xab*\nget v0 z3\n")
RECORD = FindingRecord(
    signature=SIGNATURE,
    minimal=MINIMAL,
    original=ORIGINAL,
    strict=True,
    op_index=3,
    expected="00…",
    observed="ab…",
    explanation="z3 was never written and must read as zero.",
    reproduced=(2, 3),
    deviating=("kvm:6.12",),
    traces={
        "model": Trace((Observation(0, 0, bytes(64)), Observation(22, 1 << 63))),
        "kvm:6.12": Trace((Observation(0, 0, b"\xab" * 64),), Ending.HOST_LOG, "WARNING: at …"),
    },
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/t.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def campaign(store: Store) -> int:
    return store.begin_campaign(7, [MODEL, KVM], {"time": "2m", "corpus": Path("c")})


def test_a_campaign_is_read_back_with_legs_and_statistics(store: Store, campaign: int) -> None:
    running = store.campaign(campaign)
    assert (running.seed, running.ended, running.legs) == ("7", None, (MODEL, KVM))
    assert running.options == {"time": "2m", "corpus": "c"}
    store.update_campaign(campaign, {"cases": 1})
    assert store.campaign(campaign).statistics == {"cases": 1}
    store.end_campaign(campaign, {"cases": 2}, "budget spent")
    (ended,) = store.campaigns()
    assert (ended.statistics, ended.reason) == ({"cases": 2}, "budget spent")
    assert ended.ended is not None
    assert timedelta(0) <= datetime.now(UTC) - ended.ended < timedelta(minutes=1)


def test_a_finding_is_read_back_whole(url: str, store: Store, campaign: int) -> None:
    outcome = store.add_finding(campaign, RECORD)
    assert outcome.new_bucket
    assert outcome.status is Status.NEW
    store.close()
    with Store.open(url) as again:
        finding = again.finding(outcome.finding_id)
        traces = {view.leg.name: view for view in again.traces(outcome.finding_id)}
        bucket = again.bucket(outcome.bucket_id)
    assert (finding.minimal, finding.original) == (MINIMAL, ORIGINAL)
    assert finding.minimal_text.startswith("create v0\n")
    assert (finding.expected, finding.observed) == (RECORD.expected, RECORD.observed)
    assert (finding.explanation, finding.op_index) == (RECORD.explanation, 3)
    assert (finding.deviating, finding.reproduced) == (("kvm:6.12",), (2, 3))
    assert {name: view.trace for name, view in traces.items()} == RECORD.traces
    assert traces["kvm:6.12"].leg == KVM
    assert bucket.signature == SIGNATURE
    assert bucket.reproduction_rate == pytest.approx(2 / 3)


def test_one_signature_is_one_bucket(store: Store, campaign: int) -> None:
    first = store.add_finding(campaign, RECORD)
    second = store.add_finding(campaign, replace(RECORD, minimal=ORIGINAL))
    other = store.add_finding(
        campaign, replace(RECORD, signature=replace(SIGNATURE, register_class="p"))
    )
    assert (second.new_bucket, second.bucket_id) == (False, first.bucket_id)
    assert (other.new_bucket, other.bucket_id != first.bucket_id) == (True, True)
    assert store.count_again(SIGNATURE, 10) == first.bucket_id
    bucket = store.bucket(first.bucket_id)
    assert bucket.count == 12
    assert bucket.last_seen > bucket.first_seen
    assert bucket.votes == {
        "model": {"deviated": 0, "agreed": 2, "passes": 0},
        "kvm:6.12": {"deviated": 2, "agreed": 0, "passes": 0},
    }


def test_votes_are_listed_by_name(store: Store, campaign: int) -> None:
    names = [f"kvm:{release}" for release in "hcaegbfd"]
    traces = dict.fromkeys(names, next(iter(RECORD.traces.values())))
    bucket = store.add_finding(campaign, replace(RECORD, traces=traces)).bucket_id
    assert [*store.bucket(bucket).votes] == sorted({*names, *RECORD.deviating})


def test_parts_of_a_signature_cannot_run_into_each_other() -> None:
    a = replace(SIGNATURE, oracle="a | b", op_kind="c")
    b = replace(SIGNATURE, oracle="a", op_kind="b | c")
    assert a.text == b.text
    assert a.digest != b.digest


def test_traces_are_kept_for_the_first_findings_only(store: Store, campaign: int) -> None:
    for _ in range(KEEP_TRACES + 2):
        bucket = store.add_finding(campaign, RECORD).bucket_id
    kept = [len(store.traces(finding.id)) for finding in store.findings(bucket)]
    assert kept == [2] * KEEP_TRACES + [0, 0]


def test_what_a_finding_needs_before_it_comes_back_in_order(store: Store, campaign: int) -> None:
    before = (Earlier(ORIGINAL), Earlier(MINIMAL, shared=True), Earlier(ORIGINAL, shared=True))
    finding = store.add_finding(campaign, replace(RECORD, preceding=before)).finding_id
    assert store.finding(finding).preceding == before


def test_incidents_are_kept_with_and_without_a_case(store: Store, campaign: int) -> None:
    lost = IncidentRecord("kvm:6.12", "lost", "killed by SIGKILL", "lab: QEMU was killed\n")
    panic = IncidentRecord("kvm:6.12", "panic", "f" * 300, "Kernel panic", ORIGINAL, True)
    for record in (lost, panic):
        store.add_incident(campaign, record)
    first, second = store.incidents(campaign)
    assert (first.leg, first.kind, first.place, first.log) == (
        *("kvm:6.12", "lost", "killed by SIGKILL", "lab: QEMU was killed\n"),
    )
    assert (first.case_id, first.investigating) == (None, False)
    assert (second.case_id, second.investigating) == (ORIGINAL.id, True)
    assert len(second.place) == 255
    other = store.begin_campaign(8, [], {})
    assert store.incidents(other) == ()
    assert store.incidents() == (first, second)


def test_a_leg_the_campaign_did_not_name_is_stored_too(store: Store, campaign: int) -> None:
    late = replace(RECORD, traces={"emulator:keep": Trace(())}, deviating=())
    finding = store.add_finding(campaign, late).finding_id
    assert [view.leg for view in store.traces(finding)] == [LegRecord("emulator:keep", "emulator")]


def test_the_same_leg_with_another_fingerprint_is_another_leg(store: Store, campaign: int) -> None:
    newer = replace(KVM, fingerprint={"kernel": "6.13"})
    later = store.begin_campaign(8, [newer], {})
    assert store.campaign(later).legs == (newer,)
    assert store.campaign(campaign).legs == (MODEL, KVM)


def test_a_fixed_bucket_seen_again_has_regressed(store: Store, campaign: int) -> None:
    bucket = store.add_finding(campaign, RECORD).bucket_id
    store.set_status(bucket, Status.FIXED, "ada")
    again = store.add_finding(campaign, RECORD)
    assert (again.new_bucket, again.regressed, again.status) == (False, True, Status.NEW)
    assert store.bucket(bucket).returned is not None
    assert not store.add_finding(campaign, RECORD).regressed
    key = f"bucket {bucket}"
    entries = store.audit(bucket)
    changes = [(e.actor, e.before[key]["status"], e.after[key]["status"]) for e in entries]
    assert changes == [("ada", "new", "fixed"), ("vcpufuzz", "fixed", "new")]


def test_notes_are_kept_in_order(store: Store, campaign: int) -> None:
    bucket = store.add_finding(campaign, RECORD).bucket_id
    store.add_note(bucket, "seen on arm64 hardware, too", "ada")
    store.add_note(bucket, "reported")
    notes = store.bucket(bucket).notes
    assert [note.text for note in notes] == ["seen on arm64 hardware, too", "reported"]
    assert notes[0].author == "ada"
    assert notes[1].author


def test_buckets_are_filtered_by_status_and_age(store: Store, campaign: int) -> None:
    first = store.add_finding(campaign, RECORD).bucket_id
    between = datetime.now(UTC)
    other = replace(RECORD, signature=replace(SIGNATURE, rule="other"))
    second = store.add_finding(campaign, other).bucket_id
    assert [b.id for b in store.buckets()] == [second, first]
    assert [b.id for b in store.buckets(BucketFilter(since=between))] == [second]
    store.set_status(first, Status.KNOWN)
    known = BucketFilter(statuses=frozenset({Status.KNOWN}))
    assert [b.id for b in store.buckets(known)] == [first]
    assert store.bucket_of(SIGNATURE) == store.bucket(first)
    assert store.bucket_of(replace(SIGNATURE, rule="never")) is None


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no bucket 9"):
        store.bucket(9)
    with pytest.raises(NotFound, match="no finding 9"):
        store.traces(9)
    with pytest.raises(NotFound, match="no campaign 9"):
        store.add_finding(9, RECORD)
    with pytest.raises(NotFound, match="zreg-after-run"):
        store.count_again(SIGNATURE)


def test_a_log_may_hold_anything(store: Store, campaign: int) -> None:
    log = "Oops\0 \udc80 " + "x" * 600_000 + " end"
    record = replace(RECORD, traces={"model": Trace((), Ending.CRASH, log)})
    (view,) = store.traces(store.add_finding(campaign, record).finding_id)
    assert view.trace.log.startswith("Oops")
    assert view.trace.log.endswith(" end")
    assert len(view.trace.log) < 300_000


def test_a_full_disk_is_one_sentence_and_loses_nothing(store: Store, campaign: int) -> None:
    kept = store.add_finding(campaign, RECORD)
    store.close()  # the page limit below is set on each new connection

    @event.listens_for(store._engine, "connect")
    def _limit(connection: object, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    noise = bytes(range(256)) * 4096
    big = {"model": Trace(tuple(Observation(0, n, noise[n:]) for n in range(8)))}
    filler = replace(RECORD, traces=big)
    with pytest.raises(StoreError, match=r"the disk is full: .*t\.db keeps"):
        store.add_finding(campaign, filler)
    assert store.finding(kept.finding_id).minimal == MINIMAL
    assert len(store.traces(kept.finding_id)) == 2


_FEEDER = """
import sys
sys.path[:0] = sys.argv[2:]
from test_db_store import MODEL, RECORD
from db.store import Store
store = Store.open(sys.argv[1])
campaign = store.begin_campaign(1, [MODEL], {})
while True:
    print(store.add_finding(campaign, RECORD).finding_id, flush=True)
"""


@pytest.mark.long
def test_a_killed_process_loses_nothing_it_had_stored(url: str) -> None:
    here = Path(__file__).parent
    feeder = subprocess.Popen(
        [sys.executable, "-c", _FEEDER, url, str(here), str(here.parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert feeder.stdout is not None
    for _ in range(10):
        stored = int(feeder.stdout.readline())
    feeder.kill()
    stored = max([stored, *map(int, feeder.stdout.read().split())])
    feeder.wait()
    with Store.open(url) as store:
        (bucket,) = store.buckets()
        assert len(store.findings(bucket.id)) >= stored
        assert bucket.count == len(store.findings(bucket.id))
        assert store.campaigns()[0].ended is None
