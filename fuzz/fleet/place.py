"""Where a fleet's scheduler is, and what it takes to get in: what all of its parts know of Dask."""

from __future__ import annotations

import logging
import re
import signal
import socket
import ssl
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path

import dask
from distributed import Security

CONNECT_S = 10.0
"""How long a scheduler may take to answer."""

LOSSES = 10
"""Workers that a slice may lose before it is given back, where the scheduler is ours."""

_PLACE = re.compile(r"local:([1-9][0-9]{0,2})|(tcp|tls)://[^\s/]+:[0-9]{1,5}")

SETTINGS: Mapping[str, object] = {
    "distributed.scheduler.allowed-failures": LOSSES,
    "distributed.worker.daemon": True,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.client.scheduler-info-interval": "10s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
}
"""Of Dask, wherever a part of a fleet runs. It is made for tasks of milliseconds. Ours take
minutes, and what it looks at many times a second costs several percent of a CPU in each process."""


class ClusterError(RuntimeError):
    """There is no such cluster, or it lets nobody in; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of TLS: the authority that everybody's certificate must come from, and one's own."""

    authority: Path
    certificate: Path
    key: Path

    def check(self) -> None:
        """Find out whether they are what they have to be. Raises ClusterError."""
        try:
            context = ssl.create_default_context(cafile=str(self.authority))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:
            names = f"{self.authority}, {self.certificate} and {self.key}"
            said = getattr(error, "reason", None) or error.__class__.__name__
            words = str(said).replace("_", " ").lower()
            raise ClusterError(f"{names} are no certificates and key: {words}") from None

    def security(self) -> Security:
        """The same for Dask, for whichever part one is."""
        mine: dict[str, str] = {"tls_ca_file": str(self.authority)}
        for role in ("client", "worker", "scheduler"):
            mine[f"tls_{role}_cert"] = str(self.certificate)
            mine[f"tls_{role}_key"] = str(self.key)
        return Security(require_encryption=True, **mine)


@dataclass(frozen=True, slots=True)
class Place:
    """Where slices are done: `local` processes of this machine, or the scheduler at `address`."""

    address: str
    local: int = 0
    certificates: Certificates | None = None


def place(text: str, certificates: Certificates | None = None) -> Place:
    """A cluster address: `local:N`, `tcp://HOST:PORT` or `tls://HOST:PORT`. Raises
    ClusterError."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise ClusterError(
            f"{text!r} is no cluster: write local:2, tcp://HOST:PORT or tls://HOST:PORT"
        )
    if match[2] == "tls" and certificates is None:
        raise ClusterError(f"{text} takes --tls-ca, --tls-cert and --tls-key")
    if match[2] != "tls" and certificates is not None:
        raise ClusterError(f"{text} does without certificates: with them, write tls://HOST:PORT")
    return Place(text, int(match[1] or 0), certificates)


def knock(where: Place) -> None:
    """Find out at once whether anybody listens there, where Dask would go on trying. Raises
    ClusterError."""
    host, _, port = where.address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(f"{where.address}: {why(error)}") from None


def quiet() -> None:
    """Dask's settings for a fleet, and its logs off the screen: what matters is said by us."""
    dask.config.set(SETTINGS)
    warnings.filterwarnings("ignore", module="distributed")
    ours = ("distributed", "tornado", "asyncio")
    for name in (*ours, *logging.root.manager.loggerDict):
        if name.startswith(ours):  # Dask sets a level at each of its own
            logging.getLogger(name).setLevel(logging.CRITICAL)


def spare_tracker() -> None:
    """Start Python's process that counts semaphores so that a signal to the whole job, as of a
    terminal's end, does not end it before us, which it takes for a fault and prints."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_THE_JOB)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_TO_THE_JOB = (signal.SIGHUP, signal.SIGQUIT)
"""It heeds neither Ctrl-C nor SIGTERM by itself."""


def why(error: BaseException) -> str:
    """One sentence of what Dask says in several."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    said = str(deepest) or type(deepest).__name__
    for sign, sentence in _SENTENCES.items():
        if sign in said.lower() or sign in str(error).lower():
            return sentence
    return " ".join(said.split())[:300]


_SENTENCES: Mapping[str, str] = {
    "refused": "no scheduler listens there",
    **dict.fromkeys(
        ("certificate", "ssl", "<tls"),
        "its certificates and ours are not from one authority, or one of us goes without",
    ),
    "timed out": "no scheduler answers there",
    "name or service not known": "there is no such host",
    "temporary failure in name resolution": "there is no such host",
    "port must be": "there is no such port",
}
