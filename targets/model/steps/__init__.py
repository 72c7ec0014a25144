"""The specification of each op, by op."""

from targets.model.steps import (
    hosts,
    lengths,
    lists,
    lives,
    memory,
    migration,
    power,
    registers,
    running,
)
from targets.model.steps.registry import STEPS

_MODULES = (hosts, lengths, lists, lives, memory, migration, power, registers, running)

__all__ = ["STEPS"]
