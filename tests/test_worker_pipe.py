"""What a worker tells its campaign arrives whole."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time

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
