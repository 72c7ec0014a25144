"""Starting hunting processes and hearing what they find."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

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
    read, write = os.pipe()
    script = str(Path(hunt.__file__))
    result = Search()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, script, str(write), msgspec.json.encode(plan).decode()],
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        os.close(write)
        try:
            with os.fdopen(read, "rb") as lines:
                for line in lines:
                    match hunt.decode(line):
                        case hunt.Seen(index, cases):
                            result.found[index] = cases
                        case hunt.Progress() as progress:
                            tell(progress)
                        case hunt.Ended(_, seconds, features):
                            result.seconds, result.features = seconds, features
                            return result
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    raise HuntFailed(f"the hunting process died: {''.join(last) or 'it said nothing'}")
