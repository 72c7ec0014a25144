"""The specification of each op, by op."""

from targets.spec.steps import (
    devices,
    events,
    hosts,
    lengths,
    lists,
    lives,
    memory,
    migration,
    power,
    registers,
    running,
    strangers,
    threads,
)
from targets.spec.steps.registry import STEPS

_MODULES = (
    *(devices, events, hosts, lengths, lists, lives, memory, migration),
    *(power, registers, running, strangers, threads),
)

__all__ = ["STEPS"]
