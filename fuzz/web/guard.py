"""What every request passes before a page sees it: the host's name, the visitor, the form and
its token; and the headers that every answer carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuzz.web.access import Access
from fuzz.web.keys import SESSION_SECONDS, Keys, Visitor

LARGEST_FORM = 1 << 18
MOST_FIELDS = 2000
LONGEST_NAME = 80
FORM = "application/x-www-form-urlencoded"
OPEN = ("/static/", "/login")
"""Where nobody is asked who they are."""

POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'"),
        *("connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

LOG = logging.getLogger("vcpufuzz.web")

Form = dict[str, list[str]]
Refuse = Callable[[Request, int, str], Response]


class Guard:
    """Stands before the application. `refuse` makes the page that says no."""

    def __init__(self, app: ASGIApp, access: Access, keys: Keys, refuse: Refuse) -> None:
        self._app, self._access, self._keys, self._refuse = app, access, keys, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        found = self._visitor(request)
        visitor = found or self._keys.stranger()
        request.state.visitor, request.state.form = visitor, {}
        cookie = None if found else self._cookie(request, visitor)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                # A page that lets somebody in sets the cookie itself.
                if cookie and "set-cookie" not in headers:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send_guarded(message)

        try:
            answer = await self._objection(request, visitor) or self._app
        except ClientDisconnect:  # with half a form: there is nobody to answer
            return
        try:
            await answer(scope, receive, send_noted)
        except Exception as error:
            if begun:
                raise
            LOG.error(
                *("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error),
                exc_info=LOG.isEnabledFor(logging.DEBUG),
            )
            sentence = "an internal error, please report it; the server's output has more"
            await self._refuse(request, 500, sentence)(scope, receive, send_guarded)

    def _visitor(self, request: Request) -> Visitor | None:
        return self._keys.visitor(request.cookies.get(cookie_name(request), ""))

    def _cookie(self, request: Request, visitor: Visitor) -> str:
        answer = Response()
        set_cookie(answer, request, self._keys.session(visitor))
        return answer.headers["set-cookie"]

    async def _objection(self, request: Request, visitor: Visitor) -> Response | None:
        """Why a request goes no further; None if it does."""
        host = request.headers.get("host", "")
        if not self._access.is_called(host):
            return self._refuse(request, 400, f"this server is not called {host[:80]!r}")
        path = request.url.path
        if self._access.user_header:
            name = request.headers.get(self._access.user_header, "").strip()
            if not name or len(name) > LONGEST_NAME:
                return self._refuse(request, 403, "the proxy in front does not say who you are")
            request.state.visitor = Visitor(visitor.seat, name, True)
        elif self._access.password and not visitor.known and not path.startswith(OPEN):
            if request.method in ("GET", "HEAD"):
                return RedirectResponse("/login", 303)
            return self._refuse(request, 403, "log in first")
        if request.method in ("GET", "HEAD"):
            return None
        return await self._form_objection(request, visitor)

    async def _form_objection(self, request: Request, visitor: Visitor) -> Response | None:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return self._refuse(request, 403, "a change has to come from a page of this server")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != FORM:
            return self._refuse(request, 415, f"a change has to come as {FORM}")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                return self._refuse(request, 413, f"a form has {LARGEST_FORM >> 10} KiB at most")
        try:
            form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            return self._refuse(request, 400, "the form cannot be read")
        tokens: Sequence[str] = form.pop("token", ())
        if len(tokens) != 1 or not self._keys.is_token(tokens[0], visitor):
            return self._refuse(
                request, 403, "the page that this came from is too old: load it again"
            )
        request.state.form = form
        return None


def cookie_name(request: Request) -> str:
    """Browsers do not tell cookies of one host apart by port, so the name does."""
    return f"vcpufuzz-{request.url.port or 80}"


def set_cookie(answer: Response, request: Request, value: str) -> None:
    """Give a visitor their cookie."""
    answer.set_cookie(
        cookie_name(request),
        value,
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
