"""A store of a campaign's own that also writes down what it is told, to be told elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from db.blocks import FunctionRecord, ReachedRecord
from db.queries import SampleView
from db.records import (
    FindingRecord,
    IncidentRecord,
    LegRecord,
    SignatureRecord,
    StoredFinding,
)
from db.store import Store
from db.work import Sighting, Told


class Journal(Store):
    """What a campaign in a slice takes for its store: a database in its scratch directory."""

    told: Told
    _sighted: int

    def sightings(self) -> Iterator[Sighting]:
        """The findings that came since this was asked last. One that is known is noted as such
        in the same breath as it comes, so this is to be asked between two events."""
        new = self.told.findings[self._sighted :]
        self._sighted += len(new)
        for record in new:
            known = self.told.known.get(record.signature.digest)
            yield Sighting(self.told.seed, self.told.legs, record, known)

    @classmethod
    def begin(cls, path: Path) -> Self:
        """An empty one in a new file. Raises StoreError."""
        made = cls.open(str(path))
        made.told, made._sighted = Told(), 0
        return made

    def begin_campaign(
        self, seed: int, legs: Iterable[LegRecord], options: Mapping[str, object]
    ) -> int:
        self.told.seed, self.told.legs = seed, tuple(legs)
        self.told.options = dict(options)
        return super().begin_campaign(seed, self.told.legs, options)

    def update_campaign(
        self,
        campaign_id: int,
        statistics: Mapping[str, object],
        sample: SampleView | None = None,
    ) -> None:
        self.told.statistics = dict(statistics)
        if sample is not None:
            self.told.samples.append(sample)
        super().update_campaign(campaign_id, statistics, sample)

    def end_campaign(self, campaign_id: int, statistics: Mapping[str, object], reason: str) -> None:
        self.told.statistics, self.told.reason = dict(statistics), reason
        super().end_campaign(campaign_id, statistics, reason)

    def add_finding(self, campaign_id: int, record: FindingRecord) -> StoredFinding:
        self.told.findings.append(record)
        return super().add_finding(campaign_id, record)

    def add_note(self, bucket_id: int, text: str, actor: str = "") -> None:
        # A campaign notes only which record explains a bucket.
        self.told.known[self.bucket(bucket_id).signature.digest] = (actor, text)
        super().add_note(bucket_id, text, actor)

    def count_again(self, signature: SignatureRecord, times: int = 1) -> int:
        self.told.again[signature] = self.told.again.get(signature, 0) + times
        return super().count_again(signature, times)

    def propose_same(self, bucket_id: int, other: int, reason: str, source: str = "") -> int:
        pair = (self.bucket(bucket_id).signature, self.bucket(other).signature)
        self.told.akin.append((*pair, reason))
        return super().propose_same(bucket_id, other, reason, source)

    def add_incident(self, campaign_id: int, record: IncidentRecord) -> None:
        self.told.incidents.append(record)
        super().add_incident(campaign_id, record)

    def set_functions(
        self, campaign_id: int, leg: str, functions: Sequence[FunctionRecord]
    ) -> None:
        self.told.functions[leg] = tuple(functions)
        super().set_functions(campaign_id, leg, functions)

    def add_reached(self, campaign_id: int, leg: str, records: Sequence[ReachedRecord]) -> None:
        self.told.reached.setdefault(leg, []).extend(records)
        super().add_reached(campaign_id, leg, records)
