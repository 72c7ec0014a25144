"""What is new since the last report: as text, HTML and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from db.filters import BucketFilter
from db.records import BucketView, Status
from db.store import Store
from db.work import SliceView, State
from fuzz.printable import printable

MOST = 10_000
"""Entries of the audit log among which fixes are looked for."""


class BucketLine(msgspec.Struct, frozen=True):
    """A bucket in a line."""

    id: str
    title: str
    strict: bool
    suspect: str
    explanation: str


class Trial(msgspec.Struct, frozen=True):
    """What a new kernel came to. `replay`: kept cases by outcome; `told`: those that did not do as
    recorded; `buckets`: what the campaign found that is new; `failed`: what could not be done, in a
    sentence each."""

    name: str
    version: str
    leg: str
    replay: dict[str, int]
    told: list[dict[str, str]]
    cases: int
    campaigns: list[int]
    failed: list[str]

    @classmethod
    def of(cls, name: str, version: str, leg: str, done: Sequence[SliceView]) -> Trial:
        """Out of the slices that were for it."""
        replay: dict[str, int] = {}
        told: list[dict[str, str]] = []
        for one in done:
            if one.kind == "replay" and one.state is State.DONE:
                outcomes = ("ok", "known", "regression", "gone", "not_run")
                replay = {word: int(one.counts.get(word, 0)) for word in outcomes}
                told += one.result["told"]
        return cls(
            name,
            version,
            leg,
            replay,
            told,
            sum(int(one.counts.get("cases", 0)) for one in done),
            [one.campaign_id for one in done if one.campaign_id is not None],
            [f"{one.kind}: {one.said}" for one in done if one.state is State.FAILED],
        )


class Report(msgspec.Struct, frozen=True):
    """What happened between two moments. `found`: new buckets, by the kernels' campaigns and all
    others; `returned`: those that were fixed and show again; `fixed`: those that no longer do."""

    since: datetime
    until: datetime
    trials: list[Trial]
    found: list[BucketLine]
    returned: list[BucketLine]
    fixed: list[BucketLine]
    incidents: dict[str, int]
    slices: dict[str, int]
    cases: int
    cpu_hours: float
    failed: list[str]

    @property
    def news(self) -> bool:
        """Whether there is anything that somebody would want to know."""
        return bool(
            self.trials
            or self.found
            or self.returned
            or self.fixed
            or self.incidents
            or self.failed
        )


def gather(store: Store, since: datetime, until: datetime, trials: list[Trial]) -> Report:
    """What the store says happened after `since`, until `until`. Raises StoreError."""
    slices = [one for one in store.ended_slices(since) if one.ended and one.ended <= until]
    done = [one for one in slices if one.state is State.DONE]
    kinds = sorted({one.kind for one in done})
    buckets = store.buckets(BucketFilter(first_since=since, muted=False))
    seen = store.buckets(BucketFilter(statuses=frozenset({Status.NEW}), muted=False))
    closed = store.buckets(BucketFilter(statuses=frozenset({Status.FIXED})))
    fixed = {
        int(key.removeprefix("bucket "))
        for entry in store.history(limit=MOST)
        if entry.action == "auto-fix" and since < entry.created <= until
        for key in entry.after
    }
    incidents: dict[str, int] = {}
    for one in store.incidents():
        if since < one.created <= until and not one.investigating:
            incidents[one.kind] = incidents.get(one.kind, 0) + 1
    return Report(
        since=since,
        until=until,
        trials=trials,
        found=_lines(buckets, lambda b: b.status is Status.NEW and b.first_seen <= until),
        returned=_lines(seen, lambda b: b.returned is not None and since < b.returned <= until),
        fixed=_lines(closed, lambda b: b.id in fixed),
        incidents=incidents,
        slices={kind: sum(one.kind == kind for one in done) for kind in kinds},
        cases=sum(int(one.counts.get("cases", 0)) for one in done),
        cpu_hours=round(sum(float(one.counts.get("cpu_seconds", 0)) for one in done) / 3600, 2),
        failed=[
            f"{one.kind} on {one.leg}: {one.said}" for one in slices if one.state is State.FAILED
        ],
    )


def _lines(buckets: Sequence[BucketView], wanted: Callable[[BucketView], bool]) -> list[BucketLine]:
    return [
        BucketLine(f"B{one.id}", one.title, one.strict, one.suspect, one.explanation)
        for one in sorted(buckets, key=lambda b: (not b.strict, b.id))
        if wanted(one)
    ]


def as_json(report: Report) -> str:
    """For machines."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def as_text(report: Report) -> str:
    """For a mail."""
    return _ENV.get_template("report.txt").render(report=report, headline=headline(report))


def as_html(report: Report) -> str:
    """For a browser, or a mail."""
    return _ENV.get_template("report.html").render(report=report, headline=headline(report))


FORMS: Mapping[str, Callable[[Report], str]] = {"txt": as_text, "html": as_html, "json": as_json}


def headline(report: Report) -> str:
    """The report in one sentence."""
    kernels = ", ".join(f"{one.name} {one.version}" for one in report.trials)
    parts = [
        f"{len(found)} {word}"
        for word, found in (
            ("new", report.found),
            ("returned", report.returned),
            ("fixed", report.fixed),
        )
    ]
    regressions = sum(one.replay.get("regression", 0) for one in report.trials)
    about = f"{kernels}: " if kernels else ""
    kept = f", {regressions} of the kept cases went wrong" if report.trials else ""
    return f"{about}buckets: {', '.join(parts)}{kept}"


_ENV = Environment(
    loader=PackageLoader("fuzz.fleet"),
    autoescape=lambda name: bool(name and name.endswith((".html", ".xml"))),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENV.filters["plain"] = printable
