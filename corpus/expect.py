"""What a kept case says of its own outcome, in comment lines of its text form.

::

    # diverges: emulator:* isa.xtn2*

means: on legs that match the first pattern, a divergence from a rule that matches the
second is a known, true defect of the leg (the comments around say which). Everything
else must agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from corpus.case import Case
from corpus.domain import TextError
from corpus.store import load_case

_DIVERGES = re.compile(r"#\s*diverges:\s*(\S+)\s+(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Known:
    """A divergence that is expected: patterns (shell style) of leg names and rule ids."""

    legs: str
    rule: str

    def covers(self, leg: str, rule: str) -> bool:
        """Whether `leg` breaking `rule` is this divergence."""
        return fnmatchcase(leg, self.legs) and fnmatchcase(rule, self.rule)


@dataclass(frozen=True, slots=True)
class KeptCase:
    """A case file with what it expects. `about`: its first comment lines."""

    path: Path
    case: Case
    known: tuple[Known, ...]
    about: str

    def expected_rule(self, leg: str) -> str | None:
        """The pattern of rules that `leg` is known to break here; None: it must agree."""
        return next((k.rule for k in self.known if fnmatchcase(leg, k.legs)), None)

    def covers(self, legs: Sequence[str], rule: str) -> bool:
        """Whether a divergence of all `legs` from `rule` is known from this case."""
        return all(any(known.covers(leg, rule) for known in self.known) for leg in legs)


def load_kept(path: Path) -> KeptCase:
    """A kept case with its expectations. Raises TextError, OSError."""
    case = load_case(path)
    known, about = [], []
    for line in path.read_bytes().decode(errors="replace").splitlines():
        if not line.startswith("#"):
            break
        match = _DIVERGES.fullmatch(line)
        if match:
            known.append(Known(match[1], match[2]))
        elif line.startswith("# diverges"):
            raise TextError(f"{path}: {line!r} is not of the form '# diverges: LEGS RULE'")
        elif "requires:" not in line:
            about.append(line[1:].strip())
    return KeptCase(path, case, tuple(known), " ".join(about).strip())
