"""Which commit broke or fixed something, as a note on a bucket. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from targets.kvm.lab.shadow import Revision

_NOTE = re.compile(r"bisect of F\d+: (.+)")


def note(finding: int, breaks: bool, commits: Sequence[tuple[Revision, str]]) -> str:
    """What to keep of a search that is over: the commits that are left, each with who wrote it
    and when, as `Name, 2026-01-31`."""
    word = "broken by" if breaks else "fixed by"
    several = "one of these, which could not be told apart: " if len(commits) > 1 else ""
    told = "; ".join(f'{one.commit[:12]} ("{one.subject}", {who})' for one, who in commits)
    return f"bisect of F{finding}: {word} {several}{told}."


def told(notes: Iterable[str]) -> list[str]:
    """What such notes say, the latest last, as sentences."""
    found = (_NOTE.fullmatch(text.strip()) for text in notes)
    return [f"A search by commits: {match[1]}" for match in found if match]
