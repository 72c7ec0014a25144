"""What each instruction form does, one function per form."""

from __future__ import annotations

from targets.model.semantics import sve_int, system
from targets.model.semantics.registry import SEMANTICS, Semantic

_MODULES = (sve_int, system)

__all__ = ["SEMANTICS", "Semantic"]
