"""What a fleet and its workers say: a line for people on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import sys
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger, Processor


def logger(as_json: bool) -> FilteringBoundLogger:
    """Says events with their fields on standard error, with the time in UTC."""
    shared: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.add_log_level,
    ]
    last: Any = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=16)
    )
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return made
