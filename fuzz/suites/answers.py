"""What a search by commits has found out so far, kept beside the tree: it goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from corpus.case import Case
from fuzz.suites.attempt import AnyOf, Question
from fuzz.suites.bisect import Answer
from targets import cache
from targets.kvm.legname import LegSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked of each revision. `legs`: of which kind they are, but for the kernel;
    `finding`: its number, if it is one."""

    name: str
    case: Case
    question: Question
    legs: tuple[LegSpec, ...]
    finding: int = 0


class _Kept(msgspec.Struct):
    answers: dict[str, Answer] = {}
    seen: dict[str, int] = {}


class Answers:
    """By commit, the answers to one question, of an earlier time, too. `home`: where what belongs
    to the tree is; `recipe`: how its revisions are built."""

    def __init__(
        self, home: Path, subject: Subject, recipe: str, times: int, restart: bool = False
    ) -> None:
        self._path = home / "bisect" / f"{_key(subject, recipe, times)}.json"
        self._kept = _Kept() if restart else _load(self._path)
        self._question = subject.question
        if isinstance(self._question, AnyOf):
            self._question.seen = self._kept.seen

    @property
    def by_commit(self) -> MutableMapping[str, Answer]:
        """To be added to; `keep` stores it."""
        return self._kept.answers

    def keep(self) -> None:
        """Store what there is. Raises CacheError."""
        if isinstance(self._question, AnyOf):
            self._kept.seen = self._question.seen
        cache.write(self._path, msgspec.json.encode(self._kept))


def _key(subject: Subject, recipe: str, times: int) -> str:
    """Names the question: what an answer depends on, beside the revision."""
    legs = sorted(spec.name for spec in subject.legs)
    kind = type(subject.question).__name__
    parts = (kind, subject.name, subject.case.id, recipe, str(times), *legs)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _load(path: Path) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return _Kept()
    except (OSError, msgspec.MsgspecError):
        cache.tell(f"{path} was damaged: every revision is tried anew.")
        return _Kept()
