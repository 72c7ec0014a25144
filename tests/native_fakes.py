"""A function of ours in place of the C executor of `kvm:native`."""

from __future__ import annotations

import os
import struct
import time
from types import SimpleNamespace
from typing import Any

from cffi import FFI

from corpus.wire import RESPONSE_MAGIC


def probed(facts: bytes) -> bytes:
    """The response to a probe that tells these facts."""
    size = len(facts) + (-len(facts) & 7)
    head = struct.pack("<4I", RESPONSE_MAGIC, 16 + 24 + size, 1, 0)
    return head + struct.pack("<HBBIQII", 0, 0, 0, 0, 0, len(facts), 0) + facts.ljust(size, b"\0")


def module(probe: bytes = b"", kill: int = 0) -> Any:
    """An extension whose requests say what to do; some answer with what the child sees. A
    proper request is answered with `probe`; without one it dies of signal `kill`, if any."""
    ffi = FFI()

    def execute(request: Any, size: int, response: Any, cap: int) -> int:
        asked = ffi.buffer(request, size)[:]
        answer = asked
        if asked.startswith(b"signal"):
            os.kill(os.getpid(), int(asked[6:]))
        if asked.startswith(b"sleep"):
            time.sleep(60)
        if asked == b"pid":
            answer = str(os.getpid()).encode()
        if asked == b"descriptors":
            answer = " ".join(sorted(os.listdir("/proc/self/fd"), key=int)).encode()
        if asked.startswith(b"VFC1") and probe:
            answer = probe
        elif asked.startswith(b"VFC1") and kill:
            os.kill(os.getpid(), kill)
        ffi.memmove(response, answer, len(answer))
        return len(answer)

    return SimpleNamespace(ffi=ffi, lib=SimpleNamespace(vf_execute=execute))
