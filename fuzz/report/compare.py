"""What each leg observed, beside what the specification permits. Pure."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from corpus.case import Case
from corpus.text import format_op
from corpus.trace import Observation, Trace
from targets.profile import Profile
from targets.spec.errno import error_name
from targets.spec.hexdump import rows_with, show
from targets.spec.judge import nearest
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Permitted
from targets.spec.sets import Candidate, Set, narrow
from targets.spec.stepper import Stepper

ANYTHING = "anything"
"""What is permitted where the specification is silent."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value that a leg observed. `choice`: which candidate it took, if there were
    several (0 keeps, others clear). `value`: the same as a number, and `wrong` its bits that
    differ from the candidate it is most like."""

    text: str
    permitted: bool
    choice: int | None = None
    value: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One observed thing (an errno, a register) across legs; `size` in bytes, 0 for an errno."""

    label: str
    expected: tuple[str, ...]
    cells: Mapping[str, Cell]
    size: int = 0

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
    rows: dict[str, _Gathered] = {}
    rule = context = note = ""
    for name, leg in legs.items():
        trace = traces[name]
        if index >= len(trace.observations):
            note = note or f"{name} has no observation: {trace.ending.value}"
            continue
        seen = trace.observations[index]
        permitted = leg.permitted() if leg.judged <= index else None
        if leg.judged > index:
            note = "judged with the other thread's ops, in some order"
            found = _unjudged(seen)
        elif permitted is None:
            note = f"not judged: {leg.stopped or 'this leg diverged before'}"
            found = _unjudged(seen)
        else:
            rule, context = permitted.rule, str(permitted.context or "")
            found = _values(permitted, seen)
            leg.narrow(permitted)
        for label, size, value, candidates in found:
            rows.setdefault(label, _Gathered(size)).add(name, value, candidates)
    told = tuple(gathered.row(label) for label, gathered in rows.items())
    return Step(index, format_op(case.ops[index]), rule, context, told, note)


_Value = tuple[str, int, int, Set | None]
"""Label, size in bytes (0: an errno), value, and what is permitted, if that is known."""


@dataclass(slots=True)
class _Gathered:
    """One observed thing on its way to a row: all legs' values, so that what differs between
    them is what is shown."""

    size: int
    expected: dict[Candidate, None] = field(default_factory=dict)
    values: dict[str, tuple[int, Set | None]] = field(default_factory=dict)

    def add(self, name: str, value: int, candidates: Set | None) -> None:
        self.values[name] = value, candidates
        self.expected.update(dict.fromkeys(candidates or ()))

    def row(self, label: str) -> Row:
        rows = self._rows()
        cells = {
            name: self._cell(value, permits, rows) for name, (value, permits) in self.values.items()
        }
        return Row(
            label,
            tuple(self._text(c, rows) for c in self.expected) or (ANYTHING,),
            cells,
            self.size,
        )

    def _rows(self) -> list[int]:
        """The rows that matter of long values: what is wrong, else what differs between legs,
        else between what is permitted."""
        values = [value for value, _ in self.values.values()]
        wrong = [nearest(permits, value) for value, permits in self.values.values() if permits]
        exact = [value for value, mask in self.expected if not mask]
        for bits in (
            _or(wrong),
            _or(v ^ values[0] for v in values),
            _or(v ^ exact[0] for v in exact),
        ):
            if bits:
                return rows_with(bits, self.size)
        return []

    def _cell(self, value: int, candidates: Set | None, rows: Sequence[int]) -> Cell:
        text = self._text((value, 0), rows)
        if candidates is None:
            return Cell(text, True, None, value)
        index = narrow(candidates, value)
        choice = index if len(candidates) > 1 and self.size else None
        wrong = nearest(candidates, value) if index is None and self.size else 0
        return Cell(text, index is not None, choice, value, wrong)

    def _text(self, candidate: Candidate, rows: Sequence[int]) -> str:
        return show(candidate, self.size, rows) if self.size else error_name(candidate[0])


def _or(values: Iterable[int]) -> int:
    return reduce(operator.or_, values, 0)


def _unjudged(seen: Observation) -> list[_Value]:
    size = len(seen.data)
    found: list[_Value] = [("errno", 0, seen.err, None)]
    if 0 < size <= 256:
        found.append(("data", size, int.from_bytes(seen.data, "little"), None))
    return found


def _values(permitted: Permitted, seen: Observation) -> list[_Value]:
    if permitted.anything:
        return [("errno", 0, seen.err, None)]
    errs = tuple((err, 0) for err in dict.fromkeys(o.err for o in permitted.outcomes))
    found: list[_Value] = [("errno", 0, seen.err, errs)]
    ways = [_of_outcome(o, seen) for o in permitted.outcomes if o.err == seen.err]
    # Of several outcomes the one that was taken, else the last, whose misfit the verdict tells.
    taken = (way for way in ways if all(narrow(c, value) is not None for _, _, value, c in way))
    return [*found, *next(taken, ways[-1] if ways else [])]


def _of_outcome(outcome: Outcome, seen: Observation) -> list[tuple[str, int, int, Set]]:
    found = []
    at = 0
    for part in outcome.parts:
        piece = seen.data[at : at + part.size]
        at += part.size
        if part.label and len(piece) == part.size:
            found.append((part.label, part.size, int.from_bytes(piece, "little"), part.candidates))
    return found
