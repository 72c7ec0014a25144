"""Dask, as a fleet needs it: slices go to workers, and what came of them comes back.

The one place that knows what Dask's client does when workers or the scheduler are lost.
"""

from __future__ import annotations

import logging
import pickle
import re
import secrets
import socket
import ssl
import warnings
from collections.abc import Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, Security, get_worker

from db.work import Sighting
from fuzz.fleet.offers import memory_mb, offered, scratch_directory
from fuzz.fleet.slices import Order
from fuzz.fleet.task import Report, SliceFailed, perform

TOPIC = "vcpufuzz-sighted"
"""Under which workers tell of findings while a slice runs."""

CONNECT_S = 10.0
"""How long a scheduler may take to answer."""

LOSSES = 10
"""Workers that a slice may lose before it is given back, where the scheduler is ours."""

_PLACE = re.compile(r"local:([1-9][0-9]{0,2})|(tcp|tls)://[^\s/]+:[0-9]{1,5}")

SETTINGS: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": LOSSES,
    "distributed.worker.daemon": True,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""Of Dask, wherever a part of a fleet runs."""


class ClusterError(RuntimeError):
    """There is no such cluster, or it lets nobody in; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of TLS: the authority that everybody's certificate must come from, and one's own."""

    authority: Path
    certificate: Path
    key: Path

    def check(self) -> None:
        """Find out whether they are what they have to be. Raises ClusterError."""
        try:
            context = ssl.create_default_context(cafile=str(self.authority))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            names = f"{self.authority}, {self.certificate} and {self.key}"
            said = getattr(error, "reason", None) or error.__class__.__name__
            words = str(said).replace("_", " ").lower()
            raise ClusterError(f"{names} are no certificates and key: {words}") from None

    def security(self) -> Security:
        """The same for Dask, for whichever part one is."""
        mine: dict[str, str] = {"tls_ca_file": str(self.authority)}
        for role in ("client", "worker", "scheduler"):
            mine[f"tls_{role}_cert"] = str(self.certificate)
            mine[f"tls_{role}_key"] = str(self.key)
        return Security(require_encryption=True, **mine)


@dataclass(frozen=True, slots=True)
class Place:
    """Where slices are done: `local` processes of this machine, or the scheduler at `address`."""

    address: str
    local: int = 0
    certificates: Certificates | None = None


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


def place(text: str, certificates: Certificates | None = None) -> Place:
    """A cluster address: `local:N`, `tcp://HOST:PORT` or `tls://HOST:PORT`. Raises
    ClusterError."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ClusterError(
            f"{text!r} is no cluster: write local:2, tcp://HOST:PORT or tls://HOST:PORT"
        )
    if match[2] == "tls" and certificates is None:
        raise ClusterError(f"{text} takes --tls-ca, --tls-cert and --tls-key")
    if match[2] != "tls" and certificates is not None:
        raise ClusterError(f"{text} does without certificates: with them, write tls://HOST:PORT")
    return Place(text, int(match[1] or 0), certificates)


def knock(where: Place) -> None:
    """Find out at once whether anybody listens there, where Dask would go on trying. Raises
    ClusterError."""
    host, _, port = where.address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(f"{where.address}: {why(error)}") from None


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


def _on_worker(order: Order) -> tuple[str, Report]:
    """A slice, in a thread of a worker."""
    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    def sighted(sighting: Sighting) -> None:
        worker.log_event(TOPIC, pickle.dumps((order.id, sighting)))

    return str(worker.name), perform(order, wanted, sighted)


def quiet() -> None:
    """Dask's settings for a fleet, and its logs off the screen: what matters is said by us."""
    dask.config.set(SETTINGS)
    warnings.filterwarnings("ignore", module="distributed")
    ours = ("distributed", "tornado", "asyncio")
    for name in (*ours, *logging.root.manager.loggerDict):
        if name.startswith(ours):  # Dask sets a level at each of its own
            logging.getLogger(name).setLevel(logging.CRITICAL)


def why(error: BaseException) -> str:
    """One sentence of what Dask says in several."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    said = str(deepest) or type(deepest).__name__
    for sign, sentence in _SENTENCES.items():
        if sign in said.lower() or sign in str(error).lower():
            return sentence
    return " ".join(said.split())[:300]


_SENTENCES: Mapping[str, str] = {
    "refused": "no scheduler listens there",
    **dict.fromkeys(
        ("certificate", "ssl", "<tls"),
        "its certificates and ours are not from one authority, or one of us goes without",
    ),
    "timed out": "no scheduler answers there",
    "name or service not known": "there is no such host",
    "temporary failure in name resolution": "there is no such host",
    "port must be": "there is no such port",
}
