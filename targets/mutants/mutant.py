"""What a seeded defect is, and the two places where one can be put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias
from unittest.mock import patch

from corpus.ops import HostRun, Op, Run
from targets.profile import Profile
from targets.spec.model import Model
from targets.spec.permitted import Permitted
from targets.spec.semantics.registry import SEMANTICS, Semantic

Make: TypeAlias = Callable[[Profile], Model]
Change: TypeAlias = Callable[[Model, Op, Permitted], Permitted]
"""What becomes of the answer to an op."""
Patch: TypeAlias = Callable[[], AbstractContextManager[Any]]

EL2_FEATURES = 3 << 7
NESTED_SINCE = (7, 2)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded defect: what is wrong, and the model that has it. `el2`: it takes a vcpu with
    EL2 to see it."""

    about: str
    make: Make
    el2: bool = False

    def machine(self, profile: Profile) -> Profile:
        """The machine to imitate: `profile`, or a nested one where that is needed."""
        if not self.el2 or profile.features & EL2_FEATURES:
            return profile
        features = profile.features | EL2_FEATURES
        return replace(profile, features=features, kernel=NESTED_SINCE, mode="nested")


class _Answering(Model):
    def __init__(self, change: Change, profile: Profile) -> None:
        super().__init__(profile)
        self._change = change

    def step(self, op: Op) -> Permitted:
        return self._change(self, op, super().step(op))


class _Executing(Model):
    def __init__(self, patches: tuple[Patch, ...], profile: Profile) -> None:
        super().__init__(profile)
        self._patches = patches

    def step(self, op: Op) -> Permitted:
        if not isinstance(op, Run | HostRun):
            return super().step(op)
        with ExitStack() as stack:
            for each in self._patches:
                stack.enter_context(each())
            return super().step(op)


def answering(change: Change) -> Make:
    """A model that gives other answers."""
    return partial(_Answering, change)


def executing(*patches: Patch) -> Make:
    """A model that runs guests with something replaced, for itself only."""
    return partial(_Executing, patches)


def method(owner: type, name: str, replacement: Callable[..., Any]) -> Patch:
    """`owner.name` replaced."""
    return lambda: patch.object(owner, name, replacement)


def instructions(replacements: Mapping[str, Semantic]) -> Patch:
    """The semantics of some forms replaced."""
    return lambda: patch.dict(SEMANTICS, replacements)
