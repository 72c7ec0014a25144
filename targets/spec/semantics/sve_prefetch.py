"""SVE prefetches: hints without any architectural effect."""

from __future__ import annotations

from corpus.isa.sve_prefetch import FORMS
from targets.spec.cpu import Cpu
from targets.spec.semantics.registry import semantic


@semantic(*(form.name for form in FORMS))
def prefetch(_cpu: Cpu, *_operands: int) -> None:
    """Nothing happens, wherever the address points."""
