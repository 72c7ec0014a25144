"""The application: which page is at which address, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from db.records import NotFound, Refused, StoreError
from fuzz.web.access import Access
from fuzz.web.desk import HERE, Desk, desk_of
from fuzz.web.guard import Guard
from fuzz.web.pages import bucket, buckets, campaigns, door, downloads, kernel, log, overview, rules
from fuzz.web.questions import BadQuestion


class _Row(IntegerConvertor):
    """A number that a row of the database may have; others are no address."""

    regex = "[0-9]{1,9}"


register_url_convertor("row", _Row())

Page = Callable[[Request], Response]

PAGES: tuple[tuple[str, Page], ...] = (
    ("/", overview.overview),
    ("/running", overview.running),
    ("/buckets", buckets.buckets),
    ("/buckets/{number:row}", bucket.bucket),
    ("/buckets/{number:row}/bucket.vcpufuzz", downloads.bucket_file),
    ("/findings/{number:row}", bucket.finding),
    ("/findings/{number:row}/{file}", downloads.finding_file),
    ("/cases/{case}", bucket.case),
    ("/campaigns", campaigns.campaigns),
    ("/campaigns/{number:row}", campaigns.campaign),
    ("/incidents", campaigns.incidents),
    ("/incidents/{number:row}", campaigns.incident),
    ("/incidents/{number:row}/log", downloads.incident_log),
    ("/kernel", kernel.legs),
    ("/kernel/{number:row}", kernel.leg),
    ("/kernel/{number:row}/area/{area:path}", kernel.area),
    ("/kernel/{number:row}/function/{function}", kernel.function),
    ("/rules", rules.contents),
    ("/rules/facts", rules.facts),
    ("/rules/{chapter}", rules.chapter),
    ("/rule/{rule}", rules.rule),
    ("/defects", rules.defects),
    ("/history", log.history),
    ("/mutes", log.mutes),
)
"""What can be read."""

ACTIONS: tuple[tuple[str, Page], ...] = (
    ("/buckets", buckets.act),
    ("/buckets/{number:row}/status", bucket.set_status),
    ("/buckets/{number:row}/note", bucket.add_note),
    ("/buckets/{number:row}/assign", bucket.assign),
    ("/buckets/{number:row}/merge", bucket.merge),
    ("/buckets/{number:row}/split", bucket.split),
    ("/buckets/{number:row}/same", bucket.same),
    ("/undo", log.undo),
    ("/mutes", log.mute),
    ("/mutes/{number:row}/end", log.unmute),
)
"""What can be changed."""

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (Refused, 409),
    (BadQuestion, 400),
    (StoreError, 503),
)

_WORDS = {
    400: "That is not understood",
    403: "Not allowed",
    404: "Not here",
    405: "Not like this",
    409: "Not as things stand",
    413: "Too much",
    415: "Not like this",
    500: "Something broke",
    503: "The database does not answer",
}


def application(url: str, access: Access) -> Starlette:
    """The pages of the database at `url`."""
    desk = Desk(url, access)
    routes = [
        *(Route(path, page, methods=["POST"]) for path, page in ACTIONS),
        *(Route(path, page, methods=["GET"]) for path, page in PAGES),
        Route("/login", door.enter, methods=["POST"]),
        Route("/login", door.login, methods=["GET"]),
        Route("/leave", door.leave, methods=["POST"]),
        *([Route("/static/htmx.js", _script(desk.htmx))] if desk.htmx else []),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
    ]
    made = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=access, keys=desk.keys, refuse=refused)],
        exception_handlers={
            **dict.fromkeys((kind for kind, _ in _CODES), _in_words),
            HTTPException: _http,
        },
    )
    made.state.desk = desk
    return made


def _script(path: Path) -> Page:
    def script(_request: Request) -> Response:
        return FileResponse(path, media_type="text/javascript")

    return script


def refused(request: Request, code: int, sentence: str) -> Response:
    """A page that says why there is none."""
    title = _WORDS.get(code, "No")
    # A first word is begun large, the name of a leg or a file is not.
    if sentence.partition(" ")[0].isalpha():
        sentence = sentence[0].upper() + sentence[1:]
    sentence = sentence.removesuffix(".")
    return desk_of(request).page(request, "error.html", code=code, title=title, sentence=sentence)


async def _in_words(request: Request, error: Exception) -> Response:
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    if code == 503:
        # It may have been replaced, or a server may be back: the next page tries anew.
        await run_in_threadpool(desk_of(request).close)
    return refused(request, code, _sentence(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is no such page", 405: "this page cannot be asked like that"}
    return refused(request, error.status_code, said.get(error.status_code, error.detail))


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
