"""The rules of the specification, one row each, and how strictly each is meant."""

from __future__ import annotations

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
    translation,
    vectors,
)
from targets.spec.rules.rule import Rule

_MODULES = (
    *(lives, accesses, identity, guests, vectors),
    *(hypercalls, el2, metamorphic, carried, devices, translation),
)

RULES: dict[str, Rule] = {rule.id: rule for module in _MODULES for rule in module.TABLE}


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


__all__ = ["RULES", "Rule", "by_kernel", "in_force", "is_strict"]
