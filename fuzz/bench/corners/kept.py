"""Searches that took hours are kept as they end, so that what breaks later costs none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from corpus.store import naming
from fuzz.bench.corners.hunt import Plan
from fuzz.bench.corners.searches import Search


class Kept(msgspec.Struct, frozen=True):
    """A line of the file: a search, and what it found."""

    plan: Plan
    search: Search


def keeping(path: Path, search: Callable[[Plan], Search]) -> Callable[[Plan], Search]:
    """`search`, with each result appended to the file at `path`, and those that it has taken from
    there. A line that was cut off is left out. Raises ValueError where the file is not regular or a
    line none of ours, OSError; what comes back raises OSError and what `search` raises."""
    done = {msgspec.json.encode(each.plan): each.search for each in _read(path)}

    def kept(plan: Plan) -> Search:
        key = msgspec.json.encode(plan)
        if key not in done:
            done[key] = search(plan)
            line = msgspec.json.encode(Kept(plan, done[key])) + b"\n"
            with naming(path), path.open("ab") as file:
                file.write(line)
        return done[key]

    return kept


def _read(path: Path) -> list[Kept]:
    """What a file has; it is there and can be written from then on."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file, and what is kept is read again")
    with path.open("a+b") as file:
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        cut_off = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        found = [_parsed(path, number, line) for number, line in enumerate(lines, 1)]
        if cut_off[: len(_BEGIN)] != _BEGIN[: len(cut_off)]:
            _parsed(path, len(lines) + 1, cut_off)
        file.truncate(sum(map(len, lines)))
    return found


_BEGIN = b'{"plan":'


def _parsed(path: Path, number: int, line: bytes) -> Kept:
    try:
        return msgspec.json.decode(line, type=Kept)
    except msgspec.DecodeError:
        raise ValueError(f"{path}: line {number} is no search that was kept") from None
