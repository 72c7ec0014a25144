"""Which function is the specification of which op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from corpus.ops import Op
from targets.spec.permitted import Permitted
from targets.spec.world import World

Step: TypeAlias = Callable[[World, Any], Permitted]

STEPS: dict[type[Op], Step] = {}


def step(kind: type[Op]) -> Callable[[Step], Step]:
    """Register the decorated function `(world, op) -> Permitted` for ops of `kind`."""

    def register(function: Step) -> Step:
        STEPS[kind] = function
        return function

    return register
