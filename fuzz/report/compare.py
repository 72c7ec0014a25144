"""What each leg observed, beside what the specification permits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.case import Case
from corpus.text import format_op
from corpus.trace import Observation, Trace
from targets.profile import Profile
from targets.spec.judge import error_name, show
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Permitted
from targets.spec.sets import Set, narrow
from targets.spec.stepper import Stepper


@dataclass(frozen=True, slots=True)
class Cell:
    """One value that a leg observed. `choice`: which candidate it took, if there were
    several (0 keeps, others clear)."""

    text: str
    permitted: bool
    choice: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One observed thing (an errno, a register) across legs."""

    label: str
    expected: tuple[str, ...]
    cells: Mapping[str, Cell]

    @property
    def remarkable(self) -> bool:
        """Whether a reader of a comparison wants to see it."""
        texts = {cell.text for cell in self.cells.values()}
        wrong = any(not cell.permitted for cell in self.cells.values())
        return wrong or len(texts) > 1 or len(self.expected) > 1


@dataclass(frozen=True, slots=True)
class Step:
    """One op: its text, the rule that judged it, and its rows."""

    index: int
    text: str
    rule: str
    context: str
    rows: tuple[Row, ...]
    note: str = ""


def compare(case: Case, traces: Mapping[str, Trace], profiles: Mapping[str, Profile]) -> list[Step]:
    """Step the model along each leg's trace and lay the values side by side."""
    legs = {name: Stepper(Model(profiles[name]), case, trace) for name, trace in traces.items()}
    return [_step(case, index, legs, traces) for index in range(len(case.ops))]


def _step(case: Case, index: int, legs: Mapping[str, Stepper], traces: Mapping[str, Trace]) -> Step:
    rows: dict[str, tuple[dict[str, None], dict[str, Cell]]] = {}
    rule = context = note = ""
    for name, leg in legs.items():
        trace = traces[name]
        if index >= len(trace.observations):
            note = note or f"{name} has no observation: {trace.ending.value}"
            continue
        seen = trace.observations[index]
        permitted = leg.permitted()
        if permitted is None:
            note = f"not judged: {leg.stopped or 'this leg diverged before'}"
            for label, text in _plain(seen):
                rows.setdefault(label, ({}, {}))[1][name] = Cell(text, True)
            continue
        rule, context = permitted.rule, str(permitted.context or "")
        for label, expected, cell in _cells(permitted, seen):
            wanted, cells = rows.setdefault(label, ({}, {}))
            wanted.update(dict.fromkeys(expected))
            cells[name] = cell
        leg.narrow(permitted)
    return Step(
        index,
        format_op(case.ops[index]),
        rule,
        context,
        tuple(Row(label, tuple(wanted), cells) for label, (wanted, cells) in rows.items()),
        note,
    )


def _plain(seen: Observation) -> list[tuple[str, str]]:
    size = len(seen.data)
    rows = [("errno", error_name(seen.err))]
    if 0 < size <= 256:
        rows.append(("data", show((int.from_bytes(seen.data, "little"), 0), size)))
    return rows


def _cells(permitted: Permitted, seen: Observation) -> list[tuple[str, Sequence[str], Cell]]:
    if permitted.anything:
        return [("errno", ("anything",), Cell(error_name(seen.err), True))]
    errs = list(dict.fromkeys(error_name(o.err) for o in permitted.outcomes))
    name = error_name(seen.err)
    found: list[tuple[str, Sequence[str], Cell]] = [("errno", errs, Cell(name, name in errs))]
    outcome = next((o for o in permitted.outcomes if o.err == seen.err), None)
    if outcome:
        found += _values(outcome, seen)
    return found


def _values(outcome: Outcome, seen: Observation) -> list[tuple[str, Sequence[str], Cell]]:
    found: list[tuple[str, Sequence[str], Cell]] = []
    at = 0
    for part in outcome.parts:
        piece = seen.data[at : at + part.size]
        at += part.size
        if not part.label or len(piece) < part.size:
            continue
        value = int.from_bytes(piece, "little")
        index = narrow(part.candidates, value)
        choice = index if len(part.candidates) > 1 else None
        cell = Cell(show((value, 0), part.size), index is not None, choice)
        found.append((part.label, _expected(part.candidates, part.size), cell))
    return found


def _expected(candidates: Set, size: int) -> list[str]:
    return [show(candidate, size) for candidate in candidates]
