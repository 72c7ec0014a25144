"""What one sees in the morning: what is new, how things go, what runs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from db.filters import BucketFilter, Order
from db.queries import Group
from db.records import TO_DO, Status
from fuzz.report.recorded import recorded_line
from fuzz.web import questions
from fuzz.web.desk import desk_of
from fuzz.web.views import curves
from fuzz.web.views.steps import advice

LARGE = 6
"""New buckets that are told in full."""
SHORT = 12
"""Lines of the tables below."""
TREND_DAYS = 30


def overview(request: Request) -> Response:
    """The first page."""
    desk = desk_of(request)
    now = datetime.now(UTC)
    span = request.query_params.get("since", "1d")
    begin = questions.since(span, now)
    store = desk.store
    new = BucketFilter(statuses=frozenset({Status.NEW}), muted=False)
    groups = store.overview()
    recent = BucketFilter(statuses=new.statuses, muted=False, since=begin, first_since=begin)
    fresh = store.buckets(recent, Order.WEIGHT, LARGE)
    shown = {bucket.id for bucket in fresh}
    older = [b for b in store.buckets(new, Order.WEIGHT, SHORT + LARGE) if b.id not in shown]
    to_do = BucketFilter(statuses=TO_DO - {Status.NEW}, muted=False)
    first_day = now.date() - timedelta(days=TREND_DAYS - 1)
    days = [str(first_day + timedelta(days=number)) for number in range(TREND_DAYS)]
    since = datetime.combine(first_day, datetime.min.time(), UTC)
    return desk.page(
        request,
        "overview.html",
        span=span,
        spans=tuple(questions.SPANS),
        fresh=fresh,
        next={bucket.id: advice(bucket, 0).say for bucket in fresh},
        smallest=store.smallest_cases([bucket.id for bucket in fresh]),
        fresh_count=store.bucket_count(recent),
        new_count=_number(groups, Status.NEW),
        returned=sum(g.buckets for g in groups if g.returned and g.status is Status.NEW),
        older=older[:SHORT],
        to_do=store.buckets(to_do, Order.WEIGHT, SHORT),
        to_do_count=store.bucket_count(to_do),
        recorded=_recorded(groups),
        rest=_rest(groups),
        bars=curves.bars(days, store.days(since)),
        running=store.running(),
        cut_off=store.cut_off(),
        campaigns=store.campaign_lines(5),
        incidents=store.incident_counts(),
    )


def running(request: Request) -> Response:
    """Campaigns that run now, as the first page asks for them again and again."""
    desk = desk_of(request)
    return desk.page(request, "running.html", running=desk.store.running())


def _number(groups: tuple[Group, ...], status: Status) -> int:
    return sum(g.buckets for g in groups if g.status is status and not g.muted)


def _recorded(groups: tuple[Group, ...]) -> str:
    counted: Counter[str] = Counter()
    for group in groups:
        if group.status is Status.KNOWN and not group.muted:
            counted[group.suspect] += group.buckets
    return recorded_line(counted) if counted else ""


def _rest(groups: tuple[Group, ...]) -> dict[str, int]:
    """What nobody has to do anything about, by word."""
    counted: Counter[str] = Counter()
    for group in groups:
        if group.muted:
            counted["muted"] += group.buckets
        elif group.status not in TO_DO | {Status.KNOWN}:
            counted[group.status.value] += group.buckets
    return dict(sorted(counted.items()))
