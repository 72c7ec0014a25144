"""The registry of semantics: form name -> function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

Semantic: TypeAlias = Callable[..., None]
"""`(cpu, *operand values)`, operands in the order of the form's table row."""

SEMANTICS: dict[str, Semantic] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def semantic(*forms: str) -> Callable[[_F], _F]:
    """Register a function as the semantics of the named forms."""

    def register(function: _F) -> _F:
        for form in forms:
            if form in SEMANTICS:
                raise ValueError(f"form {form!r} has two semantics")
            SEMANTICS[form] = function
        return function

    return register
