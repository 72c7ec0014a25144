"""What goes into and comes out of the store: frozen data, no database behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from corpus.case import Case
from corpus.trace import Trace


class StoreError(RuntimeError):
    """The store cannot do what was asked; the message is one sentence for the user."""


class Refused(StoreError):
    """What was asked makes no sense for what is stored, or a file is not as it should be."""


class Gone(StoreError):
    """The file of an open store was deleted or replaced: asking again does not help."""


class NotFound(StoreError):
    """There is no such bucket, finding or campaign."""


class Status(StrEnum):
    """Where a bucket stands in triage."""

    NEW = "new"  # nobody has looked at it, or it came back although it was fixed
    CONFIRMED = "confirmed"  # looked at, and real
    KNOWN = "known"  # understood, reported or tracked
    MODEL_BUG = "model-bug"  # the specification is wrong, not the leg
    FIXED = "fixed"  # should not be seen again
    WONTFIX = "wontfix"  # real, and it will stay
    FLAKY = "flaky"  # it does not always show, for reasons that nobody knows
    DUPLICATE = "duplicate"  # the same as another bucket, which has its findings now


OPEN = frozenset({Status.NEW, Status.CONFIRMED, Status.KNOWN, Status.FLAKY})
"""Statuses of what is still there: retests may close it."""


TO_DO = frozenset({Status.NEW, Status.CONFIRMED, Status.FLAKY})
"""Statuses that want somebody to do something."""


@dataclass(frozen=True, slots=True)
class LegRecord:
    """A leg as it took part: the fingerprint holds all that can change the outcome."""

    name: str
    kind: str
    fingerprint: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of the fingerprint, 64 hexadecimal digits."""
        canonical = json.dumps([self.kind, dict(self.fingerprint)], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """What makes two findings the same. Never holds raw values."""

    oracle: str
    op_kind: str
    rule: str
    register_class: str
    vl_relation: str
    legs: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts in the order of the text form."""
        return (
            *(self.oracle, self.op_kind, self.rule),
            *(self.register_class, self.vl_relation, self.legs),
        )

    @property
    def text(self) -> str:
        """All parts in one line; an empty part shows as a dash."""
        return " | ".join(part or "-" for part in self.parts)

    @property
    def title(self) -> str:
        """A short name for people: what was judged, where, and who deviates."""
        what = f"{self.rule or self.oracle}: {self.op_kind}"
        details = (self.register_class, self.vl_relation)
        return " ".join((what, *(d for d in details if d not in {"", "-"}), f"({self.legs})"))

    @property
    def digest(self) -> str:
        """Hash of the parts, 64 hexadecimal digits: the key of the bucket."""
        return hashlib.sha256(json.dumps(self.parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Earlier:
    """A case that a leg ran before another; `shared`: in a VM that may have served others."""

    case: Case
    shared: bool = False


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """A confirmed, minimised divergence, ready to be stored.

    `traces` are those of `minimal`, by leg name. `op_index` counts into `minimal`.
    `reproduced` is (times seen, times tried) of the confirmation. `preceding`: cases that
    the deviating leg has to run first, in a fresh machine, oldest first; when it was never
    reproduced, those that it had run. `culprit`: the rule that recorded defects go by, with
    a fault's place. `suspect`: whose fault it is (`db.suspects`), where the finder knows better
    than the pattern of legs.
    """

    signature: SignatureRecord
    minimal: Case
    original: Case
    strict: bool
    op_index: int
    expected: str
    observed: str
    explanation: str
    reproduced: tuple[int, int]
    deviating: tuple[str, ...]
    traces: Mapping[str, Trace] = field(default_factory=dict)
    preceding: tuple[Earlier, ...] = ()
    culprit: str = ""
    suspect: str = ""


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """A leg's machine broke, complained or was lost, or a leg did wrong with a case once and not
    again. `kind`: panic, hang, lost, unconfirmed, ...; `place`: the function, or what was done to
    the machine, or the rule; `case`: the one at fault, if any is; `investigating`: it was provoked
    on purpose, or happened while that was done."""

    leg: str
    kind: str
    place: str
    log: str
    case: Case | None = None
    investigating: bool = False


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """What became of a finding. `regressed`: its bucket had been marked as fixed; `muted`:
    nobody wants to hear of it."""

    finding_id: int
    bucket_id: int
    new_bucket: bool
    regressed: bool
    status: Status
    muted: bool = False


@dataclass(frozen=True, slots=True)
class NoteView:
    """A note on a bucket."""

    id: int
    author: str
    created: datetime
    text: str


@dataclass(frozen=True, slots=True)
class BucketView:
    """A bucket as read. `votes` counts per leg name how often it `deviated` and `agreed`, and
    how often in a row it `passes` retests since. `returned`: when it was seen although it was
    fixed; `muted_by`: the mute that holds now; `retested`: when it was last run again."""

    id: int
    signature: SignatureRecord
    strict: bool
    status: Status
    title: str
    first_seen: datetime
    last_seen: datetime
    count: int
    reproduced: tuple[int, int]
    votes: Mapping[str, Mapping[str, int]]
    notes: tuple[NoteView, ...]
    explanation: str = ""
    suspect: str = ""
    owner: str = ""
    link: str = ""
    fixed_in: str = ""
    duplicate_of: int | None = None
    muted_by: int | None = None
    returned: datetime | None = None
    retested: datetime | None = None

    @property
    def reproduction_rate(self) -> float | None:
        """Share of the tries that showed the divergence again, 0 to 1."""
        seen, tried = self.reproduced
        return seen / tried if tried else None


@dataclass(frozen=True, slots=True)
class FindingView:
    """A finding as read. `minimal` and `original` are as they were stored. `gone`: a later
    judgement permits what it shows. `culprit`: the rule that its verdict alone names."""

    id: int
    campaign_id: int
    bucket_id: int
    minimal: Case
    original: Case
    minimal_text: str
    strict: bool
    oracle: str
    rule: str
    op_index: int
    expected: str
    observed: str
    explanation: str
    reproduced: tuple[int, int]
    deviating: tuple[str, ...]
    created: datetime
    preceding: tuple[Earlier, ...] = ()
    gone: bool = False
    culprit: str = ""


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident as read. `case_id`: of the case at fault, if any is."""

    id: int
    campaign_id: int
    leg: str
    kind: str
    place: str
    log: str
    case_id: str | None
    investigating: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class TraceView:
    """A trace as read, with the leg it came from."""

    leg: LegRecord
    case_id: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as read. `ended` is None while it runs, or when it was killed; `beat`: when
    it last said that it runs."""

    id: int
    started: datetime
    ended: datetime | None
    seed: str
    options: Mapping[str, Any]
    statistics: Mapping[str, Any]
    reason: str
    legs: tuple[LegRecord, ...]
    beat: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditView:
    """One entry of the audit log: `before` and `after` hold the changed columns of each row.
    `undoes`, `undone_by`: the entries that it takes back, and that takes it back."""

    id: int
    created: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    undoes: int | None = None
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class MuteRecord:
    """What nobody wants to hear of: shell patterns of rules and of legs' names, kernels from
    `low` to `high` (empty: any), until it `expires`."""

    rule: str
    legs: str
    reason: str
    low: str = ""
    high: str = ""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class MuteView:
    """A mute as read; `holds`: it is in force; `buckets`: how many it covers."""

    id: int
    rule: str
    legs: str
    low: str
    high: str
    expires: datetime | None
    reason: str
    author: str
    created: datetime
    holds: bool
    buckets: int


@dataclass(frozen=True, slots=True)
class RetestRecord:
    """A finding run again on a leg: it showed `seen` of `tried` times (0: it could not run).
    `judged`: where it did not show, the specification was asked to the end, so that it is a
    pass. `said`: what it did instead, or why it did not run."""

    name: str
    seen: int
    tried: int
    said: str = ""
    leg: LegRecord | None = None
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Settled:
    """Retests told whether a bucket is the same as another, which it then is part of."""

    bucket_id: int
    other_id: int
    same: bool


@dataclass(frozen=True, slots=True)
class Retested:
    """What a retest brought about."""

    fixed: bool
    returned: bool
    status: Status
    settled: tuple[Settled, ...] = ()


@dataclass(frozen=True, slots=True)
class RetestView:
    """A retest as read."""

    leg: str
    fingerprint: Mapping[str, str]
    finding_id: int
    seen: int
    tried: int
    said: str
    created: datetime
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class CellRecord:
    """How a leg did with a bucket's case: `outcome` is shows, passes, other (another
    divergence), unjudged or absent; `said` tells more."""

    name: str
    outcome: str
    said: str = ""
    leg: LegRecord | None = None


@dataclass(frozen=True, slots=True)
class CellView:
    """The same as read."""

    leg: str
    fingerprint: Mapping[str, str]
    finding_id: int
    outcome: str
    said: str
    created: datetime


@dataclass(frozen=True, slots=True)
class KinView:
    """A bucket is probably the same as another, earlier one. `state`: proposed, confirmed or
    rejected; `source`: what says so."""

    id: int
    bucket_id: int
    other_id: int
    reason: str
    source: str
    state: str
    created: datetime


class Rejudged(StrEnum):
    """What became of a finding when its traces were judged anew."""

    STANDS = "stands"
    GONE = "gone"  # what it shows is permitted
    BACK = "back"  # it was gone, and shows again
    MOVED = "moved"  # it is another divergence now
    NEW = "new"  # it stands, and its traces show another one, too, that was never seen
    UNKNOWN = "unknown"  # it cannot be judged


@dataclass(frozen=True, slots=True)
class JudgedRecord:
    """A divergence as it is judged now."""

    signature: SignatureRecord
    strict: bool
    op_index: int
    expected: str
    observed: str
    explanation: str
    deviating: tuple[str, ...]
    culprit: str = ""
    suspect: str = ""


@dataclass(frozen=True, slots=True)
class RejudgedRecord:
    """What became of a finding; `verdict`: the divergence that it moved to, or the new one;
    `why`: what kept it from being judged."""

    finding_id: int
    bucket_id: int
    outcome: Rejudged
    verdict: JudgedRecord | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought: `what` the file held, new rows by table, and the buckets here
    that it was about."""

    what: str
    rows: Mapping[str, int]
    buckets: tuple[int, ...]
