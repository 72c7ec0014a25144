"""Short words for times, numbers and kinds, as templates use them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from db.records import Status
from db.suspects import Suspect
from fuzz.campaign.status import clock
from fuzz.report.findings import errno_name, ratio, strictness

SUSPECTS = {
    Suspect.KERNEL: "KVM of that kernel does what the specification does not permit",
    Suspect.MODE: "one mode of KVM is wrong where another of the same kernel is right",
    Suspect.CPU: "every kernel on it is wrong alike: QEMU's emulated processor",
    Suspect.EMULATOR: "VIXL's interpreter, which shares no code with KVM or QEMU",
    Suspect.MODEL: "implementations that share no code agree against the specification",
    Suspect.MACHINE: "the machine under test went away: QEMU or the agent",
    Suspect.MUTANT: "a defect that was put in on purpose",
    Suspect.UNCLEAR: "the legs that deviate follow no pattern",
}
"""Suspect -> why it is the one."""

STATUSES = {
    Status.NEW: "nobody has looked at it, or it came back",
    Status.CONFIRMED: "looked at, and real",
    Status.KNOWN: "understood, reported or tracked",
    Status.MODEL_BUG: "the specification is wrong",
    Status.FIXED: "should not be seen again",
    Status.WONTFIX: "real, and it will stay",
    Status.FLAKY: "does not always show, for reasons that nobody knows",
    Status.DUPLICATE: "the same as another bucket",
}
"""Status -> what it means."""

_AGO = ((60, "min", 60), (48 * 60, "h", 3600), (60 * 24 * 60, "d", 86400))
"""Below so many minutes -> unit and its seconds."""


def ago(when: datetime, now: datetime) -> str:
    """`just now`, `14 min ago`, `3 d ago`, or the day for what is longer ago."""
    seconds = (now - when).total_seconds()
    if seconds < 60:
        return "just now"
    for minutes, unit, size in _AGO:
        if seconds < 60 * minutes:
            return f"{int(seconds // size)} {unit} ago"
    return f"{when:%Y-%m-%d}"


def exactly(when: datetime) -> str:
    """`2026-01-31 12:00:00 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def thousands(number: float) -> str:
    """`100 000`, with a narrow space that does not break."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(part: float) -> str:
    """0 to 1 as per cent."""
    return f"{100 * part:.1f} %"


def counted(number: int, word: str) -> str:
    """`1 finding`, `3 findings`, `1 bucket`."""
    return f"{thousands(number)} {word}{'' if number == 1 else 's'}"


def web_address(link: str) -> str:
    """A link that a browser may follow; empty for words, and for what is no web page."""
    try:
        parts = urlsplit(link.strip())
    except ValueError:
        return ""
    return link.strip() if parts.scheme in ("http", "https") and parts.netloc else ""


def chip(word: str) -> str:
    """A word as part of a CSS class."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in word.lower()) or "none"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "ago": ago,
    "exactly": exactly,
    "thousands": thousands,
    "share": share,
    "ratio": ratio,
    "strictness": strictness,
    "clock": clock,
    "chip": chip,
    "web_address": web_address,
    "errno": errno_name,
    "counted": counted,
}

GLOBALS: Mapping[str, Any] = {
    "SUSPECTS": {who.value: why for who, why in SUSPECTS.items()},
    "STATUSES": {status.value: why for status, why in STATUSES.items()},
}
