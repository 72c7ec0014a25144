"""A case in the making: its ops, and what is known of the vcpus behind them."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from corpus.case import MAX_OPS
from corpus.ops import CreateVcpu, Finalize, Init, Op
from fuzz.generate.facts import MODE, Tracker
from fuzz.generate.looks import Lives
from fuzz.generate.pairs import Chooser


class Draft:
    """The ops of a case so far, and what they make."""

    def __init__(self, rng: random.Random, chooser: Chooser) -> None:
        self.rng, self.chooser = rng, chooser
        self.ops: list[Op] = []
        self.tracker = Tracker()
        self._lives = Lives()

    def do(self, *ops: Op) -> None:
        """Append ops, which succeed where nothing speaks against it."""
        for op in ops:
            self.ops.append(op)
            fails = self._lives.due(op) and not isinstance(op, Init | Finalize | CreateVcpu)
            self.tracker.done(op, 22 if fails else 0)

    def around(self, slot: int = 0) -> NDArray[np.int64]:
        """Facts that the next op meets."""
        return self.tracker.around(slot)

    @property
    def room(self) -> int:
        """Ops that still fit, with a look."""
        return MAX_OPS - 5 - len(self.ops)

    @property
    def is_at_el0(self) -> bool:
        """Whether user space put the guest at EL0."""
        pstate = self.tracker.control(0, "pstate")
        return bool(pstate) and not pstate & MODE
