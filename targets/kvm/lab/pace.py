"""How long a leg may make no progress before it hangs: from its own measured speed."""

from __future__ import annotations

from collections import deque

FLOOR_S = 15.0
CEILING_S = 180.0
FACTOR = 20
"""Times the leg's slow steps. A hundredfold slower machine (a sanitizer, protected mode under
emulation, a neighbour's build) is slow in all it does, so the factor holds for it, too."""

KEPT = 512
SHARE = 0.99


class Pace:
    """A high percentile of the time between two signs of progress, of the latest ones.

    A sign of progress is an op executed. Part of a boot stands for a leg that has not executed
    enough yet. It outlives the guest: a restarted leg is as fast as before.
    """

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=KEPT)
        self._sorted: list[float] | None = None

    def note(self, seconds: float) -> None:
        """One step took so long."""
        self._steps.append(seconds)
        self._sorted = None

    def note_boot(self, seconds: float) -> None:
        """A boot took so long: no op comes near a fourth of it, on any leg."""
        self.note(seconds / 4)

    @property
    def slow_step(self) -> float:
        """Seconds that all but the slowest hundredth of the steps stay below."""
        if not self._steps:
            return 0.0
        if self._sorted is None:
            self._sorted = sorted(self._steps)
        return self._sorted[min(len(self._sorted) - 1, int(SHARE * len(self._sorted)))]

    @property
    def limit(self) -> float:
        """Seconds without progress after which the leg counts as hung."""
        return min(CEILING_S, max(FLOOR_S, FACTOR * self.slow_step))

    def is_hang(self, seconds: float) -> bool:
        """Whether so long without progress is no longer slowness."""
        return seconds > FLOOR_S and seconds > self.limit
