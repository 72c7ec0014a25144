"""Which slices find a free place among workers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fuzz.fleet.cluster import Helper

Demand: TypeAlias = Mapping[str, float]
"""As `slices.demand` says it."""

_Place: TypeAlias = tuple[int, tuple[tuple[str, float], ...]]
"""Slots, and what is offered: workers that are alike are counted together, there may be many."""


class Room:
    """What workers can take on beside what is on its way. Dask says nothing of who does what, so it
    is taken that each slice went where least else could be done."""

    def __init__(self, helpers: Iterable[Helper], on_way: Iterable[Demand]) -> None:
        self._all = Counter((one.slots, tuple(sorted(one.offers.items()))) for one in helpers)
        self._free = self._all.copy()
        for demand in sorted(on_way, key=_greed, reverse=True):
            self.take(demand)

    def serves(self, demand: Demand) -> bool:
        """Whether a worker could do such a slice, if it did nothing else."""
        return any(_fits(place, demand) for place in self._all)

    def has(self, demand: Demand) -> bool:
        """Whether one can do it now."""
        return any(_fits(place, demand) for place in self._free)

    def take(self, demand: Demand) -> bool:
        """Give it to one; False if none is free."""
        places = [place for place in self._free if _fits(place, demand)]
        if not places:
            return False
        place = min(places, key=lambda place: _greed(dict(place[1])))
        slots, offers = place
        left = tuple((name, amount - demand.get(name, 0)) for name, amount in offers)
        self._free[place] -= 1
        self._free[slots - 1, left] += 1
        self._free = +self._free
        return True


def _fits(place: _Place, demand: Demand) -> bool:
    slots, offers = place
    offered = dict(offers)
    return slots > 0 and all(offered.get(name, 0) >= amount for name, amount in demand.items())


def _greed(amounts: Demand) -> tuple[int, float]:
    """How much it is: kinds of things first."""
    return sum(amount > 0 for amount in amounts.values()), sum(amounts.values())
