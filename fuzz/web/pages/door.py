"""Coming in with a password, and leaving."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fuzz.web import questions
from fuzz.web.desk import desk_of, form
from fuzz.web.guard import LONGEST_NAME, set_cookie
from fuzz.web.keys import Visitor

WRONG_SECONDS = 1.0
"""After a wrong password everybody waits so long: guessing takes for ever."""

_turn = asyncio.Lock()


async def login(request: Request) -> Response:
    """Ask for the password."""
    desk = desk_of(request)
    if not desk.access.password:
        return RedirectResponse("/", 303)
    return desk.page(request, "login.html", wrong=False, code=200)


async def enter(request: Request) -> Response:
    """Let somebody in who knows it."""
    desk, values = desk_of(request), form(request)
    name = questions.text(values, "name", LONGEST_NAME)
    tried = questions.text(values, "password", 4096)
    async with _turn:
        right = desk.access.is_password(tried)
        if not right:
            await asyncio.sleep(WRONG_SECONDS)
    if not right or not name:
        return desk.page(request, "login.html", wrong=True, code=403)
    # A new seat: whoever gave this browser its old one knows nothing of the new.
    visitor = Visitor(desk.keys.stranger().seat, name, True)
    answer = RedirectResponse("/", 303)
    set_cookie(answer, request, desk.keys.session(visitor))
    return answer


async def leave(request: Request) -> Response:
    """Forget who this is."""
    desk = desk_of(request)
    answer = RedirectResponse("/login", 303)
    set_cookie(answer, request, desk.keys.session(desk.keys.stranger()))
    return answer
