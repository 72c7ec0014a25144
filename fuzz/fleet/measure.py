"""What a slice costs whom, measured on this machine."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import Client, LocalCluster

from db.store import Store
from db.work import Delivery, SliceView
from fuzz.fleet import plan, slices
from fuzz.fleet.corpus import CorpusStore
from fuzz.fleet.novelty import Novelty
from fuzz.fleet.place import quiet
from fuzz.fleet.simulate import Costs
from fuzz.fleet.slices import Kind, Order
from fuzz.fleet.task import Report, perform

TASKS = 200
DELIVERIES = 10
LEGS = ("model", "emulator:keep")


def sample(legs: Sequence[str], seconds: float) -> Report:
    """A real slice, of so many seconds. Raises SliceFailed."""
    with TemporaryDirectory(prefix="vcpufuzz-") as folder:
        CorpusStore(folder).check()
        one = slices.campaign(legs[-1], legs, 1, seconds, "")
        return perform(Order(one.id, one.kind, one.leg, one.spec, folder))


def scheduler_seconds() -> float:
    """What the scheduler takes for a task, with the client's and the worker's part in it, so that
    it is rather less."""
    quiet()
    with (
        TemporaryDirectory(prefix="vcpufuzz-") as folder,
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            local_directory=folder,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.submit(int, 1).result()
        began = time.process_time()
        client.gather(client.map(abs, range(TASKS), pure=False))
        return (time.process_time() - began) / TASKS


def store_seconds(url: str, delivery: Delivery) -> float:
    """What the store takes for planning, beginning and delivering a slice; it is kept there, so
    this is for a database of one's own. Raises StoreError."""
    took = []
    with Store.open(url) as store:
        for turn in range(DELIVERIES):
            one = slices.make(Kind.CAMPAIGN, LEGS[-1], {"legs": list(LEGS), "turn": turn})
            began = time.perf_counter()
            store.plan_slices([one])
            store.begin_slice(one.id)
            store.deliver(one.id, "measured", delivery)
            took.append(time.perf_counter() - began)
    return min(took)  # what else the machine does only adds to it


def leader_seconds(delivery: Delivery) -> float:
    """What the leader computes for a slice beside that."""
    assert delivery.told is not None
    novelty = Novelty()
    took = []
    for _ in range(DELIVERIES):
        began = time.process_time()
        novelty.of(LEGS[-1], delivery.told)
        took.append(time.process_time() - began)
    return min(took)


def costs(slice_s: float, report: Report, done: Sequence[SliceView], url: str = "") -> Costs:
    """Of a campaign's slice of so many seconds: by the slices that a store has, where it has some,
    else by a sample. `url`: a database to be measured instead of a file."""
    delivery = report.delivery
    with TemporaryDirectory(prefix="vcpufuzz-") as folder:
        stored = store_seconds(url or str(Path(folder) / "t.db"), delivery)
    measured = Costs(
        slice_s=slice_s,
        cpu_s=report.cpu_seconds * slice_s / max(report.seconds, 0.1),
        scheduler_s=scheduler_seconds(),
        leader_s=leader_seconds(delivery),
        store_s=stored,
        fetched=float(delivery.counts["bytes_fetched"]),
        sent=float(delivery.counts["bytes_sent"]),
    )
    campaigns = [one.counts for one in done if one.kind == Kind.CAMPAIGN and one.counts]
    if not campaigns:
        return measured
    return replace(
        measured,
        cpu_s=statistics.mean(float(one["cpu_seconds"]) for one in campaigns),
        fetched=statistics.mean(float(one["bytes_fetched"]) for one in campaigns),
        sent=statistics.mean(float(one["bytes_sent"]) for one in campaigns),
    )


def brings(done: Sequence[SliceView], legs: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """What a slice of each leg brought on average; of one that no slice was of, a little."""
    found: dict[str, Mapping[str, int]] = {}
    for leg in legs:
        mine = [one.counts for one in done if one.leg == leg and one.kind == Kind.CAMPAIGN]
        found[leg] = {
            kind: round(statistics.mean(int(one.get(kind, 0)) for one in mine)) if mine else 1
            for kind in plan.WEIGHTS
        }
    return found
