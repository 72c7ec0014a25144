"""Campaigns and what broke in them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from db.filters import BucketFilter, Order
from fuzz.report.findings import ratio
from fuzz.report.unjudged import unjudged
from fuzz.web import questions
from fuzz.web.desk import desk_of
from fuzz.web.questions import PAGE
from fuzz.web.views import curves
from fuzz.web.views.campaigns import facts, legs_of, options_of, state

BUCKETS = 30


def campaigns(request: Request) -> Response:
    """All of them, the newest first."""
    desk = desk_of(request)
    page = _page(request)
    found = desk.store.campaign_lines(PAGE + 1, PAGE * (page - 1))
    return desk.page(
        request, "campaigns.html", found=found[:PAGE], page=page, more=len(found) > PAGE
    )


def campaign(request: Request) -> Response:
    """One of them, with its curves."""
    desk = desk_of(request)
    number = request.path_params["number"]
    store = desk.store
    found = store.campaign(number)
    wanted = BucketFilter(campaign=number)
    return desk.page(
        request,
        "campaign.html",
        campaign=found,
        state=state(found),
        facts=facts(found),
        legs=legs_of(found),
        options=options_of(found),
        plots=curves.plots(store.samples(number)),
        unjudged=unjudged(found.statistics),
        buckets=store.buckets(wanted, Order.WEIGHT, BUCKETS),
        bucket_count=store.bucket_count(wanted),
        incidents=store.incident_lines(number, 20),
        ratio=ratio,
    )


def incidents(request: Request) -> Response:
    """What broke the machines of legs or did not show again, the newest first."""
    desk = desk_of(request)
    page = _page(request)
    found = desk.store.incident_lines(None, PAGE + 1, PAGE * (page - 1))
    return desk.page(
        request,
        "incidents.html",
        found=found[:PAGE],
        page=page,
        more=len(found) > PAGE,
        counts=desk.store.incident_counts(),
    )


def incident(request: Request) -> Response:
    """One of them, with all that the machine said."""
    desk = desk_of(request)
    return desk.page(
        request, "incident.html", incident=desk.store.incident(request.path_params["number"])
    )


def _page(request: Request) -> int:
    return questions.number(request.query_params.get("page", "1"), "page")
