"""Where a divergence began or ended: revisions tried until one is left. Pure but for whoever
tries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

import msgspec

from fuzz.followup.retest import PASSES, SHOWS
from targets.kvm.lab.bisection import NEW, OLD, SKIP
from targets.kvm.lab.shadow import Revision


class Answer(msgspec.Struct, frozen=True):
    """What a revision does: by mode, as of `fuzz.followup.retest`; `why` it could not be tried,
    if so. `seconds` it took, and whether it was `built` for that."""

    modes: dict[str, str] = {}
    why: str = ""
    seconds: float = 0.0
    built: bool = False

    @property
    def text(self) -> str:
        """In words, such as `shows in vhe, passes in nvhe`."""
        if self.why and not self.modes:
            return f"skipped: {self.why}"
        by_outcome: dict[str, list[str]] = {}
        for mode, outcome in self.modes.items():
            by_outcome.setdefault(outcome, []).append(mode)
        told = ", ".join(f"{word} in {' and '.join(modes)}" for word, modes in by_outcome.items())
        return f"{told}: {self.why}" if self.why else told

    @property
    def shown(self) -> frozenset[str]:
        """The modes in which it shows."""
        return frozenset(mode for mode, outcome in self.modes.items() if outcome == SHOWS)


class Search(Protocol):
    """git's side, as `targets.kvm.lab.bisection`."""

    @property
    def next(self) -> Revision | None: ...
    @property
    def found(self) -> list[Revision]: ...
    @property
    def left(self) -> int: ...
    def mark(self, revision: Revision, what: str) -> None: ...


class CannotBisect(Exception):
    """The ends are not as they should be; the message is one sentence."""


@dataclass(slots=True)
class Questioner:
    """Tries revisions, each once. `answers`, by commit, are those of an earlier time, too;
    `keep` is told after each new one. `again`: not to believe them."""

    attempt: Callable[[Revision], Answer]
    keep: Callable[[], None]
    answers: MutableMapping[str, Answer] = field(default_factory=dict)

    def ask(self, revision: Revision) -> Answer:
        """What a revision does. Raises what `attempt` does."""
        if revision.commit not in self.answers:
            self.answers[revision.commit] = self.attempt(revision)
            self.keep()
        return self.answers[revision.commit]

    def seconds(self, count: int) -> float:
        """What so many revisions will take, going by those that were tried; 0 if none was."""
        took = [one.seconds for one in self.answers.values() if one.built]
        return count * median(took) if took else 0.0


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends as the user named them: the divergence shows at `bad` and not at `good`."""

    good: Revision
    bad: Revision

    def checked(self, questioner: Questioner) -> frozenset[str]:
        """The modes by which revisions are told apart. Raises CannotBisect."""
        bad = questioner.ask(self.bad)
        if not bad.shown:
            raise CannotBisect(f"{self.bad.short}, which should be bad, is not: {bad.text}.")
        good = questioner.ask(self.good)
        if kind(good, bad.shown) != PASSES:
            raise CannotBisect(f"{self.good.short}, which should be good, is not: {good.text}.")
        return bad.shown


def kind(answer: Answer, modes: frozenset[str]) -> str:
    """SHOWS, PASSES, or nothing for what cannot be told, as seen in some modes."""
    if answer.shown & modes:
        return SHOWS
    return PASSES if all(answer.modes.get(mode) == PASSES for mode in modes) else ""


def search(
    found: Search,
    questioner: Questioner,
    modes: frozenset[str],
    marks: Mapping[str, str],
    watch: Callable[[Revision, int], None],
    told: Callable[[Revision, Answer], None],
) -> list[Revision]:
    """The first revision that is as the newer end, or those it may be. `marks`: what SHOWS and
    PASSES are for git; `watch` is called before a revision is tried, with how many are left."""
    while (revision := found.next) is not None:
        if revision.commit not in questioner.answers:
            watch(revision, found.left)
        answer = questioner.ask(revision)
        told(revision, answer)
        found.mark(revision, marks.get(kind(answer, modes), SKIP))
    return found.found


BROKEN_BY = {SHOWS: NEW, PASSES: OLD}
FIXED_BY = {SHOWS: OLD, PASSES: NEW}
"""What git is told when the bad end is the newer one, and when the good end is."""
