"""The list of buckets with its filters, and what is done with several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from db.filters import Order
from db.records import NotFound, Refused, Status
from db.store import Store
from db.suspects import Suspect
from fuzz.web import questions
from fuzz.web.desk import actor, desk_of, form
from fuzz.web.keys import Notice
from fuzz.web.questions import PAGE, BadQuestion, Values
from fuzz.web.views.words import counted

SETTABLE = tuple(status for status in Status if status is not Status.DUPLICATE)


def buckets(request: Request) -> Response:
    """A page of buckets; `b3` or `f12` as text leads straight to it."""
    desk = desk_of(request)
    values = {name: request.query_params.getlist(name) for name in request.query_params}
    asked = questions.bucket_question(values, datetime.now(UTC))
    direct = _direct(asked.wanted.text)
    if direct:
        return RedirectResponse(direct, 303)
    store = desk.store
    if asked.wanted.campaign is not None:
        store.campaign(asked.wanted.campaign)
    number = store.bucket_count(asked.wanted)
    last = max(1, -(-number // PAGE))
    page = min(asked.page, last)
    return desk.page(
        request,
        "buckets.html",
        asked=asked,
        said={name: " ".join(words) for name, words in asked.words.items()},
        chosen=asked.wanted.statuses,
        found=store.buckets(asked.wanted, asked.order, PAGE, PAGE * (page - 1)),
        number=number,
        page=page,
        last=last,
        statuses=tuple(Status),
        settable=SETTABLE,
        suspects=tuple(Suspect),
        orders=tuple(Order),
        spans=tuple(questions.SPANS),
        back=asked.address(page=str(page)),
    )


def _direct(text: str) -> str:
    kind, rest = text[:1].upper(), text[1:]
    if kind in ("B", "F") and rest.isascii() and rest.isdigit() and len(rest) < 10:
        return f"/{'buckets' if kind == 'B' else 'findings'}/{int(rest)}"
    return ""


Act = Callable[[Store, int, Values, str], None]


def _status(store: Store, bucket: int, values: Values, who: str) -> None:
    wanted = questions.choice(Status, questions.text(values, "status"), "status")
    store.set_status(bucket, wanted, who, fixed_in=_fixed_in(values, wanted))


def _owner(store: Store, bucket: int, values: Values, who: str) -> None:
    store.assign(bucket, who, owner=questions.text(values, "owner"))


def _note(store: Store, bucket: int, values: Values, who: str) -> None:
    store.add_note(bucket, note_text(values), who)


def _merge(store: Store, bucket: int, values: Values, who: str) -> None:
    store.merge(bucket_number(values, "target"), [bucket], who)


ACTS: Mapping[str, tuple[str, Act]] = {
    "status": ("status set on", _status),
    "owner": ("owner set on", _owner),
    "note": ("note added to", _note),
    "merge": ("made part of another:", _merge),
}
"""What can be done with several buckets -> how that is told, and what does it."""


def act(request: Request) -> Response:
    """Do one thing with all buckets that are ticked; what is impossible for one is told, and
    done for the others."""
    desk, values = desk_of(request), form(request)
    ticked = questions.numbers(values, "bucket")
    act_name = questions.text(values, "act")
    if act_name not in ACTS:
        raise BadQuestion(f"{act_name!r} is nothing that can be done with buckets")
    if not ticked:
        raise BadQuestion("no bucket is ticked")
    told, do = ACTS[act_name]
    done, trouble = 0, []
    for bucket in ticked:
        try:
            do(desk.store, bucket, values, actor(request))
            done += 1
        except (NotFound, Refused) as error:
            trouble.append(f"B{bucket}: {error}")
    notice = Notice(f"{told} {counted(done, 'bucket')}", None, tuple(trouble))
    return desk.done(local(questions.text(values, "back", 2000)), notice)


def note_text(values: Values) -> str:
    """What a note says."""
    said = "\n".join(values.get("note", ())).replace("\r\n", "\n").strip()
    if not said:
        raise BadQuestion("the note is empty")
    if len(said) > questions.LONGEST_NOTE:
        raise BadQuestion(f"a note has {questions.LONGEST_NOTE} characters at most")
    return said


def bucket_number(values: Values, name: str) -> int:
    """A bucket such as B3 or 3."""
    said = questions.text(values, name)
    return questions.number(said.upper().removeprefix("B"), "bucket such as B3")


def _fixed_in(values: Values, status: Status) -> str:
    version = questions.text(values, "fixed_in")
    return version if status is Status.FIXED else ""


def local(address: str) -> str:
    """An address of this server that a form came from; the list, if it is none."""
    return address if address.startswith("/buckets") else "/buckets"
