"""Buckets and what was decided about them, as table rows, as JSON and as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.records import (
    AuditView,
    BucketView,
    CellView,
    KinView,
    MuteView,
    RetestView,
    SignatureRecord,
)
from fuzz.cli.table import Column
from fuzz.cli.views import indented, times
from fuzz.report.changes import differences
from fuzz.report.findings import ratio, strictness

BUCKET_COLUMNS = (
    Column("Bucket"),
    Column("Status", wrap=True),
    Column("Class"),
    Column("Seen", "right"),
    Column("Suspect"),
    Column("Last"),
    Column("Title", wrap=True),
)

CELL_COLUMNS = (
    Column("Leg", wrap=True),
    Column("Kernel", wrap=True),
    Column("Outcome"),
    Column("When"),
    Column("What", wrap=True),
)

MUTE_COLUMNS = (
    Column("Mute", "right"),
    Column("Rule", wrap=True),
    Column("Legs", wrap=True),
    Column("Kernels"),
    Column("Until"),
    Column("Covers", "right"),
    Column("Reason", wrap=True),
)

CHANGE_COLUMNS = (
    Column("Change", "right"),
    Column("When"),
    Column("Who"),
    Column("What"),
    Column("Of", wrap=True),
    Column("Change", wrap=True),
)


@dataclass(frozen=True, slots=True)
class BucketExtras:
    """What is known of a bucket beside its findings."""

    signatures: Sequence[SignatureRecord]
    kin: Sequence[KinView]
    matrix: Sequence[CellView]
    retests: Sequence[RetestView]
    mutes: Sequence[MuteView]


def bucket_row(bucket: BucketView) -> tuple[str, ...]:
    """One line of `triage list`."""
    return (
        f"B{bucket.id}",
        standing(bucket),
        strictness(bucket.strict),
        str(bucket.count),
        bucket.suspect or "-",
        moment(bucket.last_seen),
        bucket.title,
    )


def standing(bucket: BucketView) -> str:
    """The status in a word or two."""
    word = bucket.status.value
    if bucket.returned is not None:
        word += ", returned"
    if bucket.duplicate_of is not None:
        word = f"in B{bucket.duplicate_of}"
    return f"{word}, muted" if bucket.muted_by is not None else word


def moment(when: datetime) -> str:
    """`14:05` for today, `11-28` for this year's days, `2025-11` for earlier ones. UTC."""
    now = datetime.now(UTC)
    if when.date() == now.date():
        return f"{when:%H:%M}"
    return f"{when:%m-%d}" if when.year == now.year else f"{when:%Y-%m}"


def headline(bucket: BucketView, kin: Sequence[KinView] = ()) -> Iterator[str]:
    """A new bucket on top of the list: its title, and what one asks first."""
    back = ", RETURNED although fixed" if bucket.returned else ""
    back += f" in {bucket.fixed_in}" if bucket.returned and bucket.fixed_in else ""
    yield f"B{bucket.id}  {strictness(bucket.strict)}, suspect: {bucket.suspect or '-'}{back}"
    yield indented(bucket.title)
    whose = f", owner {bucket.owner}" if bucket.owner else ""
    yield (
        f"    seen {times(bucket.count)}, last {bucket.last_seen:%Y-%m-%d %H:%M} UTC,"
        f" reproduced {ratio(bucket.reproduced)}{whose}"
    )
    for one in kin:
        yield f"    probably the same as B{_other(one, bucket.id)}"


def bucket_lines(bucket: BucketView, more: BucketExtras) -> Iterator[str]:
    """All that is known of a bucket, below its title."""
    fixed = f" in {bucket.fixed_in}" if bucket.fixed_in else ""
    yield (
        f"{standing(bucket)}{fixed}, {strictness(bucket.strict)}, seen {times(bucket.count)}, "
        f"{bucket.first_seen:%Y-%m-%d %H:%M} to {bucket.last_seen:%Y-%m-%d %H:%M} UTC; "
        f"reproduced {ratio(bucket.reproduced)}"
    )
    facts = {"suspect": bucket.suspect, "owner": bucket.owner, "tracked at": bucket.link}
    told = [f"{name}: {value}" for name, value in facts.items() if value]
    if told:
        yield "  " + "; ".join(told)
    for mute in more.mutes:
        until = f" until {mute.expires:%Y-%m-%d}" if mute.expires else ""
        yield f"  muted by mute {mute.id}{until}: {mute.reason}"
    for kin in more.kin:
        if kin.state == "proposed":
            yield f"  probably the same as B{_other(kin, bucket.id)}: {kin.reason}"
    if len(more.signatures) > 1:
        yield f"  {len(more.signatures)} signatures lead here"
    for leg, vote in sorted(bucket.votes.items()):
        passed = f", passes since: {vote['passes']}" if vote.get("passes") else ""
        yield f"  {leg}: deviated {vote['deviated']} times, agreed {vote['agreed']}{passed}"
    if more.retests:
        last = more.retests[0]
        yield (
            f"  last run again {last.created:%Y-%m-%d %H:%M} UTC: on {last.leg} "
            f"it showed {ratio((last.seen, last.tried))}"
        )
    for note in bucket.notes:
        yield f"  note of {note.author}, {note.created:%Y-%m-%d}: {note.text}"


def _other(kin: KinView, bucket_id: int) -> int:
    return kin.other_id if kin.bucket_id == bucket_id else kin.bucket_id


def bucket_json(bucket: BucketView) -> dict[str, Any]:
    """A bucket for machines."""
    return {
        "bucket": f"B{bucket.id}",
        "status": bucket.status.value,
        "class": strictness(bucket.strict),
        "title": bucket.title,
        "explanation": bucket.explanation,
        "suspect": bucket.suspect,
        "owner": bucket.owner,
        "link": bucket.link,
        "fixed_in": bucket.fixed_in,
        "duplicate_of": f"B{bucket.duplicate_of}" if bucket.duplicate_of else None,
        "muted_by": bucket.muted_by,
        "returned": _iso(bucket.returned),
        "retested": _iso(bucket.retested),
        "count": bucket.count,
        "first_seen": bucket.first_seen.isoformat(),
        "last_seen": bucket.last_seen.isoformat(),
        "reproduced": bucket.reproduced[0],
        "attempts": bucket.reproduced[1],
        "votes": {leg: dict(vote) for leg, vote in bucket.votes.items()},
        "signature": signature_json(bucket.signature),
        "notes": [
            {"author": n.author, "created": n.created.isoformat(), "text": n.text}
            for n in bucket.notes
        ],
    }


def signature_json(signature: SignatureRecord) -> dict[str, str]:
    """A signature for machines."""
    return {
        "oracle": signature.oracle,
        "op_kind": signature.op_kind,
        "rule": signature.rule,
        "register_class": signature.register_class,
        "vl_relation": signature.vl_relation,
        "legs": signature.legs,
    }


def extras_json(more: BucketExtras) -> dict[str, Any]:
    """The rest of a bucket for machines."""
    return {
        "signatures": [signature_json(one) for one in more.signatures],
        "same_as": [kin_json(kin) for kin in more.kin],
        "matrix": [cell_json(cell) for cell in more.matrix],
        "retests": [retest_json(one) for one in more.retests],
    }


def kin_json(kin: KinView) -> dict[str, str]:
    """What a bucket is probably the same as, for machines."""
    return {
        "bucket": f"B{kin.bucket_id}",
        "other": f"B{kin.other_id}",
        "reason": kin.reason,
        "source": kin.source,
        "state": kin.state,
    }


def cell_row(cell: CellView) -> tuple[str, ...]:
    """One leg of a matrix."""
    release = cell.fingerprint.get("release", "-")
    return cell.leg, release, cell.outcome, moment(cell.created), cell.said or "-"


def cell_json(cell: CellView) -> dict[str, Any]:
    """The same for machines."""
    return {
        "leg": cell.leg,
        "release": cell.fingerprint.get("release"),
        "finding": f"F{cell.finding_id}",
        "outcome": cell.outcome,
        "said": cell.said,
        "when": cell.created.isoformat(),
    }


def retest_json(one: RetestView) -> dict[str, Any]:
    """A retest for machines."""
    return {
        "leg": one.leg,
        "release": one.fingerprint.get("release"),
        "finding": f"F{one.finding_id}",
        "seen": one.seen,
        "tried": one.tried,
        "said": one.said,
        "when": one.created.isoformat(),
        "campaign": one.campaign_id,
    }


def mute_row(mute: MuteView) -> tuple[str, ...]:
    """One line of `triage mute`."""
    kernels = f"{mute.low or '...'} to {mute.high or '...'}" if mute.low or mute.high else "all"
    until = f"{mute.expires:%Y-%m-%d}" if mute.expires else "-"
    return (
        *(str(mute.id), mute.rule, mute.legs, kernels, until if mute.holds else "ended"),
        *(str(mute.buckets), mute.reason),
    )


def mute_json(mute: MuteView) -> dict[str, Any]:
    """The same for machines."""
    return {
        "mute": mute.id,
        "rule": mute.rule,
        "legs": mute.legs,
        "from": mute.low,
        "to": mute.high,
        "until": _iso(mute.expires),
        "reason": mute.reason,
        "author": mute.author,
        "created": mute.created.isoformat(),
        "holds": mute.holds,
        "buckets": mute.buckets,
    }


def change_row(change: AuditView) -> tuple[str, ...]:
    """One line of `triage history`."""
    what = change.action
    if change.undoes is not None:
        what = f"undo of {change.undoes}"
    if change.undone_by is not None:
        what += f", undone by {change.undone_by}"
    return (
        str(change.id),
        f"{change.created:%Y-%m-%d %H:%M}",
        change.actor,
        what,
        change.subject,
        "; ".join(differences(change.before, change.after)),
    )


def change_json(change: AuditView) -> dict[str, Any]:
    """The same for machines."""
    return {
        "change": change.id,
        "when": change.created.isoformat(),
        "who": change.actor,
        "action": change.action,
        "subject": change.subject,
        "before": change.before,
        "after": change.after,
        "undoes": change.undoes,
        "undone_by": change.undone_by,
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
