"""Register contents for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from targets.spec.sets import Candidate

ROW = 16
"""Bytes of a row of a long value."""
MOST_RUNS = 12
MOST_ROWS = 4

LEGEND = "`..` is a byte that may be anything, `?` behind a byte: some of its bits may"


def show(candidate: Candidate, size: int, rows: Sequence[int] = ()) -> str:
    """A value of `size` bytes: up to 8 bytes as a number; longer ones byte by byte from byte 0
    up, in runs of equal bytes; those with many runs in rows of 16 bytes: the given `rows`, or
    the first. `..` stands for an unknown byte, `?` behind a byte for some unknown bits."""
    value, mask = candidate
    if size <= 8:
        text = f"{value:#0{2 * size + 2}x}"
        return f"{text} (unknown {mask:#x})" if mask else text
    cells = [_cell(value >> 8 * i & 0xFF, mask >> 8 * i & 0xFF) for i in range(size)]
    runs = _runs(cells)
    if len(runs) <= MOST_RUNS:
        return " ".join(f"[{a}..{b}]={cell}" if b > a else f"[{a}]={cell}" for a, b, cell in runs)
    chosen = list(rows or range(-(-size // ROW)))
    told = [_row(cells, row) for row in chosen[:MOST_ROWS]]
    return " ".join(told) + (" ..." if len(chosen) > MOST_ROWS or rows else "")


def rows_with(bits: int, size: int) -> list[int]:
    """The rows of 16 bytes that any of these bits of a value is in, lowest first."""
    ones = (1 << 8 * ROW) - 1
    return [row for row in range(-(-size // ROW)) if bits >> 8 * ROW * row & ones]


def _cell(byte: int, unknown: int) -> str:
    return ".." if unknown == 0xFF else f"{byte:02x}" + ("?" if unknown else "")


def _row(cells: Sequence[str], row: int) -> str:
    start = ROW * row
    end = min(start + ROW, len(cells))
    return f"[{start}..{end - 1}]={''.join(cells[start:end])}"


def _runs(cells: Sequence[str]) -> list[tuple[int, int, str]]:
    """(first, last, cell) of each run of equal cells."""
    runs: list[tuple[int, int, str]] = []
    for i, cell in enumerate(cells):
        if runs and runs[-1][2] == cell:
            runs[-1] = (runs[-1][0], i, cell)
        else:
            runs.append((i, i, cell))
    return runs
