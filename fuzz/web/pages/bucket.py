"""One bucket: all that is known of it, and what is decided about it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from corpus.text import format_case
from db.queries import FindingLine
from db.records import BucketView, FindingView, NotFound, Status, TraceView
from db.store import Store
from fuzz.report.changes import differences
from fuzz.report.findings import at, log_excerpt
from fuzz.web import questions
from fuzz.web.desk import Desk, actor, desk_of, form
from fuzz.web.keys import Notice
from fuzz.web.pages.buckets import SETTABLE, bucket_number, note_text
from fuzz.web.pages.downloads import offered
from fuzz.web.questions import BadQuestion
from fuzz.web.views import book, caselines, steps
from fuzz.web.views.matrix import matrix

FINDINGS = 25
"""Lines of findings of a bucket on a page."""
HISTORY = 20


def bucket(request: Request) -> Response:
    """A bucket with its shortest finding."""
    desk = desk_of(request)
    found = desk.store.bucket(request.path_params["number"])
    lines = desk.store.finding_lines(found.id, 1)
    if found.duplicate_of is not None and not lines:
        return desk.page(request, "moved.html", bucket=found)
    return _page(request, desk, found, desk.store.best_finding(found.id))


def finding(request: Request) -> Response:
    """A finding, on the page of its bucket."""
    desk = desk_of(request)
    number = request.path_params["number"]
    return _page(request, desk, desk.store.bucket(desk.store.finding(number).bucket_id), number)


def _page(request: Request, desk: Desk, found: BucketView, number: int) -> Response:
    store = desk.store
    shown = store.finding(number)
    traces = store.traces(number)
    legs = [view.leg for view in traces]
    asked = request.query_params.get("page", "1")
    page = questions.number(asked, "page")
    history = store.history(found.id, HISTORY)
    return desk.page(
        request,
        "bucket.html",
        bucket=found,
        finding=shown,
        advice=steps.advice(found, number),
        minimal=caselines.lines(shown.minimal, shown.op_index),
        original=caselines.lines(shown.original) if shown.original != shown.minimal else (),
        preceding=[format_case(one.case) for one in shown.preceding[-1:]],
        files=offered(found, shown, legs),
        sides=desk.side_by_side(shown, traces),
        endings=_endings(shown, traces),
        logs=[(view.leg.name, log) for view in traces if (log := log_excerpt(view.trace))],
        matrix=matrix(store.matrix(found.id), found.votes, legs),
        retests=store.retests(found.id, 10),
        signatures=store.signatures(found.id),
        kin=store.kin(found.id),
        mutes=[mute for mute in store.mutes() if mute.id == found.muted_by],
        history=[(one, list(differences(one.before, one.after))) for one in history],
        lines=_lines(store, found.id, page),
        page=page,
        per_page=FINDINGS,
        settable=SETTABLE,
        chapter=book.home(found.signature.rule),
    )


def _lines(store: Store, number: int, page: int) -> tuple[FindingLine, ...]:
    return store.finding_lines(number, FINDINGS, FINDINGS * (page - 1))


def _endings(shown: FindingView, traces: Sequence[TraceView]) -> list[dict[str, object]]:
    """How each leg did at the op in question, and how it ended."""
    found = []
    for view in traces:
        seen = at(view.trace, shown.op_index)
        found.append(
            {
                "leg": view.leg,
                "deviates": view.leg.name in shown.deviating,
                "ending": view.trace.ending.value,
                "errno": None if seen is None else seen.err,
            }
        )
    return found


# -- deciding -------------------------------------------------------------------------------


def set_status(request: Request) -> Response:
    """Give it another status, if it still has the one that the page showed."""
    desk, values, number = _asked(request)
    status = questions.choice(Status, questions.text(values, "status"), "status")
    was = questions.choice(Status, questions.text(values, "was"), "status")
    version = questions.text(values, "fixed_in") if status is Status.FIXED else ""
    desk.store.set_status(number, status, actor(request), fixed_in=version, was=was)
    return _told(request, f"B{number} is {status.value} now")


def add_note(request: Request) -> Response:
    """Write a note."""
    desk, values, number = _asked(request)
    desk.store.add_note(number, note_text(values), actor(request))
    return _told(request, "noted")


def assign(request: Request) -> Response:
    """Say who looks after it, and where it is tracked; what did not change is left alone."""
    desk, values, number = _asked(request)
    before = desk.store.bucket(number)
    owner, link = questions.text(values, "owner"), questions.text(values, "link", 2000)
    if owner != before.owner:
        desk.store.assign(number, actor(request), owner=owner)
    if link != before.link:
        desk.store.assign(number, actor(request), link=link)
    if (owner, link) == (before.owner, before.link):
        return desk.done(f"/buckets/{number}", Notice("nothing changed"))
    return _told(request, f"owner: {owner or 'nobody'}; tracked at: {link or 'no place'}")


def merge(request: Request) -> Response:
    """Make it part of another."""
    desk, values, number = _asked(request)
    target = bucket_number(values, "target")
    desk.store.merge(target, [number], actor(request))
    return _told(request, f"B{number} is part of B{target} now", target)


def split(request: Request) -> Response:
    """Move findings that are ticked to a new bucket."""
    desk, values, number = _asked(request)
    ticked = questions.numbers(values, "finding")
    if not ticked:
        raise BadQuestion("no finding is ticked")
    made = desk.store.split(number, ticked, questions.text(values, "title"), actor(request))
    return _told(request, f"split off B{number}", made)


def same(request: Request) -> Response:
    """Say whether it is what a proposal takes it for."""
    desk, values, number = _asked(request)
    other = bucket_number(values, "other")
    agreed = questions.text(values, "same") == "yes"
    desk.store.settle_same(number, other, agreed, actor(request))
    word = "is part of" if agreed else "is another than"
    return _told(request, f"B{number} {word} B{other}", other if agreed else number)


def _asked(request: Request) -> tuple[Desk, dict[str, list[str]], int]:
    return desk_of(request), form(request), request.path_params["number"]


def _told(request: Request, said: str, number: int | None = None) -> Response:
    """Show the bucket again, with what was done and the change that takes it back."""
    desk = desk_of(request)
    number = number or request.path_params["number"]
    latest = desk.store.history(number, 1)
    undo = latest[0].id if latest else None
    return desk.done(f"/buckets/{number}", Notice(said, undo))


def case(request: Request) -> Response:
    """A stored case, as coverage names it."""
    desk = desk_of(request)
    name = request.path_params["case"]
    texts = desk.store.case_texts([name])
    if name not in texts:
        raise NotFound(f"no case {name} is stored")
    return desk.page(request, "case.html", name=name, text=texts[name])
