"""What every page works with: the open database, the templates, and the visitor's keys."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from corpus.kept import KeptCase, load_kept
from corpus.store import kept_files
from db.records import FindingView, NotFound, TraceView
from db.session import shown
from db.store import Store
from fuzz.printable import printable
from fuzz.report.exercised import LAST_CAMPAIGNS, Exercised
from fuzz.report.reached import LegSeen, summarise
from fuzz.web.access import Access
from fuzz.web.htmx import htmx_file
from fuzz.web.keys import Keys, Notice, Visitor
from fuzz.web.lately import Lately
from fuzz.web.views import words
from fuzz.web.views.campaigns import state
from fuzz.web.views.lanes import SideBySide, side_by_side

HERE = Path(__file__).parent


class Desk:
    """One for the server. Its methods may be called from several threads."""

    def __init__(self, url: str, access: Access) -> None:
        self.url, self.access, self.keys = url, access, Keys()
        self.htmx = htmx_file()
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._templates = _environment()
        self._sides: Lately[SideBySide] = Lately(64)
        self._reached: Lately[list[LegSeen]] = Lately(1)
        self._exercised: Lately[Exercised] = Lately(1)
        self._recorded: Lately[list[KeptCase]] = Lately(1)

    @property
    def store(self) -> Store:
        """The open database. Raises StoreError."""
        with self._lock:
            if self._store is None:
                if not Store.exists(self.url):
                    raise NotFound(
                        f"there is no database {shown(self.url)}: `vcpufuzz run` makes it"
                    )
                self._store = Store.open(self.url)
            return self._store

    def close(self) -> None:
        """Let go of the database; the next page opens it anew, as after it was replaced."""
        with self._lock:
            store, self._store = self._store, None
        for kept in (self._sides, self._reached, self._exercised):
            kept.clear()
        if store is not None:
            store.close()

    def side_by_side(self, finding: FindingView, traces: Sequence[TraceView]) -> SideBySide:
        """A finding's traces beside each other; it takes long, and stored traces stay."""
        key = (finding.id, finding.minimal.id, finding.deviating, len(traces))
        return self._sides.get(
            key, lambda: side_by_side(finding.minimal, traces, finding.deviating)
        )

    def reached(self) -> list[LegSeen]:
        """What campaigns reached in kernels, by leg."""
        mark = self.store.coverage_mark()
        return self._reached.get(mark, lambda: summarise(self.store.coverage()))

    def exercised(self) -> Exercised:
        """What the last campaigns used of the specification; of one that runs, some seconds
        ago."""
        lines = self.store.campaign_lines(LAST_CAMPAIGNS)
        key = tuple((line.id, line.ended, line.beat) for line in lines)
        return self._exercised.get(
            key, lambda: Exercised.of(self.store.campaign(line.id) for line in lines)
        )

    def recorded(self) -> list[KeptCase]:
        """The recorded defects, read again when a file changes. Raises TextError, OSError."""
        files = kept_files("known")
        key = tuple((path, path.stat().st_mtime_ns) for path in files)
        return self._recorded.get(key, lambda: [load_kept(path) for path in files])

    def page(
        self, request: Request, template: str, *, code: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page made of a template."""
        visitor: Visitor = request.state.visitor
        told = request.query_params.get("told")
        content = self._templates.get_template(template).render(
            here=request.url.path,
            token=self.keys.token(visitor),
            visitor=visitor,
            notice=self.keys.heard(told) if told else None,
            now=datetime.now(UTC),
            database=shown(self.url),
            htmx=self.htmx is not None,
            leaves=bool(self.access.password),
            **values,
        )
        return HTMLResponse(content, code)

    def done(self, address: str, notice: Notice) -> Response:
        """Send the browser on to the page that shows what was done."""
        path, _, query = address.partition("?")
        more = urlencode({"told": self.keys.notice(notice)})
        return RedirectResponse(f"{path}?{query}&{more}" if query else f"{path}?{more}", 303)


def desk_of(request: Request) -> Desk:
    """The desk of the server that a request came to."""
    desk: Desk = request.app.state.desk
    return desk


def actor(request: Request) -> str:
    """Who makes a change, for the audit log; empty for the user of this process."""
    visitor: Visitor = request.state.visitor
    return visitor.name


def form(request: Request) -> dict[str, list[str]]:
    """What a form that passed the guard says."""
    found: dict[str, list[str]] = request.state.form
    return found


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_fit,
        auto_reload=False,
    )
    made.filters.update(words.FILTERS)
    made.globals.update(words.GLOBALS, campaign_state=state)
    for name in made.list_templates():
        made.get_template(name)  # compiled now: the first visitor does not wait
    return made


def _fit(value: Any) -> Any:
    """Everything that a template shows passes here, and is escaped afterwards."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value)
