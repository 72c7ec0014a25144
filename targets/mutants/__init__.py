"""Seeded defects: models that are wrong in one known way, to measure the fuzzer with.

Each re-introduces the mechanism of a defect that KVM, QEMU or another simulator once
had (facts 4). A mutant is a leg: `--legs model,mutant:NAME`.
"""

from __future__ import annotations

from targets.mutants.instructions import INSTRUCTIONS
from targets.mutants.interface import INTERFACE
from targets.mutants.mutant import Mutant
from targets.mutants.nested import NESTED
from targets.mutants.vectors import VECTORS

MUTANTS: dict[str, Mutant] = {**INTERFACE, **VECTORS, **INSTRUCTIONS, **NESTED}

__all__ = ["MUTANTS", "Mutant"]
