"""Traces side by side: every leg's values beside what is permitted, lane by lane. Pure."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from corpus.case import Case
from corpus.ops import Op, Run
from db.records import TraceView
from fuzz.report.compare import Cell, Row, Step, compare
from fuzz.report.disassemble import disassemble
from targets.profile import Profile
from targets.spec.hexdump import ROW, rows_with

LANE = 8
"""Bytes of a lane."""
MOST_ROWS = 6
"""Rows of 16 bytes of one value that are shown."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Some bytes of a value, from the lowest up. `state`: wrong, unlike (the others), or
    nothing."""

    text: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """16 bytes of a value, from byte `at` on; None for a short one."""

    at: int | None
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What one leg observed. `choice`: what it did where it had one."""

    lines: tuple[Line, ...]
    permitted: bool
    choice: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """One observed thing across legs, in the order of the columns; None where a leg has none.
    `more`: rows of 16 bytes that are alike everywhere and not shown."""

    label: str
    expected: tuple[str, ...]
    values: tuple[Value | None, ...]
    more: int = 0

    @property
    def wrong(self) -> bool:
        """Whether some leg did what is not permitted."""
        return any(value is not None and not value.permitted for value in self.values)


@dataclass(frozen=True, slots=True)
class Listed:
    """An instruction as the case says it, and as a disassembler reads its word."""

    said: str
    address: str
    word: str
    read: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One op. `first`: its first line; `program`: what a run executes; `rows`: what a reader
    wants to see, and `alike`: how many more there are on which all agree."""

    index: int
    first: str
    rule: str
    context: str
    note: str
    program: tuple[Listed, ...]
    rows: tuple[Compared, ...]
    alike: int

    @property
    def wrong(self) -> bool:
        """Whether some leg did what is not permitted."""
        return any(row.wrong for row in self.rows)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A finding's traces; `unjudged`: legs of whose machine nothing is known, which are not
    shown."""

    legs: tuple[str, ...]
    steps: tuple[Shown, ...]
    unjudged: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """Those of the legs whose machine is known."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, views: Sequence[TraceView]) -> _Known:
        known = cls()
        for view in views:
            try:
                known.profiles[view.leg.name] = Profile.from_fingerprint(view.leg.fingerprint)
            except ValueError:
                known.unknown.append(view.leg.name)
        return known


def side_by_side(case: Case, views: Sequence[TraceView], deviating: Sequence[str]) -> SideBySide:
    """Traces of one case; legs that deviate come first."""
    ordered = sorted(views, key=lambda view: view.leg.name not in deviating)
    known = _Known.of(ordered)
    traces = {view.leg.name: view.trace for view in ordered if view.leg.name in known.profiles}
    steps = compare(case, traces, known.profiles) if traces else []
    shown = tuple(_shown(case.ops[step.index], step, tuple(traces)) for step in steps)
    return SideBySide(tuple(traces), shown, tuple(known.unknown))


def listing(op: Op) -> Iterator[Listed]:
    """The instructions of a run, word by word."""
    if not isinstance(op, Run):
        return
    lines = iter(disassemble(op.program))
    for insn in op.program:
        said = insn.format()
        for _ in insn.words():
            address, _, rest = next(lines).partition(": ")
            word, _, read = rest.partition("  ")
            yield Listed(said, address, word, read)
            said = ""


def _shown(op: Op, step: Step, legs: Sequence[str]) -> Shown:
    remarkable = [row for row in step.rows if row.remarkable]
    return Shown(
        index=step.index,
        first=step.text.partition("\n")[0],
        rule=step.rule,
        context=step.context,
        note=step.note,
        program=tuple(listing(op)),
        rows=tuple(_compared(row, legs) for row in remarkable),
        alike=len(step.rows) - len(remarkable),
    )


def _compared(row: Row, legs: Sequence[str]) -> Compared:
    reference = _usual(row.cells)
    chosen = _chosen(row.cells, row.size)
    values = tuple(
        _value(row.cells[leg], row.size, chosen[:MOST_ROWS], reference)
        if leg in row.cells
        else None
        for leg in legs
    )
    whole = -(-row.size // ROW) if row.size > LANE else 0
    return Compared(row.label, row.expected, values, max(0, whole - len(chosen[:MOST_ROWS])))


def _usual(cells: Mapping[str, Cell]) -> Cell | None:
    """What most of the legs did that did what is permitted; the first of those, if they tie."""
    permitted = [cell for cell in cells.values() if cell.permitted]
    often = Counter(cell.value for cell in permitted)
    return max(permitted, key=lambda cell: often[cell.value], default=None)


def _chosen(cells: Mapping[str, Cell], size: int) -> list[int]:
    """The rows of 16 bytes that tell legs apart; the first, if none does."""
    values = [cell.value for cell in cells.values()]
    wrong = reduce(operator.or_, (cell.wrong for cell in cells.values()), 0)
    unlike = reduce(operator.or_, (value ^ values[0] for value in values), 0)
    return rows_with(wrong, size) or rows_with(unlike, size) or [0]


def _value(cell: Cell, size: int, rows: Sequence[int], reference: Cell | None) -> Value:
    choice = "" if cell.choice is None else "keeps" if cell.choice == 0 else "clears"
    if size <= LANE:
        unlike = reference is not None and cell.value != reference.value
        state = "" if cell.permitted else "wrong"
        lines: tuple[Line, ...] = (
            Line(None, (Lane(cell.text, state or ("unlike" if unlike else "")),)),
        )
    else:
        lines = tuple(_line(cell, size, row, reference) for row in rows)
    return Value(lines, cell.permitted, choice)


def _line(cell: Cell, size: int, row: int, reference: Cell | None) -> Line:
    start, end = ROW * row, min(ROW * (row + 1), size)
    unlike = 0 if reference is None else cell.value ^ reference.value
    return Line(
        start,
        tuple(
            Lane(
                _bits(cell.value, at, min(at + LANE, end)).to_bytes(LANE, "little").hex(),
                _state(cell.wrong, unlike, at),
            )
            for at in range(start, end, LANE)
        ),
    )


def _state(wrong: int, unlike: int, at: int) -> str:
    if _bits(wrong, at, at + LANE):
        return "wrong"
    return "unlike" if _bits(unlike, at, at + LANE) else ""


def _bits(value: int, start: int, end: int) -> int:
    """Bytes `start` up to `end` of a value."""
    return value >> 8 * start & (1 << 8 * (end - start)) - 1
