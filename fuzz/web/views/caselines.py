"""A case as text, each op beside what a disassembler reads of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.case import Case
from corpus.text import format_op
from fuzz.web.views.lanes import Listed, listing


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One op. `text`: as it stands in a file, `program`: its instructions; `here`: the
    divergence is at it."""

    index: int
    text: str
    program: tuple[Listed, ...]
    here: bool


def lines(case: Case, diverges: int = -1) -> tuple[CaseLine, ...]:
    """The ops of a case; a run's text without its program, which stands beside."""
    found = []
    for index, op in enumerate(case.ops):
        program = tuple(listing(op))
        text = format_op(op)
        if program:
            text = text.partition("{")[0] + "{"
        found.append(CaseLine(index, text, program, index == diverges))
    return tuple(found)
