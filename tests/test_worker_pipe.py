"""What a worker tells its campaign arrives whole, and why it ended is told."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time

import pytest

from fuzz.campaign.pool import telling
from fuzz.worker import events
from fuzz.worker.process import Events


def test_an_event_that_signals_interrupt_arrives_whole() -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    heard = bytearray()
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    main = threading.get_ident()

    def listen() -> None:
        for _ in range(3):
            time.sleep(0.1)  # the pipe is full by now, and the writer waits
            signal.pthread_kill(main, signal.SIGUSR1)
            heard.extend(os.read(reader, 4096))
        while piece := os.read(reader, 4096):
            heard.extend(piece)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        note = events.Note("x" * 100_000)
        Events(writer).send(note)
    finally:
        os.close(writer)
        listener.join()
        os.close(reader)
        signal.signal(signal.SIGUSR1, before)
    assert caught
    assert events.decode(bytes(heard).removesuffix(b"\n")) == note


EXCEPTION = """\
INFO: Running with entropic power schedule (0xFF, 100).

 === Uncaught Python exception: ===
ValueError: odd thing
Traceback (most recent call last):
  File "/x/runner.py", line 3, in one
    two(data)
  File "/x/session.py", line 9, in two
    raise ValueError("odd thing")
ValueError: odd thing

==10104== ERROR: libFuzzer: fuzz target exited
SUMMARY: libFuzzer: fuzz target exited
MS: 0 ; base unit: 0000000000000000000000000000000000000000
artifact_prefix='./'; Test unit written to ./crash-da39a3
Base64: AAEC
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (EXCEPTION, 'ValueError: odd thing, File "/x/session.py", line 9, in two'),
        ("==1== ERROR\nSUMMARY: libFuzzer: out-of-memory\nBase64: AA\n", "SUMMARY: libFuzzer: o"),
        ("one\n\ntwo \n\n", "two"),
        (" === Uncaught Python exception: ===\n", "=== Uncaught Python exception: ==="),
        ("", ""),
    ],
)
def test_why_a_worker_ended_is_the_line_that_tells_it(said: str, why: str) -> None:
    assert telling(said.splitlines()).startswith(why)
    assert bool(telling(said.splitlines())) is bool(why)
