"""A fleet: plans slices, gives them to workers, and keeps what they bring, without end.

All that it must know again after it was killed is in the store. The store may fail, and workers
and the scheduler may be lost: what was on its way then is planned again.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version

from db.records import Gone, NotFound, Refused, Status, StoredFinding, StoreError
from db.store import Store
from db.work import Delivery, FleetView, SliceRecord, SliceView, Wish
from fuzz import stopping
from fuzz.fleet import slices
from fuzz.fleet.cluster import Cluster, Ended, Helper, Sighted
from fuzz.fleet.corpus import CorpusStore
from fuzz.fleet.dispatch import Asked, Dispatch, running_by_leg
from fuzz.fleet.metrics import Metrics
from fuzz.fleet.place import ClusterError, Place, knock
from fuzz.fleet.room import Demand, Room
from fuzz.fleet.slices import Kind, Order
from fuzz.fleet.watch import Watch

BEAT_S = 5.0
"""How often the fleet says that it is there, and hears what is wished."""
TICK_S = 1.0
AGAIN_S = 5.0
"""How long it waits before it looks for a lost scheduler, or store, again."""
LOOK_S = 30.0
"""How often it looks which retests are due."""
GONE_S = 30.0
"""How long a slice waits for a worker that was lost to come back."""
ATTEMPTS = 3
"""How often a slice is tried that fails."""
LOST_ATTEMPTS = 20
"""How often one is tried whose workers are lost, for which it need not be to blame."""
FOLLOW_UPS = 4
"""One in so many slots may be busy with what is no campaign, but one always."""
WAITING = 1000
"""Planned slices that are looked through for what can be done."""

_UNLIMITED = (Kind.CAMPAIGN, Kind.MERGE, Kind.REPLAY)
"""Kinds that are no follow-ups."""

Say = Callable[..., None]
"""Takes an event's name and its fields."""


class Fleet:
    """`say` hears of all that happens; `metrics` of numbers that change. It ends by itself after so
    many `seconds`."""

    def __init__(
        self,
        store: Store,
        where: Place,
        asked: Asked,
        corpus: CorpusStore,
        say: Say,
        seconds: float = float("inf"),
        metrics: Metrics | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._store, self._where, self._asked = store, where, asked
        self._corpus, self._say = corpus, say
        self._seconds, self._metrics = seconds, metrics or Metrics()
        self._watch = watch
        self._holder = secrets.token_hex(8)
        self._cluster = Cluster(where)
        self._on_way: dict[str, SliceView] = {}
        self._wish = Wish.RUN
        self._stop = stopping.Request()
        self._next_beat = self._next_look = 0.0
        self._unsure: set[str] = set()
        """Slices that run by what the store may have noted, and that nobody was given."""
        self._helpers: list[Helper] = []
        self._unserved: set[tuple[str, str]] = set()
        self._alone: dict[str, float] = {}
        """Slices on their way that no worker is left for, and since when."""
        self._trouble = ""
        self.done: Counter[str] = Counter()
        """Slices that this fleet had done, by kind."""
        self._new: set[int] = set()
        self.dispatch = Dispatch(store, asked)

    @property
    def new_buckets(self) -> int:
        """How many buckets it found that are new, or came back."""
        return len(self._new)

    @property
    def stopped_by(self) -> int:
        """The signal that ended it, or 0."""
        return self._stop.number

    def run(self) -> None:
        """Lead until somebody wishes otherwise. Raises Refused if another fleet leads, and
        ClusterError, StoreError if there is nothing to begin with."""
        process = f"{socket.gethostname()}:{os.getpid()}"
        dead = _dead(self._store.fleet())
        options = asdict(self._asked) | {"corpus": self._corpus.url}
        if not self._where.local:
            knock(self._where)
        with stopping.patiently() as self._stop:
            memory = self._store.lead(self._holder, process, self._where.address, options, dead)
            try:
                self._corpus.check()
                self._store.put_back(said="the fleet ended")
                self.dispatch.recall()
                if self._watch is not None:
                    self._watch.recall(memory)
                self._cluster.open()
                self._say("fleet begins", address=self._where.address, legs=self._asked.legs)
                self._lead()
            finally:
                self._cluster.close()
                self._end()

    def _end(self) -> None:
        try:
            self._store.leave(self._holder, self._told())
            self._store.put_back(list(self._on_way), "the fleet ended", attempt=False)
        except Refused:
            pass  # another one leads, and has the slices
        except StoreError as error:
            self._say("store fails", why=str(error))

    def _lead(self) -> None:
        end = time.monotonic() + self._seconds
        while True:
            if self._stop:  # also while the store cannot be had
                return
            try:
                self._beat()
            except (Refused, Gone):
                raise
            except StoreError as error:
                self._fails(str(error))
                continue
            if time.monotonic() > end and self._wish is Wish.RUN:
                self._wish = Wish.DRAIN
            if self._wish is Wish.DRAIN and self._cluster.alive:
                self._safely(lambda: self._let_go(self._room()))
            if self._wish is Wish.STOP or (self._wish is Wish.DRAIN and not self._on_way):
                return
            if not self._cluster.alive and not self._found_again():
                continue
            if self._wish is Wish.RUN:
                self._safely(self._fill)
            self._listen()

    def _listen(self) -> None:
        """Take what comes back, for a while: however much that is, there is more to do."""
        until = time.monotonic() + TICK_S
        heard = self._cluster.next(TICK_S)
        while heard is not None:
            self._hear(heard)
            more = time.monotonic() < until and not self._stop
            heard = self._cluster.next(0.0) if more else None

    def _safely(self, work: Callable[[], None]) -> bool:
        """Do what takes the store, which may be gone for a while; False if it is."""
        try:
            work()
        except (Refused, Gone, NotFound):
            raise
        except StoreError as error:
            self._fails(str(error))
            return False
        return True

    def _fails(self, why: str) -> None:
        self._trouble = why
        self._say("store fails", why=why)
        self._pause()

    def _pause(self) -> None:
        """Let what fails come back, unless somebody wants to end."""
        until = time.monotonic() + AGAIN_S
        while time.monotonic() < until and not self._stop:
            time.sleep(TICK_S)

    # -- the cluster -------------------------------------------------------------------

    def _found_again(self) -> bool:
        """Look for a scheduler that was lost; what was on its way is planned again before."""
        if self._on_way:
            self._say("scheduler lost", slices=len(self._on_way))
            if not self._safely(self._put_back):
                return False
        self._cluster.close()
        self._cluster = Cluster(self._where)
        try:
            self._cluster.open()
        except ClusterError as error:
            self._trouble = str(error)
            self._pause()
            return False
        self._say("scheduler found")
        self._trouble = ""
        return True

    def _put_back(self) -> None:
        self._store.put_back(list(self._on_way), "the scheduler was lost", attempt=False)
        self._on_way.clear()

    # -- what is next ------------------------------------------------------------------

    def _fill(self) -> None:
        """Give every slot something to do."""
        if self._unsure:
            self._store.put_back(list(self._unsure), "it was not given away", attempt=False)
            self._unsure.clear()
        room = self._room()
        self._let_go(room)
        slots = sum(helper.slots for helper in self._helpers)
        now = time.monotonic()
        if slots and now >= self._next_look:
            self._next_look = now + LOOK_S
            queue = self._store.waiting_slices(WAITING, Kind.RETEST)
            able = sum(room.serves(slices.demand(one.spec["legs"])) for one in queue)
            self._store.plan_slices(self.dispatch.retests(_share(slots) - able))
        merge = self.dispatch.merge(
            self._on_way.values(), lambda legs: room.serves(slices.demand(legs))
        )
        if merge is not None and not self._store.plan_slices([merge]):
            self.dispatch.failed(merge)  # it was given up once, longer ago than was recalled
        if not room.has({}):
            return
        arms = {leg: slices.demand(legs) for leg, legs in self.dispatch.arms.items()}
        waiting = self._store.waiting_slices(WAITING)
        self._tell_unserved(room, arms, waiting)
        for one in waiting:
            if self._may(one, slots) and room.take(slices.demand(one.spec["legs"])):
                self._give(one)
        new = list(self._campaigns(room, arms))
        self._store.plan_slices(new)
        for record in new:
            self._give(record)

    def _room(self) -> Room:
        """What workers can take on now."""
        self._helpers = self._cluster.helpers()
        on_way = (slices.demand(one.spec["legs"]) for one in self._on_way.values())
        return Room(self._helpers, on_way)

    def _campaigns(self, room: Room, arms: Mapping[str, Demand]) -> Iterator[SliceRecord]:
        """One for each place that is still free."""
        running = running_by_leg(self._on_way)
        while True:
            unable = [leg for leg, demand in arms.items() if not room.has(demand)]
            new = self.dispatch.campaigns(1, running, unable)
            if not new:
                return
            room.take(arms[new[0].leg])
            running[new[0].leg] += 1
            yield new[0]

    def _tell_unserved(
        self, room: Room, arms: Mapping[str, Demand], waiting: Sequence[SliceView]
    ) -> None:
        """Say, once, which slices wait for a worker that is not there."""
        wanted = {(Kind.CAMPAIGN.value, leg): demand for leg, demand in arms.items()}
        wanted |= {(one.kind, one.leg): slices.demand(one.spec["legs"]) for one in waiting}
        unserved = {key for key, demand in wanted.items() if not room.serves(demand)}
        for kind, leg in sorted(unserved - self._unserved):
            self._say("no worker serves", kind=kind, leg=leg, needs=dict(wanted[kind, leg]))
        self._unserved = unserved

    def _may(self, one: SliceView, slots: int) -> bool:
        """Follow-ups leave most of the fleet to campaigns; merges build on one another."""
        kinds = Counter(other.kind for other in self._on_way.values())
        if one.kind == Kind.MERGE:
            return not kinds[Kind.MERGE]
        if one.kind in _UNLIMITED:
            return True
        busy = sum(count for kind, count in kinds.items() if kind not in _UNLIMITED)
        return busy < _share(slots)

    def _let_go(self, room: Room) -> None:
        """Plan again what is on its way and has had no worker for a while."""
        now = time.monotonic()
        self._alone = {
            one.id: self._alone.get(one.id, now)
            for one in self._on_way.values()
            if not room.serves(slices.demand(one.spec["legs"]))
        }
        queued = [name for name, since in self._alone.items() if now - since >= GONE_S]
        if not queued or not self._cluster.alive:
            return
        self._store.put_back(queued, "no worker was left for it")
        for slice_id in queued:
            self._cluster.forget(slice_id)
            del self._on_way[slice_id]

    def _give(self, one: SliceView | SliceRecord) -> None:
        finding = None
        if "finding" in one.spec:
            finding = self._store.finding(int(one.spec["finding"]))
        # Others may have been merged since it was planned.
        spec = self.dispatch.current(one) if one.kind == Kind.MERGE else one.spec
        order = Order(
            id=one.id,
            kind=one.kind,
            leg=one.leg,
            spec=spec,
            corpus=self._corpus.url,
            finding=finding,
            program=version("vcpufuzz"),
        )
        self._unsure.add(one.id)
        self._on_way[one.id] = self._store.begin_slice(one.id)
        self._unsure.remove(one.id)
        with suppress(ClusterError):  # it is gone: what is on its way is planned again
            self._cluster.submit(order, slices.demand(one.spec["legs"]), one.priority)
        self._say("slice begins", **_named(one))

    # -- what comes back ---------------------------------------------------------------

    def _hear(self, heard: Ended | Sighted) -> None:
        if isinstance(heard, Sighted):
            self._safely(lambda: self._sight(heard))
            return
        one = self._on_way.get(heard.slice_id)
        if one is None:
            return
        if heard.report is None:
            done = partial(self._failed, one, heard)
        else:
            delivery = self._with_news(one, heard.report.delivery)
            done = partial(self._deliver, one, heard.worker, delivery)
        # What came of a slice is kept in mind until the store takes it.
        while not self._safely(done):
            if self._stop:
                return  # it is done again, then
        del self._on_way[one.id]

    def _sight(self, heard: Sighted) -> None:
        one = self._on_way.get(heard.slice_id)
        stored = self._store.sight(heard.slice_id, heard.sighting)
        if one is not None and stored is not None:
            self._found(one, [stored])

    def _with_news(self, one: SliceView, delivery: Delivery) -> Delivery:
        """A delivery with what of it is new to the fleet."""
        if delivery.told is None:
            return delivery
        told, brought = self.dispatch.novelty.of(one.leg, delivery.told)
        return replace(delivery, told=told, counts={**delivery.counts, **brought})

    def _deliver(self, one: SliceView, worker: str, delivery: Delivery) -> None:
        delivered = self._store.deliver(one.id, worker, delivery)
        self._found(one, delivered.stored)
        # From here on nothing asks the store: what it refused is tried from the beginning.
        counts = {**delivery.counts, "buckets": delivered.buckets}
        self.dispatch.delivered(one, replace(delivery, counts=counts))
        self.done[one.kind] += 1
        self._metrics.ended(one.kind, one.leg, "done", counts)
        self._say("slice done", **_named(one), worker=worker, **counts)

    def _found(self, one: SliceView, stored: Sequence[StoredFinding]) -> None:
        new = {
            each.bucket_id: each.finding_id
            for each in stored
            if (each.new_bucket or each.regressed) and not each.muted
            if each.bucket_id not in self._new
            if self._store.bucket(each.bucket_id).status is Status.NEW
        }
        self._store.plan_slices(self.dispatch.after(one, stored))
        for bucket, finding in new.items():
            self._say("new bucket", bucket=f"B{bucket}", finding=f"F{finding}")
        self._new.update(new)

    def _failed(self, one: SliceView, ended: Ended) -> None:
        again = one.attempts < (LOST_ATTEMPTS if ended.lost else ATTEMPTS)
        if again:
            self._store.put_back([one.id], ended.said)
        else:
            self._store.fail_slice(one.id, ended.said)
            self.dispatch.failed(one)
        self._metrics.ended(one.kind, one.leg, "again" if again else "failed", {})
        self._say("slice failed", **_named(one), why=ended.said, again=again)

    # -- what it says of itself --------------------------------------------------------

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        memory = None
        if self._watch is not None and self._wish is Wish.RUN:
            self._watch.turn()
            memory = self._watch.remembered()
        wish = self._store.beat(self._holder, self._told(), memory)
        self._next_beat = now + BEAT_S
        self._trouble = ""  # what lasts is said anew before the next one
        running = Counter(one.kind for one in self._on_way.values())
        self._metrics.now(len(self._helpers), running, self.dispatch.cases)
        if wish is not Wish.RUN:
            self._wish = wish

    def _told(self) -> dict[str, object]:
        """What status shows."""
        rates = self.dispatch.rates
        return {
            "workers": [asdict(helper) for helper in self._helpers],
            "on_their_way": [_named(one) for one in self._on_way.values()],
            "legs": {
                leg: {
                    "cpu_seconds": round(rate.cpu_seconds, 1),
                    "per_cpu_hour": {k: round(rate.per_hour(k), 1) for k in rate.brought},
                    "resting": leg in self.dispatch.resting,
                }
                for leg, rate in rates.items()
            },
            "corpus": {"url": self._corpus.url, "cases": self.dispatch.cases},
            "trouble": self._trouble,
        }


def _share(slots: int) -> int:
    """How many of the slots may be busy with follow-ups."""
    return max(1, slots // FOLLOW_UPS)


def _named(one: SliceView | SliceRecord) -> dict[str, str]:
    return {"slice": one.id[:12], "kind": one.kind, "leg": one.leg}


def _dead(view: FleetView | None) -> str:
    """The holder of a fleet that was killed on this very machine: nobody need wait for it."""
    host, _, pid = view.process.rpartition(":") if view is not None else ("", "", "")
    if view is None or host != socket.gethostname():
        return ""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return view.holder
    except (PermissionError, ValueError):
        return ""
    return ""
