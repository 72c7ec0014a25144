"""The specification as a book, and whether recorded defects still show."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

import targets.spec
from db.records import NotFound
from fuzz.web.desk import desk_of
from fuzz.web.views import book
from fuzz.web.views.health import MEANS, health

FACTS = Path(targets.spec.__path__[0]) / "FACTS.md"
CAMPAIGNS = 50
"""So many, the newest, tell whether a recorded defect still shows."""


def contents(request: Request) -> Response:
    """The chapters."""
    desk = desk_of(request)
    used, buckets = desk.exercised(), desk.store.rule_counts()

    def summed(chapters: tuple[book.Chapter, ...]) -> list[dict[str, object]]:
        found = []
        for one in chapters:
            ids = [rule.id for rule in one.rules]
            found.append(
                {
                    "chapter": one,
                    "used": sum(1 for rule in ids if used.counts[rule]),
                    "times": sum(used.counts[rule] for rule in ids),
                    "buckets": sum(buckets.get(rule, 0) for rule in ids),
                }
            )
        return found

    return desk.page(
        request,
        "rules.html",
        chapters=summed(book.chapters()),
        instructions=summed(book.instruction_chapters()),
        classes=book.CLASSES,
        legs={leg: len(rules) for leg, rules in sorted(used.legs.items())},
    )


def chapter(request: Request) -> Response:
    """A chapter with its rules."""
    desk = desk_of(request)
    name = request.path_params["chapter"]
    found = book.chapter(name)
    if found is None:
        raise NotFound(f"the specification has no chapter {name!r}")
    entries = list(book.entries(found, desk.exercised(), desk.store.rule_counts()))
    return desk.page(request, "chapter.html", chapter=found, entries=entries, classes=book.CLASSES)


def rule(request: Request) -> Response:
    """Where a rule stands."""
    name = request.path_params["rule"]
    home = book.home(name)
    if not home:
        raise NotFound(f"the specification has no rule {name!r}")
    return RedirectResponse(f"/rules/{home}#{name}", 303)


def facts(request: Request) -> Response:
    """The facts that the rules stand on."""
    sections = list(book.sections(FACTS.read_text()))
    return desk_of(request).page(request, "facts.html", sections=sections)


def defects(request: Request) -> Response:
    """Every recorded defect, and whether it still shows."""
    desk = desk_of(request)
    kept = desk.recorded()
    noted = desk.store.noted_by([one.path.name for one in kept])
    found = health(kept, desk.store.recent_legs(CAMPAIGNS), noted)
    return desk.page(request, "defects.html", found=found, means=MEANS, campaigns=CAMPAIGNS)
