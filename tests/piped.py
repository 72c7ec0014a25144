"""An event, as it comes out of the pipe between a worker and its campaign."""

from __future__ import annotations

from typing import TypeVar

from fuzz.worker import events

E = TypeVar("E", bound=events.Event)


def piped(event: E) -> E:
    """What a campaign reads of a worker's event; fails where it is of another kind."""
    read = events.decode(events.encode(event))
    assert isinstance(read, type(event))
    return read
