"""Which bytes of RAM a guest reaches while it runs, in any way that its run may go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from corpus.wire import DATA_BASE, RAM_BASE
from targets.spec.memory import Memory
from targets.spec.world import World

_DATA = -1 << DATA_BASE - RAM_BASE
"""All of RAM but for code and vectors, where guests store nothing but handlers, which are all
alike."""


@dataclass(slots=True)
class Reach:
    """What was loaded and what was stored: bit n is the byte at offset n of RAM."""

    loads: int = 0
    stores: int = 0

    def __or__(self, other: Reach) -> Reach:
        """What either reaches."""
        return Reach(self.loads | other.loads, self.stores | other.stores)

    def meets(self, other: Reach) -> bool:
        """Whether it matters which of two comes first."""
        both_store = self.stores & other.stores & _DATA
        return bool(self.loads & other.stores | other.loads & self.stores | both_store)


class _Watched(Memory):
    """RAM that notes in `reach` what is asked of it."""

    __slots__ = ("reach",)

    def __init__(self, held: Memory, reach: Reach) -> None:
        super().__init__()
        self.become(held)
        self.reach = reach

    def load(self, address: int, size: int) -> tuple[int, int]:
        self.reach.loads |= _bytes(address, size)
        return super().load(address, size)

    def store(self, address: int, size: int, value: int, mask: int = 0) -> None:
        self.reach.stores |= _bytes(address, size)
        super().store(address, size, value, mask)


def _bytes(address: int, size: int) -> int:
    return ((1 << size) - 1) << address - RAM_BASE


@contextmanager
def watched(world: World) -> Iterator[Reach]:
    """What guests reach that run meanwhile; known in full once that is over."""
    held, reach = world.mem, Reach()
    world.mem = _Watched(held, reach)
    try:
        yield reach
    finally:
        held.become(world.mem)
        world.mem = held
