"""What a fleet counts, for Prometheus. Workers serve Dask's own numbers at the same path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from fuzz.fleet import plan
from targets.kvm.remote import address
from targets.kvm.remote.address import Address


class MetricsError(RuntimeError):
    """There is no such address to serve metrics at; the message is one sentence."""


def endpoint(text: str) -> Address:
    """Where metrics are served. Raises MetricsError."""
    try:
        return address.parse(text)
    except address.AddressError as error:
        raise MetricsError(str(error)) from None


class Metrics:
    """The numbers of one fleet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "vcpufuzz_fleet"}
        self._slices = Counter(
            "slices", "Slices that ended, by kind, leg and how.", ["kind", "leg", "how"], **own
        )
        self._sums = {
            name: Counter(name, about, ["leg"], **own)
            for name, about in (
                ("cases", "Cases that campaigns ran."),
                ("cpu_seconds", "CPU time that slices took."),
                ("divergences", "Divergences seen, before confirmation."),
                *((kind, f"New {kind} that slices brought.") for kind in plan.WEIGHTS),
            )
        }
        self._traffic = Counter("corpus_bytes", "Corpus traffic of workers.", ["way"], **own)
        self._workers = Gauge("workers", "Workers that are there.", **own)
        self._running = Gauge("slices_running", "Slices on their way, by kind.", ["kind"], **own)
        self._corpus = Gauge("corpus_cases", "Cases in the corpus.", **own)

    def serve(self, where: Address) -> None:
        """Serve them from a thread. Raises MetricsError."""
        try:
            start_http_server(where.port, where.host, self.registry)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise MetricsError(f"metrics cannot be served at {where}: {why}") from None

    def ended(self, kind: str, leg: str, how: str, counts: Mapping[str, Any]) -> None:
        """A slice is done, or failed."""
        self._slices.labels(kind, leg, how).inc()
        for name, counter in self._sums.items():
            counter.labels(leg).inc(float(counts.get(name, 0)))
        for way in ("fetched", "sent"):
            self._traffic.labels(way).inc(float(counts.get(f"bytes_{way}", 0)))

    def now(self, workers: int, running: Mapping[str, int], corpus: int) -> None:
        """How things stand."""
        self._workers.set(workers)
        self._corpus.set(corpus)
        self._running.clear()
        for kind, number in running.items():
            self._running.labels(kind).set(number)
