"""Whether a campaign whose workers fail goes on."""

from __future__ import annotations

MAX_RESTARTS = 20
"""Workers that fail within an hour before the campaign gives up."""
START_LIMIT = 3
"""Workers that fail before they ever ran a case before the campaign gives up."""
HOUR_S = 3600.0


class Restarts:
    """Counts the workers that failed. Times are seconds of any clock that only goes on."""

    def __init__(self) -> None:
        self.count = 0
        """Failures that could be borne: for each a worker is started."""
        self._unborn = 0
        self._lately: list[float] = []

    def bear(self, now: float, *, ran: bool) -> bool:
        """A worker failed at `now`, `ran`: after its first case. Whether the campaign can still
        bear it."""
        self._unborn += not ran
        self._lately = [when for when in self._lately if now - when < HOUR_S] + [now]
        borne = self._unborn < START_LIMIT and len(self._lately) <= MAX_RESTARTS
        self.count += borne
        return borne
