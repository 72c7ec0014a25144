"""Who may come in, and by which names this server is called. Pure."""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from targets.kvm.remote.address import Address


class AccessError(ValueError):
    """A server that would let everybody in; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Access:
    """`names`: what browsers may call this host. `password`: empty if nobody is asked for one.
    `user_header`: the header in which a proxy says who it is; empty if there is no proxy."""

    names: frozenset[str]
    password: bytes = b""
    user_header: str = ""

    def is_called(self, host: str) -> bool:
        """Whether a Host header names this server. A page elsewhere can point a name of its own
        at this address, but never a number, so any number will do."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or _number(name) is not None

    def is_password(self, tried: str) -> bool:
        """In a time that does not tell how much of it is right."""
        given = tried.strip().encode("utf-8", "surrogateescape")
        return bool(self.password) and hmac.compare_digest(given, self.password)


def access(
    listen: Address, password: bytes = b"", user_header: str = "", names: Sequence[str] = ()
) -> Access:
    """How visitors are let in at an address. Raises AccessError where everybody on a network
    would be."""
    if password and user_header:
        raise AccessError("either a password or a proxy says who a visitor is, not both")
    if user_header and not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", user_header):
        raise AccessError(f"{user_header!r} is no name of a header such as X-Remote-User")
    if not (is_loopback(listen.host) or password or user_header):
        raise AccessError(
            f"{listen} can be reached from other machines: give --password-file FILE,"
            " or --trust-proxy-header NAME behind a proxy that knows its users"
        )
    for name in names:
        if not _may_be_called(name):
            raise AccessError(f"{name!r} is no name of a host such as fuzz.example")
    own = (*("localhost", listen.host, socket.gethostname()), *names)
    return Access(frozenset(name.lower() for name in own), password, user_header)


def _may_be_called(name: str) -> bool:
    """Whether a browser may say a name as that of a host: without a port, a scheme or a path."""
    words = re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?", name)
    return words is not None or _number(name.strip("[]")) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    number = _number(host)
    return host.lower() == "localhost" if number is None else number.is_loopback


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
