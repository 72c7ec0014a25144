"""git bisect in the repository of ours for a tree: which commit is next, and what is left.

Nothing is checked out for it, so that it keeps out of the way of builds; its refs are gone when
it is closed, and the answers are kept by whoever asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from targets.cache import locked
from targets.kvm.lab.shadow import Revision, Shadow, TreeError

OLD, NEW, SKIP = "before", "after", "skip"
"""What a commit may be: as the older end is, as the newer end is, or neither can be told."""

_NEXT = "BISECT_HEAD"
_POSSIBLE = re.compile(rf"^# (?:possible )?first {NEW} commit: \[([0-9a-f]+)\]", re.MULTILINE)


def is_older(shadow: Shadow, one: Revision, other: Revision) -> bool:
    """Whether `other` descends from `one`. Raises TreeError if neither does from the other."""
    try:
        base = shadow.git("merge-base", "--all", one.commit, other.commit).split()
    except TreeError:  # what has nothing in common is no success, either
        base = []
    if one.commit in base:
        return True
    if other.commit in base:
        return False
    both = f"neither {one.short} nor {other.short} descends from the other"
    raise TreeError(f"{both}: they have {base[0][:12] if base else 'nothing'} in common.")


class Bisection:
    """One search between two commits. Made by `bisecting`."""

    def __init__(self, shadow: Shadow, older: Revision, newer: Revision) -> None:
        self._shadow = shadow
        # git wants some commit to begin from, and before the first build there is none.
        try:
            shadow.git("rev-parse", "--verify", "--quiet", "HEAD")
        except TreeError:
            shadow.git("update-ref", "--no-deref", "HEAD", older.commit)
        terms = (f"--term-old={OLD}", f"--term-new={NEW}")
        self._git("start", "--no-checkout", *terms, newer.commit, older.commit)

    @property
    def next(self) -> Revision | None:
        """The commit to look at, or None when no more can be told."""
        if self.found:
            return None
        return self._shadow.described(self._shadow.git("rev-parse", _NEXT))

    @property
    def found(self) -> list[Revision]:
        """The first commit that is as the newer end; several, the oldest first, if those that
        were skipped may be it; none while there are more to look at."""
        commits = _POSSIBLE.findall(self._git("log"))
        return [self._shadow.described(commit) for commit in reversed(commits)]

    @property
    def left(self) -> int:
        """Commits to look at yet, about, with the next one."""
        told = self._shadow.git(
            *("rev-list", "--bisect-vars", f"refs/bisect/{NEW}"),
            *("--not", f"--glob=refs/bisect/{OLD}-*"),
        )
        found = re.search(r"^bisect_steps=(\d+)$", told, re.MULTILINE)
        return 1 + int(found[1]) if found else 1

    def mark(self, revision: Revision, what: str) -> None:
        """Say what a commit is: OLD, NEW or SKIP."""
        try:
            self._git(what, revision.commit)
        except TreeError:
            if not self.found:  # git ends with 2 when only skipped commits are left
                raise

    def close(self) -> None:
        """Leave no trace. Idempotent."""
        with suppress(TreeError):
            self._git("reset")

    def _git(self, *arguments: str) -> str:
        return self._shadow.git("bisect", *arguments)


@contextmanager
def bisecting(shadow: Shadow, older: Revision, newer: Revision) -> Iterator[Bisection]:
    """A search; another one on the same tree waits until it ends. Raises TransportError."""
    with locked(shadow.home / "bisect", f"bisecting {shadow.tree}"):
        with suppress(TreeError):
            shadow.git("bisect", "reset")  # of one that was killed
        search = Bisection(shadow, older, newer)
        try:
            yield search
        finally:
            search.close()
