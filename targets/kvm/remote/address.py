"""Where an agent listens: HOST:PORT, with an IPv6 address in brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_PORT = 7011
_FORM = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/@*?]+)):(\d{1,5})")


class AddressError(ValueError):
    """No address; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host by name or number, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT = Address("127.0.0.1", DEFAULT_PORT)


def parse(text: str, *, any_port: bool = False) -> Address:
    """The address a text stands for; port 0 only if `any_port`. Raises AddressError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise AddressError(
            f"{text!r} is no address such as {DEFAULT}, host.example:{DEFAULT_PORT}"
            f" or [::1]:{DEFAULT_PORT}."
        )
    port = int(found[3])
    if port > 0xFFFF or (port == 0 and not any_port):
        raise AddressError(f"{text!r}: a TCP port is a number from 1 to 65535.")
    return Address(found[1] or found[2], port)
