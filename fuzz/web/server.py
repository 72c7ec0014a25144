"""The server: a socket, uvicorn, and an end in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from fuzz.stopping import Request, patiently
from fuzz.web.access import Access
from fuzz.web.app import application
from targets.kvm.remote.address import Address

GRACE_SECONDS = 3
"""How long an answer that is under way may take after a signal."""
TAKING_SECONDS = 0.1
"""In which a connection that was taken before a signal is known to the server."""


class ServerError(RuntimeError):
    """Nothing can be served; the message is one sentence."""


class _Server(uvicorn.Server):
    """Leaves signals to the command, and looks ten times a second whether one came."""

    def __init__(self, config: uvicorn.Config, asked: Request) -> None:
        super().__init__(config)
        self._asked = asked

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or bool(self._asked)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends what is connected; a connection being taken just now would be missed, and waited
        for as if it had asked something."""
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(TAKING_SECONDS)
        await super().shutdown(sockets)


def serve(listen: Address, url: str, access: Access, ready: Callable[[Address], None]) -> None:
    """Serve the database at `url` until a signal comes; `ready` hears where. Raises ServerError,
    StoreError."""
    app = application(url, access)
    _ = app.state.desk.store  # what is wrong with it is said now, not on a page
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="off",
        ws="none",
    )
    try:
        with _listening(listen) as opened, patiently() as asked:
            ready(Address(listen.host, opened.getsockname()[1]))
            _Server(config, asked).run([opened])
    finally:
        app.state.desk.close()


def _listening(where: Address) -> socket.socket:
    """A socket at an address. Raises ServerError."""
    try:
        found = socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(128)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ServerError(f"nothing can listen at {where}: {why}") from error
    return made
