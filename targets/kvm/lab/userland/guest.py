"""The guest's program: requests off the shared page, executed as an arm64 host executes them.

The counterpart of `targets.kvm.lab.channel`, as targets/kvm/guest/init.c is for the small
guest; what executes is `targets.kvm.native`.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import struct
import sys
import tty
from pathlib import Path

from corpus.trace import Ending
from targets.kvm.lab.channel import (
    DOORBELL,
    MAGIC,
    Command,
    HeaderWord,
    Layout,
    SlotWord,
    State,
)
from targets.kvm.native import NativeTransport
from targets.transport import Transport, TransportError

_IVSHMEM = ("0x1af4", "0x1110")
_PCI = Path("/sys/bus/pci/devices")
_NAP_S = 1.0
"""Bounds the harm of a doorbell that got lost."""


class Broken(Exception):
    """The executor did not live through a request; the guest ends as a machine would."""


class Page:
    """The guest's end of the shared page."""

    def __init__(self, memory: memoryview) -> None:
        magic, slots, request_cap, response_cap = struct.unpack_from("<4I", memory)
        if magic != MAGIC:
            raise TransportError("the shared page holds no channel.")
        self.layout = Layout(slots, request_cap, response_cap)
        self._bytes = memory
        self._words = memory.cast("I")

    def release(self) -> None:
        """Let go of the buffer."""
        self._words.release()
        self._bytes.release()

    def be_ready(self) -> None:
        self._words[HeaderWord.READY] = 1

    def sleep(self, asleep: bool) -> None:
        self._words[HeaderWord.SLEEPING] = asleep

    def pending(self) -> int | None:
        """The slot whose request is next, or None. A second look sees what was posted before
        the one that the first look found, but behind its eye."""
        return None if self._oldest() is None else self._oldest()

    def _oldest(self) -> int | None:
        waiting = [
            (self._words[self.layout.word(slot, SlotWord.SEQUENCE)], slot)
            for slot in range(self.layout.slots)
            if self._words[self.layout.word(slot, SlotWord.STATE)] == State.PENDING
        ]
        return min(waiting)[1] if waiting else None

    def take(self, slot: int) -> tuple[int, bytes]:
        """Begin with a request: its command and its bytes."""
        self._words[self.layout.word(slot, SlotWord.STATE)] = State.RUNNING
        at = self.layout.request_at(slot)
        size = min(
            self._words[self.layout.word(slot, SlotWord.REQUEST_LEN)], self.layout.request_cap
        )
        return self._words[self.layout.word(slot, SlotWord.COMMAND)], bytes(
            self._bytes[at : at + size]
        )

    def finish(self, slot: int, response: bytes, error: int = 0) -> None:
        """Hand the response over."""
        at = self.layout.response_at(slot)
        self._bytes[at : at + len(response)] = response
        self._words[self.layout.word(slot, SlotWord.RESPONSE_LEN)] = len(response)
        self._words[self.layout.word(slot, SlotWord.ERROR)] = error
        self._words[HeaderWord.PROGRESS] = (self._words[HeaderWord.PROGRESS] + 1) & 0xFFFF_FFFF
        self._words[self.layout.word(slot, SlotWord.STATE)] = State.DONE


def serve(page: Page, line: int, transport: Transport) -> None:
    """Serve requests until the line `line` ends. Raises Broken, TransportError."""
    page.be_ready()
    os.write(line, DOORBELL)
    while True:
        slot = page.pending()
        if slot is None:
            page.sleep(True)
            if page.pending() is None and not _doorbell(line):
                return
            page.sleep(False)
            continue
        command, request = page.take(slot)
        if command == Command.EXECUTE:
            page.finish(slot, _execute(transport, request))
        else:
            page.finish(slot, b"", errno.ENOSYS)
        os.write(line, DOORBELL)


def _doorbell(line: int) -> bool:
    """Wait for the bell, for a while; False when nobody will ring it any more."""
    heard, _, _ = select.select([line], [], [], _NAP_S)
    return not heard or bool(os.read(line, 64))


def _execute(transport: Transport, request: bytes) -> bytes:
    reply = transport.collect(transport.submit(request))
    if reply.ending is not Ending.OK or reply.response is None:
        raise Broken(f"the executor ended in a {reply.ending.value}: {reply.log}")
    return reply.response


def _map_page() -> memoryview:
    for device in sorted(_PCI.iterdir()):
        ids = tuple((device / name).read_text().strip() for name in ("vendor", "device"))
        if ids == _IVSHMEM:
            (device / "enable").write_text("1")
            # Write-combined is normal memory; plain resource2 would fault unaligned access.
            with (device / "resource2_wc").open("r+b") as file:
                return memoryview(mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size))
    raise TransportError("the shared memory device is missing.")


def main() -> None:
    """Serve for ever, on the console the kernel opened. An end is a kernel panic."""
    line = sys.stdout.fileno()
    tty.setraw(line)
    try:
        serve(Page(_map_page()), line, NativeTransport())
    except (Broken, TransportError) as error:
        print(f"vcpufuzz: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
