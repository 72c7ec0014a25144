"""A fleet whose steps are taken by hand, with a store that fails when it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from test_db_store import KVM, MODEL, RECORD

from db.records import StoreError
from db.store import Store
from db.work import Delivery, State, Told
from fuzz.fleet.cluster import Ended, Helper, Sighted
from fuzz.fleet.corpus import CorpusStore
from fuzz.fleet.dispatch import Asked
from fuzz.fleet.fleet import Fleet
from fuzz.fleet.place import Place
from fuzz.fleet.slices import Kind, Order
from fuzz.fleet.task import Report
from fuzz.fleet.watch import Watch

LEG = "emulator:keep"
ABLE = {"memory": 4096.0, "lab": 1.0}


class Shaky(Store):
    """A store that fails as often as it is told to, before what it is asked for or after it."""

    fails: dict[str, int]
    after: bool

    def _shake(self, name: str, before: bool) -> None:
        fails = self.__dict__.setdefault("fails", {})
        if fails.get(name) and before is not self.__dict__.get("after", False):
            fails[name] -= 1
            raise StoreError(f"{name} failed")


def _shaky(name: str) -> Any:
    def call(self: Shaky, *args: Any, **more: Any) -> Any:
        self._shake(name, True)
        done = getattr(Store, name)(self, *args, **more)
        self._shake(name, False)
        return done

    return call


for _name in ("plan_slices", "deliver", "put_back", "fail_slice", "beat", "bucket", "begin_slice"):
    setattr(Shaky, _name, _shaky(_name))


class Hands:
    """A cluster whose workers do nothing: what comes back is put into `heard`."""

    def __init__(self, helpers: list[Helper]) -> None:
        self.there = helpers
        self.heard: list[Ended | Sighted] = []
        self.given: dict[str, Order] = {}
        self.alive = True

    def open(self) -> None: ...
    def close(self) -> None: ...

    def helpers(self) -> list[Helper]:
        return self.there

    def forget(self, slice_id: str) -> None:
        del self.given[slice_id]

    def submit(self, order: Order, demand: Mapping[str, float], *_: object) -> None:
        self.given[order.id] = order

    def next(self, seconds: float) -> Ended | Sighted | None:
        return self.heard.pop(0) if self.heard else None

    def of(self, kind: Kind) -> list[Order]:
        return [one for one in self.given.values() if one.kind == kind]


def _holder(store: Store) -> str:
    view = store.fleet()
    return view.holder if view is not None else ""


class Led:
    """A fleet whose steps are taken by hand."""

    def __init__(
        self,
        store: Shaky,
        hands: Hands,
        folder: Path,
        watch: Watch | None = None,
        legs: tuple[str, ...] = ("model", LEG),
    ) -> None:
        self.store, self.hands, self.said = store, hands, list[tuple[str, dict[str, Any]]]()
        corpus = CorpusStore(str(folder / "corpus"))
        self.fleet = Fleet(
            store,
            Place("local:1", 1),
            Asked(legs),
            corpus,
            lambda event, **fields: self.said.append((event, fields)),
            watch=watch,
        )
        self.fleet._cluster = hands  # type: ignore[assignment]
        store.lead(self.fleet._holder, "host:1", "local:1", {}, _holder(store))
        if watch is not None:
            watch.recall({})

    def fill(self) -> None:
        self.fleet._safely(self.fleet._fill)

    def hear(self, heard: Ended | Sighted) -> None:
        self.fleet._hear(heard)

    def beat(self) -> None:
        self.fleet._next_beat = 0.0
        self.fleet._safely(self.fleet._beat)

    def done(self, order: Order, delivery: Delivery) -> Ended:
        return Ended(order.id, "w", Report(delivery, 1.0, 1.0))

    def states(self) -> dict[str, State]:
        return {one.id: one.state for one in self.store.slices(self.hands.given)}

    def planned(self) -> list[str]:
        return sorted(one.kind for one in self.store.waiting_slices(99))


def campaign_told() -> Delivery:
    told = Told(seed=1, legs=(MODEL, KVM), findings=[RECORD])
    return Delivery(told, counts={"cpu_seconds": 1.0, "cases": 3}, result={"fresh": ["a" * 16]})
