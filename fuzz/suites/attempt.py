"""One revision of a tree tried: built, booted in each mode, and the case run there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from corpus.case import Case
from db.records import FindingView
from fuzz.followup.retest import ABSENT, OTHER, PASSES, SHOWS, UNJUDGED, Again, Tried
from fuzz.oracle.culprit import responsible
from fuzz.oracle.everywhere import Everywhere
from fuzz.oracle.verdict import Agree, Verdict
from fuzz.suites.bisect import Answer
from targets.base import Target
from targets.cache import CacheError
from targets.kvm import legname
from targets.kvm.lab import kernels
from targets.kvm.lab.shadow import Revision
from targets.kvm.lab.treebuild import Built, TreeBuilder
from targets.kvm.legname import LegSpec
from targets.legs import open_leg
from targets.transport import TransportError

_WORST = (SHOWS, OTHER, UNJUDGED, ABSENT, PASSES)
"""Of several runs, the first of these counts: what is chance shows in some only."""


class Question(Protocol):
    """What is looked for; `run` says by leg name how each does, run once."""

    def run(self, legs: Sequence[Target]) -> Mapping[str, Tried]: ...


class AnyOf:
    """Whether a case diverges from any of the rules that it broke where it was seen first;
    these and the ops where it did are noted on the first run that shows something."""

    def __init__(self, case: Case, seen: Mapping[str, int] | None = None) -> None:
        self._case = case
        self.seen = dict(seen or {})

    def run(self, legs: Sequence[Target]) -> dict[str, Tried]:
        """Raises TransportError."""
        able = [leg for leg in legs if self._case.min_vq <= leg.profile.max_vq]
        tried = {
            leg.name: Tried(ABSENT, f"needs vq>={self._case.min_vq}")
            for leg in legs
            if leg not in able
        }
        verdicts = Everywhere(able).look(self._case).verdicts
        if not self.seen:
            broken = [one for one in verdicts.values() if not isinstance(one, Agree)]
            self.seen = {responsible(self._case, one): one.op_index for one in broken}
        return tried | {name: self._tried(verdict) for name, verdict in verdicts.items()}

    def _tried(self, verdict: Verdict) -> Tried:
        if not isinstance(verdict, Agree):
            same = responsible(self._case, verdict) in self.seen
            return Tried(SHOWS if same else OTHER, verdict.explanation)
        if verdict.reason and verdict.judged <= max(self.seen.values(), default=0):
            return Tried(UNJUDGED, verdict.reason)
        return Tried(PASSES)


Finding = Again
"""Whether a stored finding shows."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Builds a revision and asks the question on it, `times` over, on legs like `legs` but of
    its kernel. What cannot be built or booted is no answer; a full disk ends it all."""

    build: Callable[[Revision], Built]
    question: Question
    legs: Sequence[LegSpec]
    times: int = 1
    start: Callable[[str], Target] = open_leg

    def __call__(self, revision: Revision) -> Answer:
        """Raises CacheError."""
        began = time.monotonic()
        try:
            built = self.build(revision)
        except CacheError:
            raise
        except TransportError as error:
            return Answer(why=_sentence(error), seconds=time.monotonic() - began, built=True)
        modes: dict[str, Tried] = {}
        with ExitStack() as stack:
            opened: dict[str, Target] = {}
            for spec in self.legs:
                name = replace(spec, kernel=built.kernel.release).name
                try:
                    opened[_mode(spec)] = stack.enter_context(self.start(name))
                except CacheError:
                    raise
                except TransportError as error:
                    modes[_mode(spec)] = Tried(ABSENT, _sentence(error))
            for _ in range(self.times if opened else 0):
                told = self._once(list(opened.values()))
                for mode, leg in opened.items():
                    modes[mode] = min(
                        (one for one in (modes.get(mode), told.get(leg.name)) if one),
                        key=lambda one: _WORST.index(one.outcome),
                    )
        return Answer(
            {mode: one.outcome for mode, one in modes.items()},
            next((one.said for one in modes.values() if one.outcome in (ABSENT, OTHER)), ""),
            time.monotonic() - began,
            built.seconds > 0,
        )

    def _once(self, legs: Sequence[Target]) -> Mapping[str, Tried]:
        try:
            return self.question.run(legs)
        except CacheError:
            raise
        except TransportError as error:
            return {leg.name: Tried(ABSENT, _sentence(error)) for leg in legs}


def forgetting(
    builder: TreeBuilder, attempt: Callable[[Revision], Answer]
) -> Callable[[Revision], Answer]:
    """Tries as `attempt` does. The answer is kept; the kernel that it took, hundreds of which fill
    a disk, is not, unless it was there before."""

    def answered(revision: Revision) -> Answer:
        kept = builder.kept(revision) is not None
        answer = attempt(revision)
        if not kept:
            kernels.forget(builder.name(revision))
        return answer

    return answered


def modes_of(finding: FindingView) -> tuple[LegSpec, ...]:
    """The machines on which a finding was seen, whatever their kernel was."""
    seen = (n for n in finding.deviating if n.startswith("kvm:") and legname.is_lab(n))
    return tuple(dict.fromkeys(replace(legname.parse(name), kernel="6.12") for name in seen))


def _mode(spec: LegSpec) -> str:
    """A leg without its kernel."""
    return replace(spec, kernel="6.12").name.removeprefix("kvm:6.12:")


def _sentence(error: TransportError) -> str:
    return " ".join(str(error).split()).removesuffix(".")
