"""A fleet on this machine finds what a campaign finds, keeps it once, and goes on where it was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet_chaos import BIN, Books, books, chaos, free_port, reach

from corpus.case import decode
from corpus.store import kept_cases
from corpus.text import parse_case
from db.filters import BucketFilter
from db.store import Store
from db.work import Sighting, SliceRecord, Told
from fuzz import stopping
from fuzz.fleet import corpus as shelf
from fuzz.fleet import task
from fuzz.fleet.corpus import CorpusError, CorpusStore
from fuzz.fleet.dispatch import Asked, Dispatch
from fuzz.fleet.metrics import Metrics, MetricsError
from fuzz.fleet.novelty import Novelty
from fuzz.fleet.slices import Kind, Order, campaign, make
from fuzz.fleet.task import Report, SliceFailed, perform
from targets.kvm.remote.address import Address

LEGS = ["model", "mutant:finalize-twice"]


def anybody(legs: Sequence[str]) -> bool:
    return True


def ordered(one: SliceRecord, corpus: Path, finding: object = None) -> Order:
    return Order(one.id, one.kind, one.leg, one.spec, str(corpus), finding)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report, list[Sighting]]:
    """A slice of a campaign that was done, its corpus, and what was told on the way."""
    corpus = tmp_path_factory.mktemp("corpus")
    seen: list[Sighting] = []
    one = campaign(LEGS[1], LEGS, 7, 5.0, "")
    report = perform(ordered(one, corpus), sighted=seen.append)
    return corpus, report, seen


@pytest.mark.slow
def test_a_signal_ends_a_slice_and_whoever_asked_for_it(tmp_path: Path) -> None:
    one = campaign(LEGS[1], LEGS, 7, 60.0, "")
    with stopping.watched():
        soon = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
        soon.start()
        with pytest.raises(stopping.Stopped) as stopped:
            perform(ordered(one, tmp_path))
    assert stopped.value.number == signal.SIGTERM


@pytest.mark.slow
def test_a_campaign_in_a_slice_tells_what_it_found(
    searched: tuple[Path, Report, list[Sighting]],
) -> None:
    corpus, report, seen = searched
    told = report.delivery.told
    assert told is not None
    assert told.seed == 7
    assert {leg.name for leg in told.legs} == set(LEGS)
    assert told.findings
    assert [one.finding for one in seen] == told.findings
    titles = {bucket["title"] for bucket in told.statistics["buckets"]}
    assert {one.signature.title for one in told.findings} == titles
    assert report.delivery.counts["cases"] == told.statistics["cases"] > 0
    assert report.cpu_seconds > 0
    fresh = report.delivery.result["fresh"]
    assert fresh
    assert [case.id for case in CorpusStore(str(corpus)).get(fresh)] == fresh


@pytest.mark.slow
def test_what_slices_leave_is_merged_and_sent_once(
    searched: tuple[Path, Report, list[Sighting]], tmp_path: Path
) -> None:
    corpus, report, _ = searched
    spec = {"legs": ["model"], "snapshot": "", "fresh": report.delivery.result["fresh"][:20]}
    done = perform(ordered(make(Kind.MERGE, "model", spec), corpus)).delivery
    store = CorpusStore(str(corpus))
    snapshot = store.load(done.result["snapshot"])
    assert len(snapshot.cases) == done.result["cases"] == done.counts["taken"] > 0
    assert set(snapshot.cases) <= {c.id for c in kept_cases("seeds")} | set(spec["fresh"])
    again = spec | {"snapshot": done.result["snapshot"]}
    second = perform(ordered(make(Kind.MERGE, "model", again), corpus)).delivery
    assert second.counts["taken"] == 0
    assert second.result["snapshot"] == done.result["snapshot"]
    assert second.counts["bytes_sent"] == 0
    names = shelf.lay_out(store, done.result["snapshot"], tmp_path / "corpus")
    assert names == set(snapshot.cases)
    assert shelf.gathered(tmp_path / "corpus", names) == []


@pytest.mark.slow
def test_a_finding_is_run_again_everywhere_and_made_smaller(
    searched: tuple[Path, Report, list[Sighting]], tmp_path: Path
) -> None:
    corpus, report, _ = searched
    told = report.delivery.told
    assert told is not None
    with Store.open(str(tmp_path / "t.db")) as store:
        number = store.begin_campaign(1, told.legs, {})
        stored = store.add_finding(number, told.findings[0])
        finding = store.finding(stored.finding_id)
        spec = {"bucket": stored.bucket_id, "finding": finding.id, "legs": LEGS}
        once = make(Kind.RETEST, LEGS[1], spec | {"times": 2})
        retest = perform(ordered(once, corpus, finding)).delivery
        assert {one.name: (one.seen, one.tried) for one in retest.retests}[LEGS[1]] == (2, 2)
        everywhere = make(Kind.MATRIX, LEGS[1], spec)
        cells = perform(ordered(everywhere, corpus, finding)).delivery.cells
        assert {one.name: one.outcome for one in cells} == dict(
            zip(LEGS, ("passes", "shows"), strict=True)
        )
        smaller = make(Kind.MINIMISE, LEGS[1], spec | {"seconds": 2.0})
        done = perform(ordered(smaller, corpus, finding)).delivery
        # A campaign leaves little to be done: see test_fleet_task.
        assert done.smaller is None or len(done.smaller.minimal.ops) <= len(finding.minimal.ops)
        for one, delivery in ((once, retest), (smaller, done)):
            store.plan_slices([one])
            store.deliver(one.id, "w", delivery)
        assert [one.seen for one in store.retests(stored.bucket_id)].count(2) == 1


def test_kept_cases_are_replayed_with_what_went_wrong(tmp_path: Path) -> None:
    spec = {"folders": ["regressions"], "legs": LEGS}
    done = perform(ordered(make(Kind.REPLAY, LEGS[1], spec), tmp_path)).delivery
    assert done.counts["ok"] > 0
    assert done.counts["regression"] == len(done.result["told"])
    assert {one["leg"] for one in done.result["told"]} <= {LEGS[1]}
    assert set(done.result["machines"]) == set(LEGS)


def test_what_cannot_be_done_is_a_sentence(tmp_path: Path) -> None:
    bad = campaign("kvm:nosuch", ["model", "kvm:nosuch"], 1, 1.0, "")
    with pytest.raises(SliceFailed, match="kvm:nosuch"):
        perform(ordered(bad, tmp_path))
    lacking = campaign("model", ["model"], 1, 1.0, "f" * 64)
    with pytest.raises(SliceFailed, match="lacks ffff"):
        perform(ordered(lacking, tmp_path))
    old = Order("x", Kind.CAMPAIGN, "model", {}, program="0.0.0")
    with pytest.raises(SliceFailed, match=r"the fleet 0\.0\.0"):
        perform(old)


def test_a_corpus_is_whole_or_says_so(tmp_path: Path) -> None:
    store = CorpusStore(f"file://{tmp_path}/c")
    case = parse_case("create v0\ninit v0\n")
    assert store.put([case, case]) == (case.id,)
    sent = store.sent
    assert store.put([case]) == (case.id,)
    assert store.sent == sent == len(case.encoded)
    assert store.get([case.id]) == [decode(case.encoded)]
    digest = store.save([case.id], {3, 1, 2**64 - 1})
    assert store.features(store.load(digest)) == {1, 3, 2**64 - 1}
    place = tmp_path / "c" / "snapshots" / digest
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(CorpusError, match="is damaged"):
        store.load(digest)
    with pytest.raises(CorpusError, match="lacks"):
        store.get(["0" * 16])
    with pytest.raises(CorpusError, match="nosuch"):
        CorpusStore("nosuch://x")


def test_a_copy_of_a_case_is_used_if_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPUFUZZ_CACHE", str(tmp_path))
    case = parse_case("create v0\ninit v0\n")
    CorpusStore(f"memory://{tmp_path.name}").put([case])
    store = CorpusStore(f"memory://{tmp_path.name}")
    (digest,) = {store.save([case.id], {1}) for _ in range(2)}
    assert store.get([case.id]) == store.get([case.id]) == [case]
    assert store.fetched == len(case.encoded)
    copy = tmp_path / shelf.CACHED / case.id
    copy.write_bytes(case.encoded[:-1])
    assert store.get([case.id]) == [case]
    assert (store.fetched, copy.read_bytes()) == (2 * len(case.encoded), case.encoded)
    assert store.load(digest).cases == (case.id,)
    (tmp_path / shelf.CACHED / digest).write_bytes(b"")
    assert store.load(digest).cases == (case.id,)


def test_a_case_that_is_damaged_where_it_lies_is_told_of(tmp_path: Path) -> None:
    store = CorpusStore(str(tmp_path))
    case = parse_case("create v0\ninit v0\n")
    (name,) = store.put([case])
    (tmp_path / "cases" / name[:2] / name).write_bytes(case.encoded[:-1])
    with pytest.raises(CorpusError, match=f"{name} of .* is damaged"):
        store.get([name])


def test_two_processes_may_write_a_case_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = parse_case("create v0\ninit v0\n")
    one, other = (CorpusStore(str(tmp_path)) for _ in range(2))
    write = one._fs.pipe_file

    def slow(place: str, data: bytes) -> None:
        write(place, data)
        with monkeypatch.context() as now:
            now.setattr(one._fs, "pipe_file", write)
            other.put([case])

    monkeypatch.setattr(one._fs, "pipe_file", slow)
    one.put([case])
    assert one.get([case.id]) == [case]


@pytest.mark.long
def test_features_have_the_same_number_in_every_process() -> None:
    features = "[('op', 'init', 0, ''), 3]"
    code = f"from fuzz.fleet.corpus import numbered; print(sorted(numbered({features})))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_nothing_is_new_twice() -> None:
    novelty = Novelty()
    assert novelty.blocks("k", [4, 4, 8]) == [4, 8]
    assert novelty.blocks("k", [8, 12]) == [12]
    assert novelty.blocks("other", [8]) == [8]
    assert novelty.of("leg", Told())[1] == {"pairs": 0, "blocks": 0}


def test_a_fleet_takes_up_what_the_one_before_left(tmp_path: Path) -> None:
    asked = Asked(("model", "emulator:keep"), 60.0, seed=5)
    with Store.open(str(tmp_path / "t.db")) as store:
        first = Dispatch(store, asked)
        first.recall()
        (one,) = first.campaigns(1, {}, [])
        assert one.spec["seed"] == 5
        store.plan_slices([one])
        counts = {"cpu_seconds": 50.0, "cases": 9}
        fresh = ["a" * 16, "b" * 16]
        from db.work import Delivery  # noqa: PLC0415

        store.deliver(one.id, "w", Delivery(counts=counts, result={"fresh": fresh}))
        second = Dispatch(store, asked)
        second.recall()
        assert second.campaigns(1, {}, [])[0].spec["seed"] == 6
        merge = second.merge([], anybody)
        assert merge is not None
        assert merge.spec["fresh"] == fresh
        assert second.merge([merge], anybody) is None  # one at a time
        store.plan_slices([merge])
        assert second.merge([], anybody) is None
        store.deliver(merge.id, "w", Delivery(result={"snapshot": "s" * 64, "cases": 2}))
        third = Dispatch(store, asked)
        third.recall()
        assert third.merge([], anybody) is None
        assert third.campaigns(1, {}, [])[0].spec["snapshot"] == "s" * 64
        assert third.rates["emulator:keep"].cpu_seconds == 50.0


def test_where_there_is_no_libfuzzer_hypothesis_makes_the_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert task.engine() == "libfuzzer"
    monkeypatch.setattr(task, "find_spec", lambda _: None)
    assert task.engine() == "hypothesis"


def test_a_merge_that_is_given_up_is_not_asked_for_again(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "t.db")) as store:
        dispatch = Dispatch(store, Asked(("model",)))
        dispatch.recall()
        dispatch.fresh["model"] = {"a" * 16: None}
        merge = dispatch.merge([], anybody)
        assert merge is not None
        dispatch.failed(merge)
        assert dispatch.merge([], anybody) is None


def test_a_leg_that_cannot_be_had_rests(tmp_path: Path) -> None:
    legs = ("model", "emulator:keep", "mutant:finalize-twice")
    with Store.open(str(tmp_path / "t.db")) as store:
        dispatch = Dispatch(store, Asked(legs))
        dispatch.recall()
        one, other = dispatch.campaigns(2, {}, [])
        assert {one.leg, other.leg} == set(legs[1:])
        dispatch.failed(one)
        assert dispatch.resting == [one.leg]
        assert {c.leg for c in dispatch.campaigns(3, {}, [])} == {other.leg}
        assert dispatch.campaigns(3, {}, [other.leg]) == []


def test_what_is_counted_is_served(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.ended("campaign", "emulator:keep", "done", {"cases": 7, "pairs": 3, "bytes_sent": 9})
    metrics.ended("campaign", "emulator:keep", "failed", {})
    metrics.now(2, {"campaign": 1}, 40)
    address = Address("127.0.0.1", free_port())
    metrics.serve(address)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        told = answer.read().decode()
    for line in (
        'vcpufuzz_fleet_cases_total{leg="emulator:keep"} 7.0',
        'vcpufuzz_fleet_pairs_total{leg="emulator:keep"} 3.0',
        'vcpufuzz_fleet_corpus_bytes_total{way="sent"} 9.0',
        'vcpufuzz_fleet_slices_running{kind="campaign"} 1.0',
        "vcpufuzz_fleet_workers 2.0",
        "vcpufuzz_fleet_corpus_cases 40.0",
    ):
        assert line in told.splitlines()
    with pytest.raises(MetricsError, match="already in use"):
        metrics.serve(address)


def fleet(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A fleet on this machine, in a directory of its own."""
    words = ["fleet", "start", "local:1", "--legs", ",".join(LEGS), "--slice", "4s", *more]
    return subprocess.Popen(
        [str(BIN / "vcpufuzz"), *words, "--log", "json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_the_end_of_its_terminal_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    led = fleet(tmp_path, "--slice", "60s")
    wait = time.monotonic() + 120
    while not [*tmp_path.glob("tmp/**/vcpufuzz-*/corpus/*")]:
        assert time.monotonic() < wait
        time.sleep(0.1)
    os.killpg(led.pid, signal.SIGHUP)  # as of a terminal: each process of the job gets it
    _, said = led.communicate(timeout=60)
    assert led.returncode == 128 + signal.SIGHUP
    assert "Traceback" not in said
    left = {path.name for path in tmp_path.glob("tmp/**/*") if not path.is_dir()}
    assert left <= {"global.lock", "purge.lock"}


@pytest.mark.slow
def test_a_fleet_that_was_killed_goes_on(tmp_path: Path) -> None:
    first = fleet(tmp_path)
    assert first.stderr is not None
    for line in first.stderr:
        if json.loads(line)["event"] == "slice begins":
            break
    second = fleet(tmp_path)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 2
    assert "another fleet works on this store" in said
    first.send_signal(signal.SIGKILL)
    first.wait()
    third = fleet(tmp_path, "--time", "1s")
    out, said = third.communicate(timeout=200)
    assert third.returncode in (0, 77), said
    with Store.open(str(tmp_path / "vcpufuzz.db")) as store:
        found = books(store)
        assert (found.lost, found.double, found.unaccounted) == ([], [], [])
        assert store.fleet() is not None
        assert found.campaigns == 1
        assert len(store.buckets(BucketFilter())) == found.buckets
    assert out.startswith("slices done: ")


@pytest.mark.slow
def test_a_fleet_whose_database_is_deleted_ends(tmp_path: Path) -> None:
    led = fleet(tmp_path, "--time", "10m")
    assert led.stderr is not None
    for line in led.stderr:
        if json.loads(line)["event"] == "slice begins":
            break
    for path in tmp_path.glob("vcpufuzz.db*"):
        path.unlink()
    _, said = led.communicate(timeout=60)
    assert led.returncode not in (0, 77)
    assert "vcpufuzz.db was deleted while it was in use" in said
    assert "Traceback" not in said


def test_what_kills_cost_is_told_of_what_both_could_reach() -> None:
    shaken, calm = Books(Counter(), pairs=90), Books(Counter(), pairs=120)
    assert reach(shaken, calm) == {"pairs": 0.75}
    assert reach(calm, Books(Counter())) == {}


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_double_whatever_is_killed(tmp_path: Path) -> None:
    random.seed(3)
    url = f"sqlite:///{tmp_path}/t.db"
    began = time.monotonic()
    killed = chaos(url, tmp_path, 24.0, 6.0, workers=2, slice_s=4, legs=",".join(LEGS))
    assert killed["worker"] >= 2
    assert killed["scheduler"] == killed["leader"] == 1
    with Store.open(url) as store:
        found = books(store)
    assert (found.lost, found.double, found.unaccounted) == ([], [], [])
    assert found.campaigns >= 1
    assert time.monotonic() - began < 400
