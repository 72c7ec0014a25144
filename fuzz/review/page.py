"""A review for people: plain text, a mail of less than 72 columns, one HTML page. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from fuzz.printable import printable
from fuzz.review.book import (
    Broken,
    Differing,
    KernelSide,
    Review,
    ReviewedFunction,
    Where,
)

MAIL = 71
"""Columns of a mail."""
WIDE = 100

_CASES = 3
"""Differences of one kind that are shown with their case."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry: a line, what is to be said of it, and a case."""

    head: str
    said: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence, and entries."""

    title: str
    said: str = ""
    items: Sequence[Item] = ()


def summary(review: Review) -> str:
    """One sentence that says it all."""
    new, gone = len(review.of(Where.NEW)), len(review.of(Where.GONE))
    reached = sum(bool(one.mode) for one in review.functions)
    parts = [
        _many(new, "new divergence from the specification", "new divergences"),
        f"{gone} gone",
        _many(len(review.differing), "permitted difference", "permitted differences"),
        f"{_many(len(review.functions), 'function differs', 'functions differ')},"
        f" {reached} of them reached",
    ]
    return "; ".join(parts) + "."


def subject(review: Review) -> str:
    """The first line of a mail."""
    word = "BROKEN" if review.has_news else "nothing new"
    return f"vcpufuzz: {word}: {review.base.name} .. {review.new.name}"


def sections(review: Review) -> Iterator[Section]:
    """The review in the order in which a reader wants it."""
    yield Section(
        "Result",
        summary(review),
        [
            Item(f"Base: {_side(review.base)}"),
            Item(f"New:  {_side(review.new)}"),
            Item(f"{review.cases} cases on both, in {' and '.join(review.modes)}."),
            *(Item(note) for note in review.notes),
        ],
    )
    for title, where in (
        ("New divergences from the specification", Where.NEW),
        ("Divergences that are gone", Where.GONE),
    ):
        found = review.of(where)
        if found or where is Where.NEW:
            yield Section(title, "" if found else "None.", [_broken(one) for one in found])
    yield Section(
        "Permitted, but different",
        "" if review.differing else "None.",
        [_differing(one, at < _CASES) for at, one in enumerate(review.differing)],
    )
    yield from _functions(review.functions)
    if review.speed:
        yield Section(
            "Speed",
            "In the guest alone, per case, and how far timings of one kernel lie apart.",
            [
                Item(
                    f"{one.mode}: {one.base:.0f} us, now {one.new:.0f} us"
                    f" ({one.percent:+.1f} %, apart {one.spread:.1f} %)"
                )
                for one in review.speed
            ],
        )
    for title, where in (
        ("As wrong on both", Where.BOTH),
        ("On one, while the other goes wrong before", Where.HIDDEN),
        ("Seen once and not again", Where.CHANCE),
    ):
        rules = [one.rule for one in review.of(where)]
        if rules:
            yield Section(title, f"{', '.join(rules)}.")


def _side(side: KernelSide) -> str:
    release = f", Linux {side.release}" if side.release else ""
    return f"{side.name}{release}" + (f": {side.what}" if side.what else "")


def _broken(one: Broken) -> Item:
    kind = "strict" if one.strict else "lenient"
    where = f", {one.bucket}" if one.bucket else ""
    return Item(f"{one.rule} ({kind}), in {one.mode}{where}", one.explanation, one.case)


def _differing(one: Differing, shown: bool) -> Item:
    what = " ".join(part for part in (one.op, one.label) if part)
    head = f"{one.kind}, in {one.mode}: {what or one.rule}: {one.base}, now {one.new}"
    count = _many(one.count, "case", "cases")
    return Item(head, f"Rule {one.rule}; in {count}.", one.case if shown else "")


def _functions(functions: Sequence[ReviewedFunction]) -> Iterator[Section]:
    reached = [one for one in functions if one.mode]
    never = [one for one in functions if not one.mode and one.how != "gone"]
    gone = [one for one in functions if one.how == "gone"]
    yield Section(
        "Functions that differ and were reached",
        "" if reached else "None.",
        [Item(_function(one), f"First by {one.by}, in {one.mode}.") for one in reached],
    )
    for title, ones in (("Functions that differ and were never reached", never), ("Gone", gone)):
        if ones:
            yield Section(title, "", [Item(_function(one)) for one in ones])


def _function(one: ReviewedFunction) -> str:
    return f"{one.name} ({one.area}{', new' if one.how == 'new' else ''})"


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def text(review: Review, width: int = WIDE) -> str:
    """Plain text, no line longer than `width` columns."""
    lines: list[str] = []
    for section in sections(review):
        lines += ["", section.title, "-" * len(section.title)]
        lines += _wrapped(section.said, width)
        for item in section.items:
            lines += _wrapped(item.head, width, "* ", "  ")
            lines += _wrapped(item.said, width, "  ", "  ")
            for line in item.case.rstrip().splitlines():
                lines += _wrapped(line, width, "      ", "          ")
    return printable("\n".join(lines[1:]) + "\n")


def mail(review: Review) -> str:
    """A mail: its subject, and the text."""
    return printable(f"Subject: {subject(review)[: MAIL - 9]}\n\n") + text(review, MAIL)


def _wrapped(line: str, width: int, first: str = "", rest: str = "") -> list[str]:
    if not line:
        return []
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(),
        width,
        initial_indent=first + indent,
        subsequent_indent=rest + indent,
        break_on_hyphens=False,
    )


_STYLE = """
:root { color-scheme: light dark; --line: #8884 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
li { margin: .4rem 0 } pre { border: 1px solid var(--line); padding: .6rem; overflow-x: auto }
"""


def html(review: Review) -> str:
    """One page that needs nothing else."""
    body = "".join(_section(section) for section in sections(review))
    title = escape(subject(review))
    return printable(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{body}</body></html>\n"
    )


def _section(section: Section) -> str:
    said = f"<p>{escape(section.said)}</p>" if section.said else ""
    items = "".join(_item(item) for item in section.items)
    return f"<h2>{escape(section.title)}</h2>{said}" + (f"<ul>{items}</ul>" if items else "")


def _item(item: Item) -> str:
    said = f"<br>{escape(item.said)}" if item.said else ""
    case = f"<pre>{escape(item.case.rstrip())}</pre>" if item.case else ""
    return f"<li>{escape(item.head)}{said}{case}</li>"
