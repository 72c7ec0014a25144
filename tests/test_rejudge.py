"""Stored traces are judged anew, and findings run again, without asking who found them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.fault import FaultKind
from corpus.text import parse_case
from corpus.trace import Ending, Trace
from db.records import FindingRecord, LegRecord, Rejudged, RejudgedRecord, SignatureRecord, Status
from db.store import Store
from fuzz.followup.cause import at_face_value
from fuzz.followup.retest import ABSENT, OTHER, PASSES, SHOWS, Again, matrix, retest
from fuzz.followup.signature import signature
from fuzz.oracle.conformance import judge
from fuzz.oracle.culprit import responsible
from fuzz.oracle.knowledge import NOTHING
from fuzz.oracle.verdict import Diverge
from fuzz.suites import rejudge as module
from fuzz.suites.rejudge import rejudge
from targets.base import Target
from targets.legs import open_leg, open_legs
from targets.profile import Profile

CASE = parse_case("create v0\ninit v0 features=sve\nfinalize v0\nfinalize v0\nget v0 z3\n")
TWICE, MODEL = "mutant:finalize-twice", "model"


def found(case: Case, names: tuple[str, ...], wrong: str) -> tuple[FindingRecord, list[Target]]:
    """What a campaign would store of `wrong` on this case."""
    legs = open_legs(names)
    traces = {leg.name: leg.run(case) for leg in legs}
    leg = next(leg for leg in legs if leg.name == wrong)
    verdict = judge(case, traces[wrong], leg.profile)
    assert isinstance(verdict, Diverge)
    record = FindingRecord(
        signature=signature(verdict.oracle, at_face_value(case, verdict), wrong),
        minimal=case,
        original=case,
        strict=verdict.strict,
        op_index=verdict.op_index,
        expected=verdict.expected,
        observed=verdict.observed,
        explanation=verdict.explanation,
        reproduced=(3, 3),
        deviating=(wrong,),
        traces=traces,
        culprit=responsible(case, verdict),
    )
    return record, legs


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/t.db") as opened:
        yield opened


RECORD, LEGS = found(CASE, (MODEL, TWICE), TWICE)
RECORDS = [LegRecord(leg.name, leg.kind, dict(leg.fingerprint)) for leg in LEGS]


def stored(store: Store, record: FindingRecord = RECORD) -> int:
    """The number of a finding that is stored."""
    return store.add_finding(store.begin_campaign(1, RECORDS, {}), record).finding_id


def again(store: Store, finding: int) -> list[RejudgedRecord]:
    """What becomes of it by the specification as it is."""
    view = store.finding(finding)
    seen = store.known_divergences()
    return list(rejudge(view, store.traces(finding), NOTHING, seen))


def test_what_is_still_wrong_stands(store: Store) -> None:
    finding = stored(store)
    assert [one.outcome for one in again(store, finding)] == [Rejudged.STANDS]


def test_what_the_specification_permits_by_now_is_gone_and_comes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = stored(store)
    bucket = store.finding(finding).bucket_id
    right = LEGS[0].run(CASE)
    with monkeypatch.context() as patch:
        # As if the model let one finalize twice.
        patch.setattr(module, "judge", lambda case, _, profile: judge(case, right, profile))
        (one,) = again(store, finding)
        assert one.outcome is Rejudged.GONE
        assert store.apply_rejudged([one], "ada") == 1
    assert store.bucket(bucket).status is Status.MODEL_BUG
    assert store.finding(finding).gone
    (back,) = again(store, finding)
    assert back.outcome is Rejudged.BACK
    store.apply_rejudged([back], "ada")
    assert (store.bucket(bucket).status, store.finding(finding).gone) == (Status.NEW, False)
    store.undo()
    store.undo()
    assert (store.bucket(bucket).status, store.finding(finding).gone) == (Status.NEW, False)


def test_what_is_another_divergence_now_moves(store: Store) -> None:
    once = SignatureRecord("conformance", "init", "init.once", "", "-", TWICE)
    finding = stored(store, replace(RECORD, signature=once, culprit="init.once", op_index=1))
    old = store.finding(finding).bucket_id
    (one,) = again(store, finding)
    assert one.outcome is Rejudged.MOVED
    assert one.verdict is not None
    assert one.verdict.signature == RECORD.signature
    store.apply_rejudged([one], "ada")
    moved = store.finding(finding)
    new = store.bucket(moved.bucket_id)
    assert (new.signature, new.status, new.count) == (RECORD.signature, Status.NEW, 1)
    assert (moved.rule, moved.op_index) == (RECORD.signature.rule, 3)
    assert store.bucket(old).count == 0
    assert [one.outcome for one in again(store, finding)] == [Rejudged.STANDS]
    store.undo()
    assert (store.finding(finding).bucket_id, store.finding(finding).op_index) == (old, 1)
    assert [bucket.id for bucket in store.buckets()] == [old]
    # What comes after that is not hidden in the bucket that the undone change made.
    later = store.add_finding(1, RECORD)
    assert (later.bucket_id, later.new_bucket, later.status) == (new.id, True, Status.NEW)


def test_what_nobody_saw_is_new(store: Store) -> None:
    other = "mutant:reinit-keeps-z"
    case = parse_case(
        "create v0\ninit v0 features=sve\nfinalize v0\nset v0 z3 0xab*\ninit v0 features=sve\n"
        "finalize v0\nfinalize v0\nget v0 z3\n"
    )
    record, legs = found(case, (MODEL, TWICE, other), TWICE)
    records = [LegRecord(leg.name, leg.kind, dict(leg.fingerprint)) for leg in legs]
    finding = store.add_finding(store.begin_campaign(1, records, {}), record).finding_id
    stands, new = again(store, finding)
    assert (stands.outcome, new.outcome) == (Rejudged.STANDS, Rejudged.NEW)
    assert new.verdict is not None
    assert new.verdict.deviating == (other,)
    store.apply_rejudged([stands, new], "ada")
    bucket = store.bucket_of(new.verdict.signature)
    assert bucket is not None
    made = store.best_finding(bucket.id)
    assert store.finding(made).minimal == case
    assert len(store.traces(made)) == 3
    assert [one.outcome for one in again(store, finding)] == [Rejudged.STANDS]
    store.undo()
    assert len(store.buckets()) == 1


def test_what_cannot_be_judged_says_why(store: Store) -> None:
    finding = stored(store, replace(RECORD, traces={}))
    (one,) = again(store, finding)
    assert (one.outcome, one.why) == (Rejudged.UNKNOWN, "its traces were not kept")
    old = [LegRecord(TWICE, "mutant", {"leg": TWICE, "profile": "Profile(vqs=65535)"})]
    campaign = store.begin_campaign(2, old, {})
    later = store.add_finding(campaign, replace(RECORD, traces={TWICE: RECORD.traces[TWICE]}))
    (one,) = again(store, later.finding_id)
    assert one.why == "its machine is described in an older form"


def test_traces_of_a_version_that_read_fewer_registers_are_left_alone(store: Store) -> None:
    case = parse_case("create v0\ninit v0 features=sve\nread-all v0\nfinalize v0\nfinalize v0\n")
    record, _ = found(case, (MODEL, TWICE), TWICE)
    assert [one.outcome for one in again(store, stored(store, record))] == [Rejudged.STANDS]

    def older(trace: Trace) -> Trace:
        """As when the last group was not read: of a vcpu that is not finalised a group of
        seven registers, each a header and eight bytes."""
        seen = [*trace.observations]
        seen[2] = replace(seen[2], data=seen[2].data[: -7 * 16])
        return replace(trace, observations=tuple(seen))

    traces = {name: older(trace) for name, trace in record.traces.items()}
    (one,) = again(store, stored(store, replace(record, traces=traces, minimal=case)))
    assert one.outcome is Rejudged.UNKNOWN
    assert one.why == "its traces show fewer registers than are read today"


def test_a_broken_machine_is_judged_from_its_log_if_nothing_else_is_kept(store: Store) -> None:
    log = "[1.0] Unable to handle kernel NULL pointer\n[1.1] Internal error: Oops: 96000004\n"
    trace = Trace((), Ending.CRASH, log)
    shown = module._with_fault(trace)
    assert shown.fault is not None
    assert shown.fault.kind is not FaultKind.CRASH
    assert module._with_fault(replace(trace, log="")).fault is not None


def test_a_machine_is_known_by_its_fingerprint(store: Store) -> None:
    for leg in LEGS:
        assert Profile.from_fingerprint(leg.fingerprint) == leg.profile
        older = json.loads(leg.profile.described)
        del older["fpmr"]
        assert Profile.from_fingerprint({"profile": json.dumps(older)}).fpmr is None
    with pytest.raises(ValueError, match="older form"):
        Profile.from_fingerprint({"profile": "Profile()"})


def _again(store: Store, finding: int) -> Again:
    return Again(store.finding(finding))


def test_a_finding_is_run_again_on_each_leg(store: Store) -> None:
    finding = stored(store)
    with open_leg("mutant:reinit-keeps-z") as other:
        records = retest(_again(store, finding), [*LEGS, other], 3, {"kvm:9": "there is none"})
    shown: Mapping[str, tuple[int, int]] = {one.name: (one.seen, one.tried) for one in records}
    assert shown == {MODEL: (0, 3), TWICE: (3, 3), other.name: (0, 3), "kvm:9": (0, 0)}
    done = store.add_retest(finding, records)
    assert (done.fixed, done.returned) == (False, False)
    passes = [replace(one, seen=0) for one in records if one.name == TWICE]
    assert store.add_retest(finding, passes).fixed


def test_another_divergence_is_neither_the_finding_nor_a_pass(store: Store) -> None:
    once = SignatureRecord("conformance", "init", "init.once", "", "-", TWICE)
    finding = stored(store, replace(RECORD, signature=once, culprit="init.once", op_index=1))
    (record,) = retest(_again(store, finding), LEGS[1:], 3, {})
    assert (record.seen, record.tried, record.judged) == (0, 3, False)
    assert "finalize" in record.said
    assert not store.add_retest(finding, [record]).fixed


def test_a_matrix_has_a_cell_for_each_leg(store: Store) -> None:
    finding = stored(store)
    cells = list(matrix(_again(store, finding), LEGS, {"kvm:9": "there is none"}))
    assert {cell.name: cell.outcome for cell in cells} == {
        MODEL: PASSES,
        TWICE: SHOWS,
        "kvm:9": ABSENT,
    }
    once = SignatureRecord("conformance", "init", "init.once", "", "-", TWICE)
    elsewhere = stored(store, replace(RECORD, signature=once, culprit="init.once", op_index=1))
    (cell,) = matrix(_again(store, elsewhere), LEGS[1:], {})
    assert cell.outcome == OTHER
    big = replace(RECORD, minimal=replace(CASE, min_vq=16), signature=replace(once, rule="x"))
    small = ModelOfOneVq()
    (cell,) = matrix(_again(store, stored(store, big)), [small], {})
    assert (cell.outcome, cell.said) == (ABSENT, "needs vq>=16")


def ModelOfOneVq() -> Target:
    """A model of a machine that has the shortest vectors only."""
    return open_leg(MODEL, Profile(vqs=1))
