"""Which function is the specification of which op."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from corpus.ops import Op
from targets.model.expect import Permitted

if TYPE_CHECKING:
    from targets.model.model import Model

Step: TypeAlias = Callable[["Model", Any], Permitted]

STEPS: dict[type[Op], Step] = {}


def step(kind: type[Op]) -> Callable[[Step], Step]:
    """Register the decorated function `(model, op) -> Permitted` for ops of `kind`."""

    def register(function: Step) -> Step:
        STEPS[kind] = function
        return function

    return register
