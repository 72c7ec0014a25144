"""A corpus as files: cases in text or bytes, found wherever they lie below directories."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.case import Case
from corpus.domain import TextError
from corpus.store import load_case


@dataclass(slots=True)
class Shelf:
    """What was found: each case once, with a file that says it."""

    cases: dict[str, Case] = field(default_factory=dict)
    """By case id."""
    paths: dict[str, Path] = field(default_factory=dict)
    again: int = 0
    """Files that say a case which another one said before."""
    refused: dict[Path, str] = field(default_factory=dict)
    """Files that say no case, each with the reason, which names it."""


def read(places: Sequence[Path]) -> Shelf:
    """All cases of files and directories. Files that say none are told, not fatal. Raises OSError
    for a place that cannot be listed."""
    shelf = Shelf()
    for path in _files(places):
        try:
            case = load_case(path)
        except TextError as error:
            shelf.refused[path] = str(error)
            continue
        except OSError as error:
            shelf.refused[path] = f"{path}: {error.strerror or error}"
            continue
        if case.id in shelf.cases:
            shelf.again += 1
            continue
        shelf.cases[case.id] = case
        shelf.paths[case.id] = path
    return shelf


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.is_dir():
            yield place
            continue
        os.listdir(place)  # says what is wrong, where walking would find nothing
        for folder, inner, names in os.walk(place):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    yield Path(folder, name)
