"""What two legs do differently in one case, although both may. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from corpus.case import Case
from corpus.ops import CreateVcpu, Finalize, Init, Migrate, Op, RegList
from corpus.text import format_case
from corpus.trace import Trace
from fuzz.report.compare import ANYTHING, Cell, Row, compare
from fuzz.review.book import Differing
from targets.profile import Profile

CHOICE = "choice"
_LIVES = (CreateVcpu, Init, Finalize, Migrate)
_CHOICE = {0: "kept"}
_NUMBER = re.compile(r"\d+")

_Key = tuple[int, str]


def differences(
    case: Case,
    runs: Sequence[Mapping[str, Trace]],
    profiles: Mapping[str, Profile],
    base: str,
    new: str,
    mode: str,
) -> list[Differing]:
    """What differs in the same way in each of several runs of a case on legs `base` and `new`."""
    each = [dict(_of_run(case, traces, profiles, base, new, mode)) for traces in runs]
    first, *rest = each
    text = format_case(case)
    return [
        Differing(one.kind, mode, one.op, one.rule, one.label, one.base, one.new, text)
        for key, one in first.items()
        if all(other.get(key) == one for other in rest)
    ]


def _of_run(
    case: Case,
    traces: Mapping[str, Trace],
    profiles: Mapping[str, Profile],
    base: str,
    new: str,
    mode: str,
) -> Iterator[tuple[_Key, Differing]]:
    for step in compare(case, traces, profiles):
        op = case.ops[step.index]
        for row in step.rows:
            one, other = row.cells.get(base), row.cells.get(new)
            if one is None or other is None or one.text == other.text:
                continue
            if not (one.permitted and other.permitted) or row.expected == (ANYTHING,):
                continue
            kind = _kind(op, row)
            if kind == CHOICE and None in (one.choice, other.choice):
                continue  # what follows from a choice that was made before
            yield (
                (step.index, row.label),
                Differing(
                    *(kind, mode, op.word, step.rule, _NUMBER.sub("N", row.label)),
                    *(_said(one), _said(other), ""),
                ),
            )


def _kind(op: Op, row: Row) -> str:
    if isinstance(op, RegList):
        return "register list"
    if row.size:
        return CHOICE
    return "lifecycle" if isinstance(op, _LIVES) else "errno"


def _said(cell: Cell) -> str:
    """A choice by what became of the bits, anything else as it is shown."""
    if cell.choice is not None:
        return _CHOICE.get(cell.choice, "cleared")
    return cell.text


def added_up(found: Sequence[Differing]) -> list[Differing]:
    """The same differences once, each with how many cases it was in; the commonest first."""
    counts: dict[tuple[str, ...], list[Differing]] = {}
    for one in found:
        key = (one.kind, one.mode, one.op, one.rule, one.base, one.new)
        counts.setdefault(key, []).append(one)
    several = [
        Differing(
            *(ones[0].kind, ones[0].mode, ones[0].op, ones[0].rule, ones[0].label),
            *(ones[0].base, ones[0].new, ones[0].case),
            len({one.case for one in ones}),
        )
        for ones in counts.values()
    ]
    return sorted(several, key=lambda one: (one.kind, -one.count, one.op))
