"""What a campaign counts and keeps: ledger, totals, events, and how records travel."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest
from piped import piped

from corpus.case import Case
from corpus.fault import Fault, FaultKind
from corpus.kept import KeptCase, Known
from corpus.text import parse_case
from corpus.trace import Ending, Observation, Trace
from corpus.tracecode import TraceError, pack, unpack
from db.records import (
    Earlier,
    FindingRecord,
    IncidentRecord,
    LegRecord,
    MuteRecord,
    RetestRecord,
    SignatureRecord,
    Status,
    StoreError,
)
from db.store import Store
from fuzz.campaign.ledger import Ledger
from fuzz.campaign.status import BucketStatus, CampaignStatus, Reruns
from fuzz.campaign.totals import statistics
from fuzz.followup.suspicion import Departure, Dropped
from fuzz.oracle.knowledge import Knowledge
from fuzz.oracle.verdict import Diverge
from fuzz.worker import events, travel
from fuzz.worker.tally import Tally
from targets.base import Incident, Ran

CASE = parse_case("create v0\ninit v0\nfinalize v0\nget v0 z3\n")
SMALL = parse_case("create v0\n")
SIGNATURE = SignatureRecord("conformance", "get", "sve.z", "z", "-", "kvm:a")
WARN = Fault(FaultKind.WARN, "f", True, "WARNING: f")
HANG = Fault(FaultKind.HANG, "g")
A = LegRecord("kvm:a", "kvm", {"release": "6.12.9"})
B = LegRecord("kvm:b", "kvm", {"release": "7.2.0"})
RECORD = FindingRecord(
    signature=SIGNATURE,
    minimal=SMALL,
    original=CASE,
    strict=True,
    op_index=0,
    expected="0x0",
    observed="0x1",
    explanation="z3 is wrong",
    reproduced=(3, 3),
    deviating=("kvm:a",),
    traces={"kvm:a": Trace((Observation(0),)), "kvm:b": Trace((Observation(1),))},
    preceding=(Earlier(CASE, True),),
    culprit="sve.z",
)


def broke_as(
    fault: Fault, *deviating: str, signature: SignatureRecord = SIGNATURE
) -> FindingRecord:
    """A finding whose deviating legs broke with `fault`."""
    traces = {leg: Trace((), Ending.CRASH, fault=fault) for leg in deviating or ("kvm:a",)}
    culprit = fault.rule_at if fault.named else signature.rule
    record = replace(RECORD, signature=signature, traces=traces, culprit=culprit)
    return replace(record, deviating=deviating or ("kvm:a",))


# -- traces ----------------------------------------------------------------------------------

TRACES = (
    Trace(()),
    Trace((Observation(0), Observation(22, 1 << 63, b"\xab" * 300))),
    Trace((Observation(1),), Ending.HOST_LOG, "WARNING: é\n", 3, WARN),
    Trace((), Ending.CRASH, "", 0, Fault(FaultKind.CRASH)),
    *(Trace((), ending) for ending in Ending),
    *(
        Trace((), Ending.CRASH, fault=Fault(kind, "p", bool(n % 2), "l"))
        for n, kind in enumerate(FaultKind)
    ),
)


@pytest.mark.parametrize("trace", TRACES)
def test_a_trace_comes_back_as_it_was(trace: Trace) -> None:
    assert unpack(pack(trace)) == trace


def test_traces_are_compressed() -> None:
    assert len(pack(Trace((Observation(0, 0, bytes(8192)),) * 20))) < 3000


@pytest.mark.parametrize(
    "packed",
    [
        b"junk",
        zlib.compress(b"junk"),
        zlib.compress(msgspec.msgpack.encode([[], "no ending"])),
        zlib.compress(msgspec.msgpack.encode([[], "ok", "", None, ["no kind", "", True, ""]])),
        pack(Trace(()))[:-4],
    ],
)
def test_bytes_that_hold_no_trace_are_refused_in_a_sentence(packed: bytes) -> None:
    with pytest.raises(TraceError, match="a packed trace cannot be read: "):
        unpack(packed)


# -- travelling ------------------------------------------------------------------------------


def test_a_finding_travels_whole() -> None:
    event = travel.found(RECORD)
    assert travel.finding(piped(event)) == RECORD


@pytest.mark.parametrize("investigating", [False, True])
def test_an_incident_travels_with_what_its_log_tells(investigating: bool) -> None:
    log = "boots\n" * 400 + "WARNING: CPU: 0 PID: 1 at f+0x1/0x2\nCall trace:\n f+0x1/0x2\n"
    event = travel.broke("kvm:a", Incident(WARN, log, CASE, (Ran(SMALL),)), investigating)
    assert event.line == "WARNING: f"
    record = travel.incident(piped(event))
    assert (record.leg, record.kind, record.place) == ("kvm:a", "warn", "f")
    assert (record.case, record.investigating) == (CASE, investigating)
    assert "WARNING: CPU: 0" in record.log
    assert record.log.count("boots") < 20


def test_what_did_not_show_again_is_kept_with_its_case_and_told(books: Books) -> None:
    verdict = Diverge(
        "conformance", 1, "get", "sve.z", "z3", "00", "01", "byte 0", strict=True, told="z3 is 1"
    )
    suspicion = Departure(CASE, "kvm:a", verdict)
    event = piped(travel.unconfirmed(suspicion, Dropped("it was late")))
    books.ledger.broke(books.campaign, event)
    assert books.said == ["kvm:a: unconfirmed: it was late"]
    assert books.ledger.incidents == {"unconfirmed": 1}
    (stored,) = books.store.incidents()
    assert (stored.leg, stored.kind, stored.place) == ("kvm:a", "unconfirmed", "sve.z")
    assert (stored.log, stored.case_id) == ("it was late\nz3 is 1", CASE.id)


def test_a_log_that_tells_nothing_is_cut() -> None:
    event = travel.broke("kvm:a", Incident(HANG, "quiet\n" * 100_000), False)
    record = travel.incident(event)
    assert "quiet" in record.log
    assert len(record.log) < 300_000
    assert record.case is None


EVENTS = (
    events.Ready([events.LegReady("kvm:a", "kvm", {"release": "6.12"})]),
    events.Stats(Tally(cases=3, executions=Counter({"kvm:a": 3}), rules=Counter({"sve.z": 2}))),
    events.Exercised({"kvm:a": ["sve.z"]}),
    events.Again(SIGNATURE.parts),
    events.Restarted("kvm:a", 2.5),
    events.Code("kvm:a", [(0, 8, "f", "kvm")]),
    events.Coverage([events.Reached("kvm:a", CASE.encoded, 1.5, [4, 8])]),
    *(events.Note("a\nb"), events.Failed("why"), events.Done("time")),
)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_one_line_and_comes_back(event: events.Event) -> None:
    line = events.encode(event)
    assert b"\n" not in line
    assert events.decode(line) == event
    if isinstance(event, events.Stats):
        back = events.decode(line)
        assert isinstance(back, events.Stats)
        assert back.tally.rules["absent"] == 0


# -- counters --------------------------------------------------------------------------------

SHARED = {"features", "interrupted"}


def full(n: int) -> Tally:
    """A tally with another number in each field."""
    tally = Tally()
    for index, name in enumerate(tally.__struct_fields__):
        value = getattr(tally, name)
        setattr(
            tally,
            name,
            Counter({"x": n + index, name: n}) if isinstance(value, Counter) else n + index,
        )
    return tally


def test_every_counter_is_summed_but_those_that_workers_share() -> None:
    total, other = full(100), full(7)
    total.add(other)
    for index, name in enumerate(total.__struct_fields__):
        value = getattr(total, name)
        if isinstance(value, Counter):
            assert value == {"x": 107 + 2 * index, name: 107}, name
        elif name in SHARED:
            assert value == 100 + index, name
        else:
            assert value == 107 + 2 * index, name
    assert other == full(7)
    less = full(7)
    less.add(full(100))
    assert less.features == full(100).features


def test_a_new_tally_is_all_zero() -> None:
    assert not any(getattr(Tally(), name) for name in Tally.__struct_fields__)


def test_the_totals_hold_every_counter() -> None:
    tally = full(5)
    status = CampaignStatus(
        elapsed=12.3456,
        cases=9,
        seed=77,
        corpus=4,
        features=6,
        restarts=2,
        cases_per_second=1.236,
        warnings=("full",),
        buckets=(BucketStatus("t", True, 2, "kvm:a", True, 1),),
    )
    found = statistics(status, tally, "time", {"why": "create v0"})
    for name in (
        "cases",
        "discarded",
        "divergences",
        "infra_errors",
        "collapsed_sets",
        "compared_legs",
    ):
        assert found[name] == getattr(tally, name)
    assert found["rules"] == {"rules": 5, "x": 5 + list(Tally.__struct_fields__).index("rules")}
    rules = found["rules"]
    assert isinstance(rules, dict)
    assert list(rules) == ["rules", "x"]
    assert (found["rules_hit"], found["seed"], found["ended"]) == (2, 77, "time")
    assert (found["cases_per_second"], found["seconds"]) == (1.24, 12.35)
    assert (found["corpus"], found["features"], found["restarts"]) == (4, 6, 2)
    (bucket,) = status.buckets
    assert found["buckets"] == [msgspec.to_builtins(bucket)]
    assert found["executions"] == dict(tally.executions)
    assert found["not_judged"] == {"executions": 0, "x": tally.not_judged["x"]}
    assert found["unjudged_examples"] == {"why": "create v0"}
    assert found["warnings"] == ["full"]
    assert found["choices"] == {
        "executions": {"kept": 0, "cleared": 0},
        "x": {"kept": tally.kept["x"], "cleared": tally.cleared["x"]},
    }
    assert "kept" not in found
    assert "cleared" not in found
    mixed = Tally(executions=Counter({"kvm:b": 1, "kvm:a": 2}))
    found = statistics(status, mixed, "time", {})
    for name in ("not_judged", "choices"):
        by_leg = found[name]
        assert isinstance(by_leg, dict)
        assert list(by_leg) == ["kvm:a", "kvm:b"]


def test_what_was_not_judged_is_told_by_leg_the_commonest_first() -> None:
    tally = Tally(unjudged=Counter({"a: why: so": 2, "b: so": 3, "a: else": 1}))
    found = statistics(CampaignStatus(elapsed=0.0, cases=0), tally, "", {})["unjudged"]
    assert found == {"b": {"so": 3}, "a": {"else": 1, "why: so": 2}}
    assert isinstance(found, dict)
    assert list(found) == ["b", "a"]
    assert list(found["a"]) == ["why: so", "else"]


# -- the ledger ------------------------------------------------------------------------------


class Books:
    """A ledger over a store, with what it said."""

    def __init__(self, known: Sequence[KeptCase] = ()) -> None:
        self.said: list[str] = []
        self.store = Store.open("sqlite://")
        self.campaign = self.store.begin_campaign(1, [A, B], {})
        self.ledger = Ledger(self.store, self.said.append)
        self.ledger._knowledge = Knowledge(known)
        self.ledger.legs = {"kvm:a": A, "kvm:b": B}

    def found(self, record: FindingRecord = RECORD) -> None:
        self.ledger.found(self.campaign, travel.found(record))


@pytest.fixture
def books() -> Iterator[Books]:
    opened = Books()
    yield opened
    opened.store.close()


def known(rule: str, *machine: tuple[str, str], path: str = "why.case") -> KeptCase:
    return KeptCase(Path(path), CASE, (Known("kvm", rule),), "because", machine)


def test_a_ledger_knows_what_is_shipped() -> None:
    with Store.open("sqlite://") as store:
        kept = Ledger(store, lambda _: None)._knowledge.kept
    assert kept == Knowledge.shipped().kept


def test_a_new_bucket_counts_once(books: Books) -> None:
    for _ in range(2):
        books.found()
    books.ledger.again(SIGNATURE)
    assert books.ledger.new_buckets == 1
    (bucket,) = books.ledger.buckets
    assert (bucket.id, bucket.count, bucket.new, bucket.strict) == (1, 3, True, True)
    assert (bucket.title, bucket.first_leg) == (SIGNATURE.title, "kvm:a")
    assert books.said == ["new divergence, bucket 1: z3 is wrong"] * 2
    assert books.store.bucket(1).status is Status.NEW


def test_what_is_seen_again_is_shown_at_once_and_stored_together(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    count_again = Store.count_again

    def heard(store: Store, signature: SignatureRecord, times: int = 1) -> int:
        told.append((signature.rule, times))
        return count_again(store, signature, times)

    monkeypatch.setattr(Store, "count_again", heard)
    other = replace(SIGNATURE, rule="sve.p")
    books.found()
    books.store.add_finding(books.campaign, replace(RECORD, signature=other))
    for signature in (SIGNATURE, other, SIGNATURE, other, other):
        books.ledger.again(signature)
    # Of a bucket that it has not seen it must hear what it is.
    assert told == [(SIGNATURE.rule, 1), ("sve.p", 1)]
    assert [(b.id, b.count) for b in books.ledger.buckets] == [(1, 3), (2, 4)]
    books.found()  # looks into the store
    assert [(b.id, b.count) for b in books.ledger.buckets] == [(1, 4), (2, 4)]
    assert [books.store.bucket(one).count for one in (1, 2)] == [3, 2]
    for _ in range(2):
        books.ledger.settle()
    assert told[2:] == [(SIGNATURE.rule, 1), ("sve.p", 2)]
    assert [books.store.bucket(one).count for one in (1, 2)] == [4, 4]


def test_a_store_that_fails_is_told_again_later(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.found()
    books.ledger.again(SIGNATURE)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "count_again", Mock(side_effect=StoreError("it is full")))
        with pytest.raises(StoreError):
            books.ledger.settle()
    books.ledger.settle()
    assert books.store.bucket(1).count == 2


def test_a_bucket_has_its_suspect_and_status(books: Books) -> None:
    books.found(replace(RECORD, suspect="the kernel"))
    (bucket,) = books.ledger.buckets
    assert (bucket.suspect, bucket.status) == (books.store.bucket(1).suspect, "new")
    assert bucket.suspect


def test_buckets_that_are_probably_the_same_are_told_the_later_first(books: Books) -> None:
    other = replace(SIGNATURE, rule="sve.p")
    books.found()
    books.found(replace(RECORD, signature=other))
    unknown = replace(SIGNATURE, rule="never.seen")
    for one, two in ((unknown, other), (other, unknown), (other, other)):
        books.ledger.akin(books.campaign, events.Akin(one.parts, two.parts, "so"))
    assert books.store.proposals() == ()
    for one, two in ((SIGNATURE, other), (other, SIGNATURE)):
        books.ledger.akin(books.campaign, events.Akin(one.parts, two.parts, "so"))
        (proposal,) = books.store.proposals()
        assert (proposal.bucket_id, proposal.other_id, proposal.reason) == (2, 1, "so")
        assert proposal.source == f"campaign {books.campaign}"
        assert books.said[-1] == "bucket 2 is probably the same as 1: so"


def test_buckets_come_in_the_order_of_their_numbers(books: Books) -> None:
    books.found()
    books.found(replace(RECORD, signature=replace(SIGNATURE, rule="sve.p"), strict=False))
    books.ledger.again(SIGNATURE)
    assert [(b.id, b.count, b.strict) for b in books.ledger.buckets] == [
        (1, 2, True),
        (2, 1, False),
    ]
    assert books.ledger.new_buckets == 2


def test_a_bucket_of_another_campaign_is_not_new(books: Books) -> None:
    books.store.add_finding(books.campaign, RECORD)
    books.found()
    assert books.ledger.new_buckets == 0
    assert books.ledger.buckets[0].new is False
    assert books.said == ["known divergence, bucket 1: z3 is wrong"]


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.DUPLICATE])
def test_only_a_bucket_that_was_fixed_comes_back(books: Books, status: Status) -> None:
    books.store.add_finding(books.campaign, RECORD)
    books.store.set_status(1, status)
    books.found()
    fixed = status is Status.FIXED
    assert books.ledger.new_buckets == int(fixed)
    assert books.ledger.buckets[0].new is fixed
    assert books.store.bucket(1).status is (Status.NEW if fixed else status)
    books.found()
    assert books.ledger.new_buckets == int(fixed)


def test_a_recorded_defect_is_filed_as_known_with_its_reason() -> None:
    books = Books([known("sve.z", ("release", "6.12.*"))])
    books.found()
    bucket = books.store.bucket(1)
    assert bucket.status is Status.KNOWN
    assert [(note.text, note.author) for note in bucket.notes] == [("because", "why.case")]
    assert {entry.actor for entry in books.store.audit(1)} == {"why.case"}
    assert (books.ledger.new_buckets, books.ledger.buckets[0].new) == (0, False)
    books.store.set_status(1, Status.WONTFIX)
    books.found()
    assert books.store.bucket(1).status is Status.WONTFIX  # what a person said stays
    assert len(books.store.bucket(1).notes) == 1


def test_a_recorded_defect_that_was_fixed_is_new_when_it_comes_back() -> None:
    books = Books([known("sve.z")])
    books.found()
    books.store.set_status(1, Status.FIXED)
    books.found()
    assert books.store.bucket(1).status is Status.NEW
    assert books.store.bucket(1).returned is not None
    assert books.ledger.new_buckets == 1


def test_a_record_explains_only_where_all_deviating_legs_have_it() -> None:
    books = Books([known("sve.z", ("release", "6.12.*"))])
    books.found(replace(RECORD, deviating=("kvm:a", "kvm:b")))
    assert books.ledger.new_buckets == 1
    assert books.store.bucket(1).status is Status.NEW


def test_a_fault_is_known_by_its_place() -> None:
    books = Books([known("ending.warn@f")])
    signature = replace(SIGNATURE, oracle="ending", rule="ending.warn", op_kind="f")
    books.found(broke_as(WARN, signature=signature))
    assert books.ledger.new_buckets == 0
    other = replace(signature, op_kind="g")
    books.found(broke_as(replace(WARN, place="g"), signature=other))
    assert books.ledger.new_buckets == 1
    unnamed = replace(signature, rule="ending.ok", op_kind="run")
    books.found(broke_as(Fault(FaultKind.CRASH), signature=unnamed))
    assert books.ledger.new_buckets == 2


def test_a_hang_is_counted_unless_it_is_recorded() -> None:
    books = Books([known("ending.hang@known")])
    books.found(broke_as(HANG))
    assert books.ledger.hangs == 1
    books.found(broke_as(WARN, signature=replace(SIGNATURE, rule="ending.warn")))
    assert books.ledger.hangs == 1
    books.found(broke_as(replace(HANG, place="known")))
    assert books.ledger.hangs == 1
    beside = {"kvm:a": Trace(()), "kvm:b": Trace((), Ending.HANG, fault=HANG)}
    books.found(replace(RECORD, traces=beside))
    assert books.ledger.hangs == 1
    books.found(broke_as(HANG))
    assert books.ledger.hangs == 2


def test_a_leg_that_hangs_counts_beside_one_that_does_not(books: Books) -> None:
    beside = {"kvm:a": Trace((), Ending.HANG, fault=HANG), "kvm:b": Trace(())}
    books.found(replace(RECORD, traces=beside, deviating=("kvm:a", "kvm:b")))
    assert books.ledger.hangs == 1


def test_what_is_muted_is_not_news(books: Books) -> None:
    books.store.mute(MuteRecord("sve.*", "*", "not now"))
    books.found()
    assert (books.ledger.new_buckets, books.ledger.buckets[0].new) == (0, False)


def test_a_bucket_shows_how_it_was_explained(books: Books) -> None:
    books.found()
    assert books.ledger.buckets[0].explanation == "z3 is wrong"


# -- what is run again -----------------------------------------------------------------------

FIXED = LegRecord("kvm:a", "kvm", {"release": "6.12.10"})


def run_again(books: Books, finding: int, seen: int, leg: LegRecord = FIXED) -> None:
    record = RetestRecord("kvm:a", seen, 3, leg=leg)
    books.ledger.retested(books.campaign, travel.retested(finding, [record]))


def test_findings_that_pass_are_fixed_and_told_once(books: Books) -> None:
    for number in range(8):
        books.found(replace(RECORD, signature=replace(SIGNATURE, rule=f"sve.{number}")))
    books.said.clear()
    for finding in (8, 1, 1, 2):
        run_again(books, finding, int(finding == 2))
    assert books.ledger.reruns == Reruns(3, (1, 8))
    assert books.ledger.totals()["retests"] == {"buckets": 3, "fixed": ["B1", "B8"]}
    told = "bucket {} is fixed: every leg passed, as often as it takes"
    assert books.said == [told.format(8), told.format(1)]
    assert books.store.bucket(2).status is Status.NEW


@pytest.mark.parametrize("status", [Status.FIXED, Status.WONTFIX])
def test_only_a_fixed_one_returns(books: Books, status: Status) -> None:
    books.store.add_finding(books.campaign, RECORD)
    books.store.set_status(1, status)
    for _ in range(2):
        run_again(books, 1, 3)
    fixed = status is Status.FIXED
    assert books.said == ["bucket 1 RETURNED although it was fixed"] * fixed
    assert books.ledger.new_buckets == int(fixed)
    assert [(b.id, b.new) for b in books.ledger.buckets] == [(1, True)] * fixed
    assert books.ledger.reruns == Reruns(1, ())


def test_what_returns_counts_beside_what_is_new(books: Books) -> None:
    books.store.add_finding(books.campaign, RECORD)
    books.store.set_status(1, Status.FIXED)
    books.found(replace(RECORD, signature=replace(SIGNATURE, rule="sve.p")))
    run_again(books, 1, 3)
    assert books.ledger.new_buckets == 2


def test_what_was_fixed_here_and_returns_is_news_once(books: Books) -> None:
    books.found()
    run_again(books, 1, 0)
    run_again(books, 1, 3)
    assert (books.ledger.new_buckets, books.ledger.reruns) == (1, Reruns(1, ()))


def test_a_muted_one_returns_without_being_news(books: Books) -> None:
    books.store.add_finding(books.campaign, RECORD)
    books.store.set_status(1, Status.FIXED)
    books.store.mute(MuteRecord("sve.*", "*", "not now"))
    run_again(books, 1, 3)
    assert books.ledger.new_buckets == 0
    assert books.ledger.buckets[0].new is False


@pytest.mark.parametrize(("seen", "word"), [(0, "is the same as"), (3, "is another than")])
def test_kin_are_settled_by_how_both_did(books: Books, seen: int, word: str) -> None:
    other = replace(SIGNATURE, rule="sve.p")
    books.found()
    books.found(replace(RECORD, signature=other))
    books.ledger.akin(books.campaign, events.Akin(SIGNATURE.parts, other.parts, "so"))
    books.said.clear()
    run_again(books, 1, 0)
    run_again(books, 2, seen)
    assert books.said[-1] == f"bucket 2 {word} 1, as retests tell"


def test_explanations_are_cut_for_the_log(books: Books) -> None:
    books.found(replace(RECORD, explanation="x" * 500))
    assert books.said == ["new divergence, bucket 1: " + "x" * 160]
    event = travel.broke("kvm:a", Incident(replace(WARN, line="y" * 500), ""), False)
    books.ledger.broke(books.campaign, event)
    assert books.said[1] == "kvm:a: warn: " + "y" * 160


def test_a_bucket_that_is_not_there_is_not_shown(books: Books) -> None:
    books.ledger._refresh(SIGNATURE)
    assert books.ledger.buckets == ()


def broke(
    books: Books, leg: str, kind: FaultKind, investigating: bool, case: Case | None = None
) -> None:
    incident = Incident(Fault(kind, "p", line="line"), "log", case)
    books.ledger.broke(books.campaign, travel.broke(leg, incident, investigating))


def test_incidents_are_stored_and_counted_by_leg_and_kind(books: Books) -> None:
    for leg, investigating in (
        ("kvm:b", False),
        ("kvm:b", True),
        ("kvm:a", False),
        ("kvm:a", False),
    ):
        broke(books, leg, FaultKind.LOST, investigating)
    broke(books, "kvm:a", FaultKind.HANG, False, CASE)
    assert books.ledger.incidents == {"lost": 3, "hang": 1}
    assert len(books.store.incidents(books.campaign)) == 5
    told = ["kvm:b: lost: line", *["kvm:a: lost: line"] * 2, "kvm:a: hang: line"]
    assert books.said == told
    totals = books.ledger.totals()["incidents"]
    assert totals == {
        "kvm:a": {"hang": 1, "lost": 2},
        "kvm:b": {"lost": 1, "lost, investigating": 1},
    }
    assert isinstance(totals, dict)
    assert list(totals) == ["kvm:a", "kvm:b"]


def test_restarts_are_told_with_their_times(books: Books) -> None:
    for seconds in (1.005, 2.017, 9.126):
        books.ledger.restarted(events.Restarted("kvm:a", seconds))
    assert books.ledger.restarts_of("kvm:a") == 3
    assert books.ledger.restarts_of("kvm:b") == 0
    assert books.ledger.totals()["machine_restarts"] == {
        "kvm:a": {"times": 3, "median_seconds": 2.02, "longest_seconds": 9.13}
    }
    assert books.said == [f"kvm:a: restarted in {s} s" for s in ("1.0", "2.0", "9.1")]


def test_restarts_are_told_leg_by_leg(books: Books) -> None:
    for leg in ("kvm:b", "kvm:a"):
        books.ledger.restarted(events.Restarted(leg, 1.0))
    told = books.ledger.totals()["machine_restarts"]
    assert isinstance(told, dict)
    assert list(told) == ["kvm:a", "kvm:b"]


def test_an_incident_is_a_record_for_the_store() -> None:
    record = travel.incident(travel.broke("kvm:a", Incident(HANG, "log"), True))
    assert record == IncidentRecord("kvm:a", "hang", "g", record.log, None, True)
