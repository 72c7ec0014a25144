"""Dask, as a fleet needs it: slices go to workers, and what came of them comes back.

The one place that knows what Dask's client does when workers or the scheduler are lost.
"""

from __future__ import annotations

import logging
import pickle
import secrets
import tempfile
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.diskutils import WorkSpace

from db.work import Sighting
from fuzz.fleet.offers import memory_mb, offered, scratch_directory
from fuzz.fleet.place import CONNECT_S, ClusterError, Place, knock, quiet, spare_tracker, why
from fuzz.fleet.slices import Order
from fuzz.fleet.task import Report, SliceFailed, perform

TOPIC = "vcpufuzz-sighted"
"""Under which workers tell of findings while a slice runs."""


@dataclass(frozen=True, slots=True)
class Helper:
    """A worker as the scheduler knows it. `slots`: slices that it does at once."""

    name: str
    slots: int
    offers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ended:
    """A slice came to an end. Without a report it failed: `lost` says that nobody knows how,
    since workers died or the scheduler did."""

    slice_id: str
    worker: str = ""
    report: Report | None = None
    said: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Sighted:
    """A finding of a slice that still runs."""

    slice_id: str
    sighting: Sighting


class Cluster:
    """A connection to workers, until it breaks. Everything but `next` is for one thread."""

    def __init__(self, where: Place) -> None:
        self._where = where
        self._heard: SimpleQueue[Ended | Sighted] = SimpleQueue()
        self._futures: dict[str, Future[Any]] = {}
        self._local: LocalCluster | None = None
        self._client: Client | None = None

    def open(self) -> None:
        """Connect, or start the workers of this machine. Raises ClusterError."""
        quiet()
        if not self._where.local:
            knock(self._where)
        security = self._where.certificates.security() if self._where.certificates else None
        try:
            if self._where.local:
                spare_tracker()
                self._local = LocalCluster(
                    n_workers=self._where.local,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    memory_limit=0,
                    local_directory=str(scratch_directory()),
                    resources=offered(memory_mb() // self._where.local),
                )
            self._client = Client(
                self._local or self._where.address,
                timeout=CONNECT_S,
                security=security,
                set_as_default=False,
            )
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            self.close()
            raise ClusterError(f"{self._where.address}: {why(error)}") from None
        self._client.subscribe_topic(TOPIC, self._on_sighted)

    def close(self) -> None:
        """Let go of it; what runs elsewhere is not wanted any more. Idempotent."""
        for future in self._futures.values():
            with suppress(Exception):
                future.cancel()
        self._futures.clear()
        client, self._client = self._client, None
        local, self._local = self._local, None
        for part in (client, local):
            if part is not None:
                with suppress(Exception):
                    part.close(timeout=5)
        if local is not None:
            _sweep()

    @property
    def alive(self) -> bool:
        """Whether the scheduler is there."""
        return self._client is not None and self._client.status == "running"

    def helpers(self) -> list[Helper]:
        """Who is there to do slices."""
        if self._client is None:
            return []
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # it went just now
            return []
        return [
            Helper(str(one["name"]), int(one["nthreads"]), dict(one["resources"]))
            for one in workers.values()
        ]

    def submit(self, order: Order, demand: Mapping[str, float], priority: int) -> None:
        """Have a slice done. Raises ClusterError."""
        assert self._client is not None
        try:
            future = self._client.submit(
                _on_worker,
                order,
                # With the name of an earlier try, Dask might go on with that.
                key=f"{order.kind}-{order.id[:16]}-{secrets.token_hex(4)}",
                resources=dict(demand),
                priority=priority,
                pure=False,
            )
        except Exception as error:
            raise ClusterError(f"{self._where.address}: {why(error)}") from None
        self._futures[order.id] = future
        future.add_done_callback(partial(self._on_done, order.id))

    def forget(self, slice_id: str) -> None:
        """Nobody waits for a slice any more."""
        future = self._futures.pop(slice_id, None)
        if future is not None:
            with suppress(Exception):
                future.cancel()

    def next(self, seconds: float) -> Ended | Sighted | None:
        """What comes back within so many seconds, if something does."""
        try:
            heard = self._heard.get(timeout=seconds)
        except Empty:
            return None
        if isinstance(heard, Ended):
            self._futures.pop(heard.slice_id, None)
        return heard

    def _on_sighted(self, event: tuple[float, Any]) -> None:
        slice_id, sighting = pickle.loads(event[1])
        self._heard.put(Sighted(slice_id, sighting))

    def _on_done(self, slice_id: str, future: Future[Any]) -> None:
        if self._futures.get(slice_id) is not future:
            return  # it was given up before
        self._heard.put(self._ended(slice_id, future))

    @staticmethod
    def _ended(slice_id: str, future: Future[Any]) -> Ended:
        try:
            worker, report = future.result(timeout=60)
        except SliceFailed as error:
            return Ended(slice_id, said=str(error))
        except KilledWorker as error:
            return Ended(slice_id, said=f"it cost {error.allowed_failures + 1} workers", lost=True)
        except (CancelledError, TimeoutError, OSError):
            return Ended(slice_id, said="the scheduler was lost", lost=True)
        except Exception as error:  # whatever else happens over there
            return Ended(slice_id, said=f"{type(error).__name__}: {error}")
        return Ended(slice_id, worker, report)


def _sweep() -> None:
    """Throw away what workers that were killed had on disk, as Dask does for whoever begins."""
    with suppress(OSError):
        space = WorkSpace(str(scratch_directory() / "dask-scratch-space"))
        space.new_work_dir(prefix="sweep-").release()


def _on_worker(order: Order) -> tuple[str, Report]:
    """A slice, in a thread of a worker."""
    worker = get_worker()
    tempfile.tempdir = worker.local_directory  # so that nothing stays of a worker that is killed
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    def sighted(sighting: Sighting) -> None:
        worker.log_event(TOPIC, pickle.dumps((order.id, sighting)))

    return str(worker.name), perform(order, wanted, sighted)
