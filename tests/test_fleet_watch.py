"""A day of watching, simulated: each new kernel is tried and told of once, and rightly."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_db_store import KVM, MODEL, RECORD, SIGNATURE

from db import edits, sightings, slices
from db.records import LegRecord
from db.store import Store
from db.work import Delivery, SliceRecord, State, Told
from fuzz.fleet.heads import Head, Listed
from fuzz.fleet.morning import FORMS, Report, as_text, gather
from fuzz.fleet.publish import HookError, Publisher, hook
from fuzz.fleet.watch import Rhythm, Watch

MIDNIGHT = datetime(2027, 3, 1, tzinfo=UTC)
APPEAR = {3: ("6.1", "6.1.200-1"), 9: ("newest", "7.2.9-1"), 15: ("6.12", "6.12.80-1")}
"""Hour -> the release and the version that is there from then on."""
FINDING = replace(RECORD, signature=replace(SIGNATURE, register_class="new"))


class AtOnce(Executor):
    """Does what it is given on the spot."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Day:
    """A clock that is set, and an archive that goes by it."""

    def __init__(self) -> None:
        self.now = MIDNIGHT
        self.trouble: tuple[str, ...] = ()

    def clock(self) -> datetime:
        return self.now

    def ask(self) -> Listed:
        versions = {"6.1": "6.1.199-1", "6.12": "6.12.79-1", "newest": "7.2.8-1", "rc": "7.3~rc1-1"}
        for hour, (name, version) in APPEAR.items():
            if self.now >= MIDNIGHT + timedelta(hours=hour):
                versions[name] = version
        return Listed(
            tuple(
                Head(name, version, f"kvm:{name}:vhe", {"release": name, "version": version})
                for name, version in versions.items()
            ),
            self.trouble,
        )


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Day:
    """The store goes by the same clock."""
    made = Day()
    for module in (edits, sightings, slices):
        monkeypatch.setattr(module, "now", made.clock)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "t.db")) as opened:
        yield opened


def work(store: Store, one: SliceRecord) -> None:
    """What a worker would bring: on 7.2.9 two kept cases go wrong, on 6.12.80 one is found."""
    store.plan_slices([one])
    store.begin_slice(one.id)
    version = one.spec["origin"]["version"]
    if one.kind == "replay":
        wrong = [{"case": "a.case", "leg": one.leg, "outcome": "regression", "said": "It broke."}]
        told = wrong * 2 if version == "7.2.9-1" else []
        counts = {"ok": 40 - len(told), "known": 3, "regression": len(told)}
        store.deliver(one.id, "w", Delivery(counts=counts, result={"told": told}))
        return
    findings = [FINDING] if version == "6.12.80-1" else []
    legs = (MODEL, KVM, LegRecord(one.leg, "kvm", {"version": version}))
    campaign = Told(seed=1, legs=legs, findings=findings)
    store.deliver(one.id, "w", Delivery(campaign, counts={"cases": 1000, "cpu_seconds": 36.0}))


def watch(store: Store, day: Day, reports: list[Report], said: list[str]) -> Watch:
    return Watch(
        store,
        day.ask,
        day.clock,
        AtOnce(),
        reports.append,
        lambda event, **fields: said.append(f"{event} {fields}"),
        Rhythm(campaign_s=60.0),
    )


def published(folder: Path, url: str, said: list[str], executor: Executor | None = None) -> Any:
    return Publisher(folder, url, lambda event, **_: said.append(event), executor or AtOnce())


class Later(AtOnce):
    """Does nothing."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def quiet_report(store: Store) -> Report:
    return gather(store, MIDNIGHT, MIDNIGHT, [])


def test_a_day_with_three_new_kernels_gives_three_reports(store: Store, day: Day) -> None:
    reports: list[Report] = []
    said: list[str] = []
    one = watch(store, day, reports, said)
    one.recall({})
    waiting: list[SliceRecord] = []
    for minute in range(0, 24 * 60, 10):
        day.now = MIDNIGHT + timedelta(minutes=minute)
        wanted = one.turn()
        waiting += wanted
        if waiting and not wanted:
            work(store, waiting.pop(0))
        if minute % 240 == 0:
            # The leader is killed, and another one goes on.
            memory = json.loads(json.dumps(one.remembered(), default=str))
            one = watch(store, day, reports, said)
            one.recall(memory)
    assert [(r.trials[0].name, r.trials[0].version) for r in reports] == list(APPEAR.values())
    first, second, third = reports
    assert all(len(report.trials) == 1 for report in reports)
    assert [r.trials[0].replay["regression"] for r in reports] == [0, 2, 0]
    assert [len(r.trials[0].told) for r in reports] == [0, 2, 0]
    assert [[b.title for b in r.found] for r in reports] == [[], [], [FINDING.signature.title]]
    assert [r.slices for r in reports] == [{"campaign": 1, "replay": 1}] * 3
    assert [r.cases for r in reports] == [1000] * 3
    assert first.until <= second.since < second.until == third.since
    for (hour, _), report in zip(APPEAR.items(), reports, strict=True):
        assert timedelta(0) <= report.until - MIDNIGHT - timedelta(hours=hour) <= timedelta(hours=2)
    assert sum("new kernel" in line for line in said) == 3
    told = as_text(second)
    assert "Kernel newest 7.2.9-1" in told
    assert "regression: a.case on kvm:newest:vhe: It broke." in told
    for report in reports:
        assert all(render(report) for render in FORMS.values())


def test_a_morning_tells_what_else_happened_and_a_quiet_one_nothing(store: Store, day: Day) -> None:
    reports: list[Report] = []
    one = watch(store, day, reports, [])
    one.recall({})
    day.now = MIDNIGHT + timedelta(hours=5)
    one.turn()
    store.add_finding(store.begin_campaign(1, [MODEL, KVM], {}), FINDING)
    day.now = MIDNIGHT + timedelta(hours=6, minutes=1)
    store.plan_slices(one.turn())
    day.now = MIDNIGHT + timedelta(days=1, hours=6, minutes=1)
    one.memory.heads = {head.name: head.version for head in day.ask().heads}
    one.turn()
    assert [[bucket.id for bucket in report.found] for report in reports] == [["B1"]]
    assert reports[0].trials == []


def test_a_kernel_that_cannot_be_tried_is_told_of(store: Store, day: Day) -> None:
    reports: list[Report] = []
    said: list[str] = []
    one = watch(store, day, reports, said)
    one.recall({})
    one.turn()
    day.now += timedelta(hours=4)
    day.trouble = ("apt-get update failed",)
    for slice_ in one.turn():
        store.plan_slices([slice_])
        store.begin_slice(slice_.id)
        store.fail_slice(slice_.id, "it does not boot")
    one.turn()
    (report,) = reports
    assert report.trials[0].failed == ["replay: it does not boot", "campaign: it does not boot"]
    assert len(report.failed) == 2
    assert {view.state for view in store.ended_slices(MIDNIGHT)} == {State.FAILED}
    assert any("apt-get update failed" in line for line in said)


def test_an_archive_that_breaks_ends_nothing(store: Store, day: Day) -> None:
    def broken() -> Listed:
        raise ValueError("no such archive")

    said: list[str] = []
    one = replace(watch(store, day, [], said), ask=broken)
    one.recall({})
    assert one.turn() == []
    assert "no such archive" in said[0]


def test_kernels_that_are_done_together_are_told_of_together(store: Store, day: Day) -> None:
    reports: list[Report] = []
    one = watch(store, day, reports, [])
    one.recall({})
    one.turn()
    day.now += timedelta(hours=10)
    wanted = one.turn()
    day.now += timedelta(minutes=10)
    for slice_ in wanted:
        work(store, slice_)
    one.turn()
    (report,) = reports
    assert [trial.name for trial in report.trials] == ["6.1", "newest"]
    assert report.slices == {"campaign": 2, "replay": 2}
    assert one.memory.underway == []


def test_nobody_waits_for_a_web_hook(store: Store, tmp_path: Path) -> None:
    said: list[str] = []
    published(tmp_path, "http://127.0.0.1:1/x", said, Later())(quiet_report(store))
    assert said == ["report"]


def test_a_web_hook_that_talks_nonsense_is_told_of(store: Store, tmp_path: Path) -> None:
    class Nonsense(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 16)
            self.wfile.write(b"nonsense\r\n\r\n")

    said: list[str] = []
    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        port = server.server_address[1]
        published(tmp_path, f"http://127.0.0.1:{port}/x", said)(quiet_report(store))
    published(tmp_path, "http://127.0.0.1:1/a b", said)(quiet_report(store))
    assert said == ["report", "web hook failed"] * 2


def test_reports_go_to_files_and_to_a_web_hook(store: Store, day: Day, tmp_path: Path) -> None:
    heard: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    reports: list[Report] = []
    one = watch(store, day, reports, [])
    one.recall({})
    store.add_finding(store.begin_campaign(1, [MODEL, KVM], {}), FINDING)
    day.now = MIDNIGHT + timedelta(hours=7)
    one.turn()
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said: list[str] = []
    url = f"http://127.0.0.1:{server.server_port}/x"
    try:
        published(tmp_path / "reports", url, said)(reports[0])
    finally:
        server.shutdown()
        server.server_close()
    assert json.loads(heard[0])["found"][0]["id"] == "B1"
    names = {path.suffix for path in (tmp_path / "reports").iterdir()}
    assert names == {".txt", ".html", ".json"}
    published(tmp_path / "r", url, said)(reports[0])
    assert said == ["report", "report", "web hook failed"]


def test_a_web_hook_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "hook"
    path.write_text("https://example.org/secret\n")
    path.chmod(0o644)
    with pytest.raises(HookError, match="chmod 600"):
        hook(path)
    path.chmod(0o600)
    assert hook(path) == "https://example.org/secret"
    for wrong in ("secret", "https://[x/", "https://host/a b", "https://host:a/", "https://höst/"):
        path.write_text(wrong)
        with pytest.raises(HookError, match="holds no URL"):
            hook(path)
