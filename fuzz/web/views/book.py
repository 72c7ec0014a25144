"""The specification as a book: rules, instructions, and the facts behind them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from corpus.isa.table import FORMS
from fuzz.report.exercised import Exercised
from targets.spec.rules import CHAPTERS, RULES, is_strict
from targets.spec.rules.rule import FIRST, LAST, Release, Rule

INSTRUCTIONS = "isa"
"""What the chapters of instructions are called in addresses, before their group."""

CLASSES = {
    "ARCH": "the architecture says so: strict",
    "ABI": "the documented interface says so: strict",
    "IMPL": "kernels do so without promising it: lenient",
}


@dataclass(frozen=True, slots=True)
class Chapter:
    """Rules that belong together."""

    name: str
    title: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule with what campaigns and findings have to do with it. `buckets`: those that want
    somebody to do something."""

    rule: Rule
    strict: bool
    holds: str
    used: int
    legs: tuple[str, ...]
    beyond: tuple[str, ...]
    buckets: int


@cache
def chapters() -> tuple[Chapter, ...]:
    """The chapters of rules, in the order of the specification."""
    return tuple(
        Chapter(module.__name__.rpartition(".")[2], _title(module), module.TABLE)
        for module in CHAPTERS
    )


@cache
def instruction_chapters() -> tuple[Chapter, ...]:
    """The chapters of instructions: a rule for each form, by what is treated alike."""
    groups: dict[str, list[Rule]] = {}
    for form in FORMS.values():
        rule = Rule(f"isa.{form.name}", "ARCH", f"Arm ARM, {form.mnemonic.upper()}", form.syntax)
        groups.setdefault(form.group, []).append(rule)
    return tuple(
        Chapter(f"{INSTRUCTIONS}-{_slug(group)}", group, tuple(rules))
        for group, rules in sorted(groups.items())
    )


def chapter(name: str) -> Chapter | None:
    """A chapter by its name in addresses."""
    return next((c for c in (*chapters(), *instruction_chapters()) if c.name == name), None)


@cache
def home(rule: str) -> str:
    """The chapter of a rule; empty if there is none."""
    for one in (*chapters(), *instruction_chapters()):
        if any(own.id == rule for own in one.rules):
            return one.name
    return ""


def entries(one: Chapter, used: Exercised, buckets: Mapping[str, int]) -> Iterator[Entry]:
    """The rules of a chapter."""
    for rule in one.rules:
        strict = is_strict(rule.id) if rule.id in RULES else True
        yield Entry(
            rule,
            strict,
            _holds(rule),
            used.counts[rule.id],
            tuple(used.on(rule.id)),
            tuple(used.out_of_reach(rule.id)),
            buckets.get(rule.id, 0),
        )


def _title(module: ModuleType) -> str:
    title = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    title = title.removeprefix("Rules about ")
    return title[:1].upper() + title[1:]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _holds(rule: Rule) -> str:
    """On which kernels, where that is not all; and values that changed."""
    told = []
    if rule.since != FIRST:
        told.append(f"since {_release(rule.since)}")
    if rule.until != LAST:
        told.append(f"up to {_release(rule.until)}")
    told += [f"{value:#x} from {_release(first)} on" for first, value in rule.values]
    return ", ".join(told)


def _release(release: Release) -> str:
    return "the first kernel" if release == FIRST else f"{release[0]}.{release[1]}"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the facts: `level` of its heading, and its paragraphs."""

    level: int
    title: str
    paragraphs: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """How addresses name it: its number."""
        return f"fact-{_slug(self.title.partition(' ')[0])}"


def sections(text: str) -> Iterator[Section]:
    """The facts as written: headings, and paragraphs between empty lines."""
    for part in re.split(r"^(?=#{1,4} )", text, flags=re.MULTILINE):
        head, _, body = part.partition("\n")
        match = re.match(r"(#{1,4}) (.+)", head)
        if match:
            found = [" ".join(one.split()) for one in re.split(r"\n\s*\n", body) if one.strip()]
            yield Section(len(match[1]), match[2].strip(), tuple(found))
