"""Starting hunting processes and hearing what they find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fuzz.bench.apart import Died, told_by
from fuzz.bench.corners import hunt

Tell = Callable[[hunt.Progress], None]


class HuntFailed(Exception):
    """A hunting process died; the message is its last words."""


@dataclass(slots=True)
class Search:
    """What one search found: index of a defect -> cases until then."""

    found: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    features: int = 0


def search(plan: hunt.Plan, tell: Tell = lambda _: None) -> Search:
    """One search, in a process of its own. Raises HuntFailed."""
    result = Search()
    try:
        with told_by(str(Path(hunt.__file__)), msgspec.json.encode(plan).decode()) as lines:
            for line in lines:
                match hunt.decode(line):
                    case hunt.Seen(index, cases):
                        result.found[index] = cases
                    case hunt.Progress() as progress:
                        tell(progress)
                    case hunt.Ended(_, seconds, features):
                        result.seconds, result.features = seconds, features
                        break
    except Died as death:
        raise HuntFailed(f"the hunting process died: {death}") from None
    return result
