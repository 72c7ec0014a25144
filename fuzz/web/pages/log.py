"""What was changed, with its undoing, and what is muted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from db.records import MuteRecord
from fuzz.report.changes import differences
from fuzz.web import questions
from fuzz.web.desk import actor, desk_of, form
from fuzz.web.keys import Notice
from fuzz.web.questions import BadQuestion

ENTRIES = 100


def history(request: Request) -> Response:
    """The latest changes, the newest first."""
    desk = desk_of(request)
    found = desk.store.history(limit=ENTRIES)
    shown = [(one, list(differences(one.before, one.after))) for one in found]
    return desk.page(request, "history.html", found=shown, limit=ENTRIES)


def undo(request: Request) -> Response:
    """Take a change back."""
    desk = desk_of(request)
    number = questions.number(questions.text(form(request), "change"), "change")
    done = desk.store.undo(number, actor(request))
    notice = Notice(f"change {done.undoes} ({done.subject}) is undone", done.id)
    kind, _, bucket = done.subject.partition(" ")
    single = kind == "bucket" and bucket.isdigit()
    return desk.done(f"/buckets/{bucket}" if single else "/history", notice)


def mutes(request: Request) -> Response:
    """What nobody wants to hear of."""
    desk = desk_of(request)
    return desk.page(
        request,
        "mutes.html",
        found=desk.store.mutes(),
        rule=request.query_params.get("rule", ""),
        leg=request.query_params.get("leg", ""),
        later=datetime.now(UTC) + timedelta(weeks=4),
    )


def mute(request: Request) -> Response:
    """Hear no more of something."""
    desk, values = desk_of(request), form(request)
    until = questions.text(values, "until")
    reason = questions.text(values, "reason")
    if not reason:
        raise BadQuestion("a mute needs a reason: others will ask")
    record = MuteRecord(
        rule=questions.text(values, "rule") or "*",
        legs=questions.text(values, "leg") or "*",
        reason=reason,
        low=questions.text(values, "low"),
        high=questions.text(values, "high"),
        expires=questions.day(until) if until else None,
    )
    number = desk.store.mute(record, actor(request))
    covered = next(one.buckets for one in desk.store.mutes() if one.id == number)
    return desk.done("/mutes", Notice(f"mute {number} covers {covered} of today's buckets"))


def unmute(request: Request) -> Response:
    """End a mute."""
    desk = desk_of(request)
    number = request.path_params["number"]
    desk.store.unmute(number, actor(request))
    return desk.done("/mutes", Notice(f"mute {number} has ended"))
