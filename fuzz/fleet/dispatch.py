"""What a fleet wants done next, out of what the store says: campaigns, merges, follow-ups.

A fleet that starts reads here what was planned, done and left by the one before it, and goes on.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from db.records import BucketView, NotFound, StoredFinding
from db.store import Store
from db.work import Delivery, SliceRecord, SliceView, State
from fuzz.fleet import plan, slices
from fuzz.fleet.novelty import Novelty
from fuzz.fleet.slices import Kind
from fuzz.followup.retest import affected
from fuzz.oracle import agreement

HISTORY = 200
"""Finished campaigns out of which the plan is made."""
MERGE_MOST = 2000
"""Cases that one slice merges at most."""
RETEST_EVERY = timedelta(days=1)
RETEST_TIMES = 3
DUE = 200
"""Buckets among which those to be run again are looked for."""
MINIMISE_S = 60.0
REST = timedelta(minutes=10)
"""How long a leg is left alone that could not be had."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a fleet is asked for. `seconds`: of a campaign's slice; `floor`: the part of the time
    that all legs have in equal parts; `seed`: of the first slice, the next has the next."""

    legs: tuple[str, ...]
    seconds: float = 300.0
    floor: float = plan.FLOOR
    seed: int = 1


class Dispatch:
    """Says which slices to plan, and takes note of those that come back. Raises StoreError."""

    def __init__(self, store: Store, asked: Asked) -> None:
        self._store, self._asked = store, asked
        self.arms = slices.arms(asked.legs)
        self.novelty = Novelty()
        self.history: deque[plan.Yield] = deque(maxlen=HISTORY)
        self.snapshot = ""
        self.cases = 0
        """In the corpus."""
        self.fresh: dict[str, dict[str, None]] = defaultdict(dict)
        """By leg, cases that campaigns left and no slice has merged yet."""
        self._resting: dict[str, datetime] = {}
        self._next_seed = asked.seed

    def recall(self) -> None:
        """Take up what the store says of slices that are done: to be called first."""
        merges = self._store.finished_slices(Kind.MERGE, HISTORY)
        failed = self._store.finished_slices(Kind.MERGE, HISTORY, State.FAILED)
        merged = {name for one in (*merges, *failed) for name in one.spec["fresh"]}
        if merges:
            self.snapshot = str(merges[0].result["snapshot"])
            self.cases = int(merges[0].result["cases"])
        for done in reversed(self._store.finished_slices(Kind.CAMPAIGN, HISTORY)):
            self._note(done, done.counts, done.result, merged)
            if done.campaign_id is not None:
                self._recall_campaign(done.leg, done.campaign_id)
        planned = self._store.slice_counts()
        self._next_seed += sum(one.slices for one in planned if one.kind == Kind.CAMPAIGN)

    def _recall_campaign(self, leg: str, campaign: int) -> None:
        self.novelty.pairs(leg, self._store.campaign(campaign).statistics)
        for one in self._store.coverage(campaign):
            for reached in one.reached:
                self.novelty.blocks(one.leg.digest, reached.blocks)

    # -- what comes back ---------------------------------------------------------------

    def delivered(self, done: SliceView | SliceRecord, delivery: Delivery) -> None:
        """A slice is done, and what it brought is stored."""
        if done.kind == Kind.CAMPAIGN:
            self._resting.pop(done.leg, None)
            self._note(done, delivery.counts, delivery.result, frozenset())
        elif done.kind == Kind.MERGE:
            self.snapshot = str(delivery.result["snapshot"])
            self.cases = int(delivery.result["cases"])
            self._merged(done)

    def failed(self, one: SliceView | SliceRecord) -> None:
        """A slice is given up: the leg of a campaign is left alone for a while; what could not be
        merged is left out, or the next merge would fail by it as well."""
        if one.kind == Kind.CAMPAIGN:
            self._resting[one.leg] = datetime.now(UTC) + REST
        elif one.kind == Kind.MERGE:
            self._merged(one)

    def _merged(self, one: SliceView | SliceRecord) -> None:
        for name in one.spec["fresh"]:
            self.fresh[one.leg].pop(name, None)

    def _note(
        self,
        done: SliceView | SliceRecord,
        counts: Mapping[str, int],
        result: Mapping[str, Sequence[str]],
        merged: frozenset[str] | set[str],
    ) -> None:
        brought = {kind: int(counts.get(kind, 0)) for kind in plan.WEIGHTS}
        self.history.append(plan.Yield(done.leg, float(counts["cpu_seconds"]), brought))
        if "origin" in done.spec and done.leg not in self.arms:
            return  # a kernel that is tried once: few workers have it
        new = (name for name in result.get("fresh", ()) if name not in merged)
        self.fresh[done.leg].update(dict.fromkeys(new))

    # -- what is next ------------------------------------------------------------------

    @property
    def resting(self) -> list[str]:
        """Legs that are left alone for now."""
        now = datetime.now(UTC)
        return [leg for leg, until in self._resting.items() if until > now]

    @property
    def rates(self) -> dict[str, plan.Rate]:
        """How each leg did lately."""
        return plan.rates(list(self.arms), self.history)

    def campaigns(
        self, count: int, running: Mapping[str, int], unable: Sequence[str]
    ) -> list[SliceRecord]:
        """The next campaigns. `running`: how many of a leg are on their way; `unable`: legs for
        which no worker has what it takes."""
        legs = plan.next_legs(
            list(self.arms),
            self.history,
            running,
            count,
            {*self.resting, *unable},
            self._asked.floor,
        )
        found = []
        for leg in legs:
            seed = self._next_seed % (1 << 31) or 1
            self._next_seed += 1
            found.append(
                slices.campaign(leg, self.arms[leg], seed, self._asked.seconds, self.snapshot)
            )
        return found

    def merge(
        self,
        on_way: Collection[SliceView | SliceRecord],
        serves: Callable[[Sequence[str]], bool],
    ) -> SliceRecord | None:
        """A merge of what the leg left that left most, of those that a worker `serves`, if there is
        something and none is on its way or about to be: each begins with the snapshot of the one
        before."""
        able = {leg: legs for leg in self.fresh if serves(legs := self.arms.get(leg, (leg,)))}
        leg = max(able, key=lambda leg: len(self.fresh[leg]), default="")
        if not leg or not self.fresh[leg] or any(one.kind == Kind.MERGE for one in on_way):
            return None
        if any(serves(one.spec["legs"]) for one in self._store.waiting_slices(HISTORY, Kind.MERGE)):
            return None
        fresh = list(self.fresh[leg])[:MERGE_MOST]
        spec = {"legs": list(able[leg]), "snapshot": self.snapshot, "fresh": fresh}
        return slices.make(Kind.MERGE, leg, spec)

    def current(self, merge: SliceView | SliceRecord) -> Mapping[str, Any]:
        """What a merge is to do now: it adds to what was merged while it waited."""
        return {**merge.spec, "snapshot": self.snapshot}

    def after(
        self, one: SliceView | SliceRecord, stored: Sequence[StoredFinding]
    ) -> Iterator[SliceRecord]:
        """What new buckets of a slice ask for: a smaller case, how all legs do, and on a branch
        that is watched, which commit it was."""
        for number in sorted({one.bucket_id for one in stored if one.new_bucket}):
            bucket = self._store.bucket(number)
            if bucket.status != "new":
                continue
            legs = self._legs_of(bucket)
            spec = {"bucket": number, "finding": self._store.best_finding(number)}
            origin = one.spec.get("origin", {})
            # Who does it may not have the kernel that it was seen on.
            there = spec | ({"origin": origin} if origin else {})
            # By when this is asked again, there may be another finding, and more legs.
            made = partial(slices.make, key=(number, one.id))
            first = list(slices.servable(legs)[0])
            yield made(Kind.MINIMISE, legs[0], there | {"legs": first, "seconds": MINIMISE_S})
            if origin.get("tree") and origin.get("before"):
                ends = {"good": origin["before"], "bad": origin["commit"]}
                where = {"tree": origin["tree"], "legs": legs}
                yield made(Kind.BISECT, legs[0], spec | ends | where)
            tested = list(dict.fromkeys((*self._asked.legs, *legs)))
            for part in slices.servable(tested):
                key: tuple[str | int, ...] = (number, one.id, *sorted(slices.demand(part)))
                yield slices.make(Kind.MATRIX, legs[0], there | {"legs": list(part)}, key=key)

    def retests(self, most: int) -> Iterator[SliceRecord]:
        """Buckets whose turn it is to be run again and which nobody was asked to, those that waited
        longest first."""
        if most <= 0:
            return
        now = datetime.now(UTC)
        for number in self._store.due_for_retest(now - RETEST_EVERY, DUE):
            for wanted in self._retest(number):
                # One that failed, or that nobody can do, must not keep the others from their turn.
                if self._store.slices([wanted.id]):
                    continue
                yield wanted
                most -= 1
                if not most:
                    return

    def _retest(self, number: int) -> Iterator[SliceRecord]:
        bucket = self._store.bucket(number)
        try:
            finding = self._store.best_finding(number)
        except NotFound:
            return  # nothing of it stands any more
        spec = {
            "bucket": number,
            "finding": finding,
            "times": RETEST_TIMES,
            "since": (bucket.retested or bucket.first_seen).isoformat(),
        }
        whole = affected(bucket)
        # Legs that are held against each other say nothing apart.
        apart = bucket.signature.oracle != agreement.ORACLE
        for legs in slices.servable(whole) if apart else [whole]:
            if legs:
                yield slices.make(Kind.RETEST, legs[0], spec | {"legs": list(legs)})

    def _legs_of(self, bucket: BucketView) -> list[str]:
        """The legs on which a bucket shows, with the references that judge them."""
        legs = [leg for leg, vote in bucket.votes.items() if vote["deviated"]]
        references = [leg for leg in self._asked.legs if leg not in self.arms]
        return [*legs, *(leg for leg in references if leg not in legs)]


def running_by_leg(on_their_way: Mapping[str, SliceView | SliceRecord]) -> Counter[str]:
    """Campaigns that are on their way, by leg."""
    return Counter(one.leg for one in on_their_way.values() if one.kind == Kind.CAMPAIGN)
