"""What ends a command from outside: Ctrl-C, SIGTERM, SIGHUP, Ctrl-\\, and what Ctrl-Z does.

A first signal asks: most commands are interrupted where they are, a campaign finishes what it
is at. A further one ends at once. Whoever draws on the terminal says here how to give it back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

WORDS = {
    signal.SIGINT: "stopped by Ctrl-C",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP: its terminal is gone",
    signal.SIGQUIT: "stopped by SIGQUIT",
}
"""How a command that was ended says so."""

SAME_S = 0.1
"""Signals so near together are one: `timeout` sends each of its own twice."""


class Stopped(KeyboardInterrupt):
    """A signal ends the command; `number` is which."""

    def __init__(self, number: int) -> None:
        super().__init__(WORDS.get(signal.Signals(number), ""))
        self.number = number


class Request:
    """Whether a signal has asked for an end: `number` is the first that did, else 0."""

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0


class _State:
    """One for the process, as signals are."""

    def __init__(self) -> None:
        self.patient: Request | None = None
        self.first = 0
        self.last = (0, 0.0)
        self.seen = 0
        self.give_back: Callable[[], None] | None = None


_state = _State()


@contextmanager
def watched() -> Iterator[None]:
    """Turn the signals of ENDING into Stopped in here. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _state  # noqa: PLW0603
    outer, _state = _state, _State()
    # One that runs under nohup is not to hear of the terminal's end.
    numbers = [n for n in ENDING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, _on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state = outer


@contextmanager
def patiently() -> Iterator[Request]:
    """In here a first signal only sets the request; the next one raises Stopped."""
    request = Request()
    outer, _state.patient = _state.patient, request
    try:
        yield request
    finally:
        _state.patient = outer


@contextmanager
def on_terminal(give_back: Callable[[], None], take_again: Callable[[], None]) -> Iterator[None]:
    """While somebody draws on the whole terminal: it is given back when the process is stopped
    by Ctrl-Z or ends at once, and taken again when the process goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here the process stands still until it is told to continue.
        signal.signal(signal.SIGTSTP, on_stop)
        take_again()

    before = signal.signal(signal.SIGTSTP, on_stop)
    _state.give_back = give_back
    try:
        yield
    finally:
        _state.give_back = None
        signal.signal(signal.SIGTSTP, before)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    last, when = _state.last
    _state.last = number, now
    if number == last and (now - when < SAME_S or number == signal.SIGHUP):
        return
    _state.seen += 1
    _state.first = _state.first or number
    patient = _state.patient
    if _state.seen > (2 if patient is not None else 1):
        if _state.give_back is not None:
            with suppress(Exception):
                _state.give_back()
        os._exit(128 + number)
    if patient is not None and not patient and number != signal.SIGQUIT:
        patient.number = number
        return
    raise Stopped(_state.first)
