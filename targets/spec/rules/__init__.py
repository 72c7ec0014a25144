"""The rules of the specification, one row each, and how strictly each is meant."""

from __future__ import annotations

from types import ModuleType

from targets.spec.rules import (
    accesses,
    carried,
    devices,
    el2,
    guests,
    hypercalls,
    identity,
    lives,
    metamorphic,
    mops,
    mte,
    pauth,
    protected,
    translation,
    vectors,
)
from targets.spec.rules.rule import Rule

CHAPTERS: tuple[ModuleType, ...] = (
    *(lives, accesses, carried, devices, identity, guests, vectors, translation, pauth, mops, mte),
    *(hypercalls, el2, protected, metamorphic),
)
"""Rules that belong together, as modules, in the order in which they are read."""

RULES: dict[str, Rule] = {rule.id: rule for module in CHAPTERS for rule in module.TABLE}


def is_strict(rule: str) -> bool:
    """Whether a divergence from `rule` is strict. `isa.*` rules, one per instruction form,
    are the architecture's."""
    return rule.startswith("isa.") or RULES[rule].cls != "IMPL"


def in_force(rule: str, kernel: tuple[int, int]) -> bool:
    """Whether a rule that is not as old as KVM holds for a kernel (major, minor)."""
    return RULES[rule].holds_in(kernel)


def by_kernel(rule: str, kernel: tuple[int, int]) -> int:
    """The value that a rule which changed over time has for a kernel (major, minor)."""
    return RULES[rule].value_for(kernel)


__all__ = ["CHAPTERS", "RULES", "Rule", "by_kernel", "in_force", "is_strict"]
