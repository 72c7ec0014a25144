"""Files in a few words that tell each from the others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path


def told_apart(paths: Collection[Path], least: int = 1) -> dict[Path, Path]:
    """The end of each path: `least` parts, or as many as no other has."""
    found: dict[Path, Path] = {}
    for length in range(least, max((len(path.parts) for path in paths), default=0) + 1):
        ends = {path: path.parts[-length:] for path in paths}
        times = Counter(ends.values())
        found |= {p: Path(*end) for p, end in ends.items() if p not in found and times[end] == 1}
    return {path: found.get(path, path) for path in paths}
