"""The model as a leg: it runs a case by making one permitted choice after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import TypeAlias

from corpus.case import Case
from corpus.trace import Trace
from targets.base import Target
from targets.profile import Profile
from targets.spec.errors import Unpredictable
from targets.spec.judge import invent
from targets.spec.model import Model
from targets.spec.sets import Set
from targets.transport import UnknownTicket

Choose: TypeAlias = Callable[[Set], int]
"""Which of the candidates it is to be, by index."""


def keep(candidates: Set) -> int:
    """The first candidate: bits that may vanish are kept."""
    return 0


def clear(candidates: Set) -> int:
    """The last candidate: bits that may vanish are cleared."""
    return len(candidates) - 1


class Turns:
    """Every candidate in its turn, as no kernel does it: each choice is a choice of its own, and
    what is permitted of one after another must not depend on those before being alike."""

    def __init__(self) -> None:
        self._turn = 0

    def __call__(self, candidates: Set) -> int:
        self._turn += 1
        return self._turn % len(candidates)


MODELS: Mapping[str, Choose] = {
    "model": keep,
    "model:keep": keep,
    "model:zero": clear,
    "model:turns": Turns(),
}
"""What the model as a leg chooses where several outcomes are permitted."""


class ModelTarget(Target):
    """Leg `model`. A trace ends early where the model says Unpredictable."""

    kind = "model"

    def __init__(
        self,
        profile: Profile,
        name: str = "model",
        make: Callable[[Profile], Model] = Model,
        choose: Choose = keep,
    ) -> None:
        self.name = name
        self.profile = profile
        self.fingerprint = {"leg": name, "profile": profile.described}
        self._make = make
        self._choose = choose
        self._traces: dict[int, Trace] = {}
        self._next = 0

    def submit(self, case: Case) -> int:
        # Anew for each case, which then is the same each time.
        model, choose = self._make(self.profile), copy(self._choose)
        observations = []
        try:
            for op in case.ops:
                observations.append(invent(model.step(op), choose))
        except Unpredictable:
            pass
        self._next += 1
        self.executions += 1
        self._traces[self._next] = Trace(tuple(observations))
        return self._next

    def collect(self, ticket: int) -> Trace:
        if ticket not in self._traces:
            raise UnknownTicket(ticket)
        return self._traces.pop(ticket)

    def close(self) -> None:
        self._traces.clear()


def foreseen(case: Case, profile: Profile) -> frozenset[str]:
    """The rules that a case comes to on a machine, as far as the model can tell beforehand: it goes
    on behind what it cannot predict, as if that had done nothing."""
    model = Model(profile)
    for op in case.ops:
        with suppress(Unpredictable):
            invent(model.step(op), keep)
        model.beyond = False
    return frozenset(model.rules)


def is_avoided(case: Case, profile: Profile) -> bool:
    """Whether a case is likely to meet a recorded defect that its machine is kept from."""
    return bool(profile.avoid) and bool(profile.avoid & foreseen(case, profile))
