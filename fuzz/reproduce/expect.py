"""What the specification permits along a case, before anybody has run it. Pure.

A leg is judged with a model that narrows to what was seen. A program that is compiled once
cannot ask the model, so here the model is stepped without narrowing: what it permits then is
what it permits after any observation that it permitted before, so nothing that conforms is
refused. Two things are kept of what narrowing would bring:

- a register that may hold one of several values holds the one that was read, as long as it is
  still the same set in the model (`Seen`): the two reads have to agree;
- where an op has several outcomes that leave different states behind, each is a *way*, and
  what is permitted later is asked of the ways that are still open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from corpus.case import Case
from corpus.ops import CreateVm, Disturb, HostRun, Migrate, Op, Run, Threads
from corpus.wire import OTHER_SLOT
from targets.profile import Profile
from targets.spec.errors import Unpredictable
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Part, Permitted
from targets.spec.sets import Candidate, Set
from targets.spec.steps.lists import least

MOST_WAYS = 8
"""More ways than this through a case are not followed."""


class Unsayable(Exception):
    """A program cannot say this; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was seen: the number of the op, and the offset in its data."""

    step: int
    at: int


class Seen(tuple[Candidate, ...]):
    """A set that was looked at. Two are the same only if they are one: equal contents do not
    tell that they came from the same look."""

    place: Place

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, slots=True)
class Field:
    """`size` bytes at offset `at` of an op's data, which must match a candidate (value,
    unknown bits), and be what was seen at the place `like`."""

    label: str
    at: int
    size: int
    candidates: tuple[Candidate, ...]
    like: Place | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """One permitted outcome. `aux` None: not looked at; `listed`: of a migration, how many
    registers it moves at least."""

    err: int
    aux: int | None
    fields: tuple[Field, ...]
    listed: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What an op may do by `rule`, which is no part of what is expected. Without permits:
    anything."""

    permits: tuple[Permit, ...]
    rule: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Way:
    """What each op may do on one way through the case, up to where the specification says no
    more, and why it does not (empty: the case is over)."""

    steps: tuple[Step, ...]
    stopped: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Expectation:
    """All ways through a case."""

    ways: tuple[Way, ...]

    @property
    def judged(self) -> int:
        """Ops of which something is expected on some way."""
        return max(len(way.steps) for way in self.ways)


_REFUSED: dict[frozenset[type[Op]], str] = {
    frozenset({Disturb}): "a stranger (disturb) needs threads, signals or a driver of its own",
    frozenset({Threads}): "two threads at once come to what some order explains, which one run"
    " cannot know",
    frozenset({CreateVm, Run}): "the programs of a protected VM (create-vm) have to be in its RAM"
    " beforehand",
    frozenset({HostRun}): "host-run looks at the vector registers of the thread itself",
}
"""Kinds of ops that no program can have together."""


def expect(case: Case, profile: Profile) -> Expectation:
    """What `case` may do on the machine `profile`. Raises Unsayable."""
    kinds = {type(op) for op in case.ops}
    for together, why in _REFUSED.items():
        if together <= kinds:
            raise Unsayable(f"cannot be said in C: {why}")
    for op in case.ops:
        if getattr(op, "vcpu", 0) == OTHER_SLOT:
            raise Unsayable("cannot be said in C: a vcpu of another VM is not in the program's")
    ways: list[Way] = []
    scripts: list[tuple[int, ...]] = [()]
    while scripts:
        if len(ways) == MOST_WAYS:
            raise Unsayable(f"cannot be said in C: it may go more than {MOST_WAYS} ways")
        walk = _Walk(profile, scripts.pop(0))
        ways.append(walk.along(case.ops))
        scripts += walk.others()
    return Expectation(tuple(dict.fromkeys(ways)))


class _Walk:
    """One way through a case: at each op that may leave several states behind, the outcome
    that `script` says, the first where it says nothing."""

    def __init__(self, profile: Profile, script: tuple[int, ...]) -> None:
        self._model = Model(profile)
        self._script = script
        self._taken: list[tuple[int, int]] = []

    def others(self) -> Iterator[tuple[int, ...]]:
        """Scripts of the ways that part from this one behind its script."""
        chosen = tuple(choice for choice, _ in self._taken)
        for at in range(len(self._script), len(chosen)):
            for other in range(1, self._taken[at][1]):
                yield (*chosen[:at], other)

    def along(self, ops: Sequence[Op]) -> Way:
        steps: list[Step] = []
        try:
            for number, op in enumerate(ops):
                steps.append(self._step(number, op))
        except Unpredictable as stop:
            return Way(tuple(steps), str(stop))
        return Way(tuple(steps))

    def _step(self, number: int, op: Op) -> Step:
        permitted = self._model.step(op)
        if permitted.anything:
            if permitted.if_done:  # it may have succeeded
                permitted.if_done()
            return Step((), permitted.rule)
        outcomes = self._chosen(permitted)
        listed = self._listed(op)
        permits = tuple(_permit(outcome, listed) for outcome in outcomes)
        if len(outcomes) == 1:
            _look(outcomes[0].parts, number)
            if outcomes[0].effect:
                outcomes[0].effect()
        return Step(permits, permitted.rule)

    def _chosen(self, permitted: Permitted) -> tuple[Outcome, ...]:
        """The outcomes of this way: all that leave one and the same state behind, or one."""
        outcomes = permitted.outcomes
        if len(outcomes) == 1 or not any(outcome.effect for outcome in outcomes):
            return outcomes
        at = len(self._taken)
        choice = self._script[at] if at < len(self._script) else 0
        self._taken.append((choice, len(outcomes)))
        return (outcomes[choice],)

    def _listed(self, op: Op) -> int | None:
        source = self._model.vm.vcpus.get(op.vcpu) if isinstance(op, Migrate) else None
        return least(source) if source else None


def _permit(outcome: Outcome, listed: int | None) -> Permit:
    fields: list[Field] = []
    at = 0
    for part in outcome.parts:
        like = part.candidates.place if isinstance(part.candidates, Seen) else None
        fields.append(Field(part.label, at, part.size, tuple(part.candidates), like))
        at += part.size
    moves = outcome.tail and not outcome.err
    return Permit(outcome.err, outcome.aux, tuple(fields), listed if moves else None)


def _look(parts: Sequence[Part], number: int) -> None:
    """Mark the sets that an op looks at, where they leave something open."""
    at = 0
    for part in parts:
        if part.home and _is_open(part.candidates) and not isinstance(part.candidates, Seen):
            container, key = part.home
            seen = Seen(part.candidates)
            seen.place = Place(number, at)
            container[key] = seen
        at += part.size


def _is_open(candidates: Set) -> bool:
    return len(candidates) > 1 or bool(candidates[0][1])
