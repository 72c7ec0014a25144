"""What a campaign finds, into the store: findings, sightings, and what broke its machines."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from corpus.fault import FaultKind
from corpus.kept import KeptCase
from db.records import FindingRecord, LegRecord, SignatureRecord, Status
from db.store import Store
from fuzz.campaign.status import BucketStatus, Reruns
from fuzz.oracle.knowledge import Knowledge
from fuzz.worker import events, travel


class Ledger:
    """Keeps the books of one campaign. `log` gets a line for people."""

    def __init__(self, store: Store, log: Callable[[str], None]) -> None:
        self._store, self._log = store, log
        self._buckets: dict[int, BucketStatus] = {}
        self._new: set[int] = set()
        self._knowledge = Knowledge.shipped()
        self._incidents: Counter[tuple[str, str, bool]] = Counter()
        self._restarts: dict[str, list[float]] = defaultdict(list)
        self._retested: set[int] = set()
        self._fixed: set[int] = set()
        self._same: dict[int, int] = {}
        self._again: Counter[SignatureRecord] = Counter()
        self._ids: dict[SignatureRecord, int] = {}
        self.legs: dict[str, LegRecord] = {}
        self.new_buckets = 0
        self.hangs = 0

    @property
    def buckets(self) -> tuple[BucketStatus, ...]:
        """Every bucket seen, oldest first."""
        return tuple(sorted(self._buckets.values(), key=lambda bucket: bucket.id))

    @property
    def incidents(self) -> Mapping[str, int]:
        """How often machines broke by themselves, by kind."""
        counted: Counter[str] = Counter()
        for (_, kind, investigating), count in self._incidents.items():
            if not investigating:
                counted[kind] += count
        return counted

    @property
    def expired(self) -> Sequence[str]:
        """Records of known defects that are not believed any more, in a sentence each."""
        return self._knowledge.expired(self.legs.values())

    def found(self, campaign: int, event: events.Found) -> None:
        """A worker found something. Raises StoreError."""
        record = travel.finding(event)
        stored = self._store.add_finding(campaign, record)
        explained = self._known_from(record)
        if not explained and _hung(record):
            self.hangs += 1
        if stored.new_bucket and explained:
            self._store.set_status(stored.bucket_id, Status.KNOWN, actor=explained.path.name)
            self._store.add_note(stored.bucket_id, explained.about, actor=explained.path.name)
        elif (stored.new_bucket or stored.regressed) and not stored.muted:
            self.new_buckets += 1
            self._new.add(stored.bucket_id)
        self._refresh(record.signature)
        novelty = "new" if stored.bucket_id in self._new else "known"
        self._log(f"{novelty} divergence, bucket {stored.bucket_id}: {record.explanation[:160]}")

    def again(self, signature: SignatureRecord) -> None:
        """A bucket was seen again; the store hears of it now or at the next `settle`, since where
        every third case deviates, as many writes are a fifth of a campaign's own work. Raises
        StoreError."""
        self._again[signature] += 1
        known = self._ids.get(signature)
        if known is None:
            self.settle()
        else:
            bucket = self._buckets[known]
            self._buckets[known] = replace(bucket, count=bucket.count + 1)

    def settle(self) -> None:
        """Tell the store of what was seen again since the last time. Raises StoreError."""
        while self._again:
            signature, times = next(iter(self._again.items()))
            self._store.count_again(signature, times)
            del self._again[signature]
            self._refresh(signature)

    def akin(self, campaign: int, event: events.Akin) -> None:
        """Two buckets are probably the same. Raises StoreError."""
        one, other = (
            self._store.bucket_of(SignatureRecord(*parts)) for parts in (event.one, event.other)
        )
        if one is None or other is None or one.id == other.id:
            return  # one is, or was merged into, the other
        later, earlier = max(one.id, other.id), min(one.id, other.id)
        self._store.propose_same(later, earlier, event.reason, f"campaign {campaign}")
        self._same[later] = earlier
        self._refresh(SignatureRecord(*(event.one if one.id == later else event.other)))
        self._log(f"bucket {later} is probably the same as {earlier}: {event.reason}")

    def retested(self, campaign: int, event: events.Retested) -> None:
        """A stored finding was run again. Raises StoreError."""
        done = self._store.add_retest(event.finding, travel.retests(event), campaign)
        bucket = self._store.bucket(self._store.finding(event.finding).bucket_id)
        self._retested.add(bucket.id)
        if done.fixed:
            self._fixed.add(bucket.id)
            self._log(f"bucket {bucket.id} is fixed: every leg passed, as often as it takes")
        if done.returned:
            self._fixed.discard(bucket.id)
            if bucket.id not in self._new and bucket.muted_by is None:
                self.new_buckets += 1
                self._new.add(bucket.id)
            self._log(f"bucket {bucket.id} RETURNED although it was fixed")
            self._refresh(bucket.signature)
        for one in done.settled:
            word = "is the same as" if one.same else "is another than"
            self._log(f"bucket {one.bucket_id} {word} {one.other_id}, as retests tell")

    @property
    def reruns(self) -> Reruns:
        """What was run again in spare time, and what came of that."""
        return Reruns(len(self._retested), tuple(sorted(self._fixed)))

    def broke(self, campaign: int, event: events.Broke) -> None:
        """A leg's machine broke, complained or was lost. Raises StoreError."""
        record = travel.incident(event)
        self._store.add_incident(campaign, record)
        self._incidents[record.leg, record.kind, record.investigating] += 1
        if not record.investigating:
            self._log(f"{record.leg}: {record.kind}: {event.line[:160]}")

    def restarted(self, event: events.Restarted) -> None:
        """A leg's machine serves again."""
        self._restarts[event.leg].append(event.seconds)
        self._log(f"{event.leg}: restarted in {event.seconds:.1f} s")

    def restarts_of(self, leg: str) -> int:
        """How often a leg's machine came back after it broke."""
        return len(self._restarts.get(leg, ()))

    def totals(self) -> dict[str, object]:
        """Incidents and restarts per leg as plain data; times are in seconds."""
        broke: dict[str, dict[str, int]] = defaultdict(dict)
        for (leg, kind, investigating), count in sorted(self._incidents.items()):
            broke[leg][f"{kind}, investigating" if investigating else kind] = count
        restarts = {
            leg: {
                "times": len(seconds),
                "median_seconds": round(statistics.median(seconds), 2),
                "longest_seconds": round(max(seconds), 2),
            }
            for leg, seconds in sorted(self._restarts.items())
        }
        retests = {
            "buckets": len(self._retested),
            "fixed": [f"B{one}" for one in sorted(self._fixed)],
        }
        return {"incidents": dict(broke), "machine_restarts": restarts, "retests": retests}

    def _known_from(self, record: FindingRecord) -> KeptCase | None:
        """The kept case that explains this divergence, if one does."""
        legs = [self.legs[leg] for leg in record.deviating]
        return self._knowledge.explanation(legs, record.culprit)

    def _refresh(self, signature: SignatureRecord) -> None:
        bucket = self._store.bucket_of(signature)
        if bucket is not None:
            self._ids[signature] = bucket.id
            untold = sum(n for one, n in self._again.items() if self._ids.get(one) == bucket.id)
            self._buckets[bucket.id] = BucketStatus(
                id=bucket.id,
                title=bucket.title,
                strict=bucket.strict,
                count=bucket.count + untold,
                first_leg=signature.legs,
                new=bucket.id in self._new,
                status=bucket.status.value,
                suspect=bucket.suspect,
                explanation=bucket.explanation,
                same_as=self._same.get(bucket.id, 0),
            )


def _hung(record: FindingRecord) -> bool:
    """Whether a leg's machine hung, which a campaign's exit code tells."""
    faults = [trace.fault for leg, trace in record.traces.items() if leg in record.deviating]
    return any(fault and fault.kind is FaultKind.HANG for fault in faults)
