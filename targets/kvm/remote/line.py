"""Messages over a TCP connection, for either side."""

from __future__ import annotations

import errno
import select
import socket
import time
from contextlib import suppress

from targets.kvm.remote.messages import FrameError, Frames, Message, frame

STALL_S = 30.0
"""For the rest of a frame that has begun."""
_CHUNK = 1 << 16
FAREWELL_S = 1.0
"""For last words to be heard."""

_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6}
"""A machine that panics says no goodbye: after these seconds of silence it is asked, and
taken for dead when it does not answer."""


class Gone(Exception):
    """The other side closed the connection, or broke down. `silent`: without a word."""

    def __init__(self, why: str, *, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


class Line:
    """Never blocks on a peer that is blocked itself: what cannot be sent yet is kept."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unsent = bytearray()
        self._torn = False
        self.frames = Frames()
        connection.setblocking(False)
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE.items():
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def queue(self, message: Message) -> None:
        """Send it now or, as far as that would block, when the line is used next."""
        self._unsent += frame(message)
        with suppress(Gone):  # reading tells, after what the other side still had to say
            self._write()

    def send(self, message: Message, seconds: float | None = None) -> None:
        """Send it and wait until it is on its way. Raises Gone, also when that takes longer."""
        self._unsent += frame(message)
        end = None if seconds is None else time.monotonic() + seconds
        self._write()
        while self._unsent:
            if not self._poll(select.POLLOUT, end):
                raise Gone("it takes nothing any more", silent=True)
            self._write()

    def receive(self, seconds: float | None) -> Message | None:
        """The next message; None if none begins within `seconds`. Raises Gone, FrameError.

        Also sends what is left to send meanwhile.
        """
        end = None if seconds is None else time.monotonic() + seconds
        stalls: float | None = None
        while True:
            message = self.frames.next()
            if message is not None:
                return message
            if not self.frames.partial:
                stalls = None
            elif stalls is None:
                stalls = time.monotonic() + STALL_S
            first = min((t for t in (end, stalls) if t is not None), default=None)
            writing = select.POLLOUT if self._unsent else 0
            if self._poll(select.POLLIN | writing, first):
                with suppress(Gone):
                    self._write()
                self._read()
            elif first == stalls:
                raise FrameError(f"the rest of a frame did not come within {STALL_S:.0f} s.")
            else:
                return None

    def _poll(self, events: int, end: float | None) -> bool:
        poll = select.poll()
        poll.register(self._socket, events)
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        return bool(poll.poll(left))

    def _write(self) -> None:
        while self._unsent:
            self._torn = True  # a signal that ends us here leaves unknown what was sent
            try:
                sent = self._socket.send(self._unsent[:_CHUNK])
            except BlockingIOError:
                self._torn = False
                return
            except OSError as error:
                self._unsent.clear()
                raise _gone(error) from error
            del self._unsent[:sent]
            self._torn = False

    def _read(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise _gone(error) from error
        if not data:
            raise Gone("it closed the connection")
        self.frames.feed(data)

    def say_last(self, last: Message) -> None:
        """Say it if that goes at once, and nothing more; the line is still to be closed, when
        the other side has read it: see `is_heard`."""
        with suppress(OSError):
            self.queue(last)
            self._socket.shutdown(socket.SHUT_WR)

    def is_heard(self) -> bool:
        """Whether the other side closed the line, too. Closed earlier, while something is
        unread, the line would take back what was just said. Never waits."""
        with suppress(BlockingIOError):
            try:
                while self._socket.recv(_CHUNK):
                    pass
            except ConnectionError:
                pass
            return True
        return False

    def close(self, last: Message | None = None) -> None:
        """Idempotent. `last`: to be said before, if the other side still listens."""
        if last is not None and self._socket.fileno() >= 0 and not self._torn:
            with suppress(Gone, OSError):
                self.send(last, FAREWELL_S)
                self._socket.shutdown(socket.SHUT_WR)
                end = time.monotonic() + FAREWELL_S
                while self._poll(select.POLLIN, end) and not self.is_heard():
                    pass
        self._socket.close()


def _gone(error: OSError) -> Gone:
    why = (error.strerror or type(error).__name__).lower()
    return Gone(why, silent=error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH))
