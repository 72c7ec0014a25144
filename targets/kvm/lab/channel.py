"""The page shared with the lab guest: a header, slot headers, then each slot's two areas.

The guest's view of the same layout is targets/kvm/guest/channel.h. Either side stores
a slot's state last, as one aligned word.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from targets.transport import TransportError

MAGIC = 0x48434656
DOORBELL = b"\x06"
WAKE = b"\x05"
AREAS = 4096
"""Where the first slot's request area begins."""
HEADER_SIZE = 64
SLOT_SIZE = 64


class HeaderWord(IntEnum):
    """Words of the page's header."""

    MAGIC = 0
    SLOTS = 1
    REQUEST_CAP = 2
    RESPONSE_CAP = 3
    READY = 4
    PROGRESS = 5
    SLEEPING = 6
    SERVING = 7
    WAITING = 8


class SlotWord(IntEnum):
    """Words of a slot's header; the sequence number is two."""

    STATE = 0
    COMMAND = 1
    REQUEST_LEN = 2
    RESPONSE_LEN = 3
    SEQUENCE = 4
    ERROR = 6
    SILENT = 7
    BEGAN = 8


class State(IntEnum):
    """Who owns a slot and what for."""

    FREE = 0
    PENDING = 1
    RUNNING = 2
    DONE = 3


class Command(IntEnum):
    """What the guest is asked for."""

    EXECUTE = 0
    READ_FILE = 1
    REPEAT = 2
    PROGRAM = 3


_ITEM = struct.Struct("<II")


def batches(requests: Iterable[bytes], rounds: int, cap: int) -> Iterator[bytes]:
    """Requests of Command.REPEAT, each at most `cap` bytes, that hold `requests` in order."""
    head = _ITEM.pack(rounds, 0)
    batch = head
    for request in requests:
        item = _ITEM.pack(len(request), 0) + request + bytes(-len(request) & 7)
        if len(batch) > len(head) and len(batch) + len(item) > cap:
            yield batch
            batch = head
        batch += item
    if len(batch) > len(head):
        yield batch


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended that the guest ran: its exit code, or the number of the signal that
    killed it (None: none did), and what it wrote."""

    code: int
    signal: int | None
    output: str


def ended(response: bytes) -> Ended:
    """The response of Command.PROGRAM. Raises TransportError."""
    if len(response) < _ITEM.size:
        raise TransportError("the guest could not run the program.")
    status, _ = _ITEM.unpack_from(response)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    output = response[_ITEM.size :].decode("utf-8", "replace")
    return Ended(os.waitstatus_to_exitcode(status) if killed is None else 0, killed, output)


@dataclass(frozen=True, slots=True)
class Layout:
    """Geometry, in bytes; the guest reads it from the header."""

    slots: int = 4
    request_cap: int = 1 << 18
    response_cap: int = 1 << 20

    MAX_SLOTS: ClassVar[int] = (AREAS - HEADER_SIZE) // SLOT_SIZE

    def __post_init__(self) -> None:
        if not 0 < self.slots <= self.MAX_SLOTS:
            raise ValueError(f"{self.slots} slots: 1 to {self.MAX_SLOTS} fit before the areas")
        if self.request_cap % 8 or self.response_cap % 8:
            raise ValueError("areas begin 8-byte aligned, so their sizes are multiples of 8")

    @property
    def stride(self) -> int:
        return self.request_cap + self.response_cap

    @property
    def size(self) -> int:
        """Of the whole page: a PCI BAR, so a power of two."""
        return 1 << (AREAS + self.slots * self.stride - 1).bit_length()

    def word(self, slot: int, word: SlotWord) -> int:
        """Number of a slot header's word, counted from the page's first."""
        return (HEADER_SIZE + slot * SLOT_SIZE) // 4 + word

    def request_at(self, slot: int) -> int:
        return AREAS + slot * self.stride

    def response_at(self, slot: int) -> int:
        return self.request_at(slot) + self.request_cap


class Channel:
    """The host's end, over a writable buffer of `layout.size` bytes."""

    def __init__(self, memory: memoryview, layout: Layout) -> None:
        self.layout = layout
        self._bytes = memory
        self._words = memory.cast("I")
        struct.pack_into(
            "<4I", memory, 0, MAGIC, layout.slots, layout.request_cap, layout.response_cap
        )

    def release(self) -> None:
        """Let go of the buffer."""
        self._words.release()
        self._bytes.release()

    @property
    def ready(self) -> bool:
        """The guest serves requests."""
        return bool(self._words[HeaderWord.READY])

    @property
    def progress(self) -> int:
        """Ops the guest executed so far, modulo 2**32."""
        return self._words[HeaderWord.PROGRESS]

    @property
    def sleeping(self) -> bool:
        """The guest sees a new request only after a doorbell."""
        return bool(self._words[HeaderWord.SLEEPING])

    def set_waiting(self, waiting: bool) -> None:
        """Whether the guest has to send a byte when it finishes something."""
        self._words[HeaderWord.WAITING] = waiting

    def ops_done(self, slot: int) -> int | None:
        """Ops executed of the request that a RUNNING slot holds, if the guest counts them."""
        began = self._words[self._word(slot, SlotWord.BEGAN)]
        return (self.progress - began + 1) & 0xFFFF_FFFF if began else None

    def finished_silently(self, slot: int) -> bool:
        """The slot is done, and no doorbell follows, as the kernel logged nothing."""
        return self.state(slot) is State.DONE and bool(
            self._words[self._word(slot, SlotWord.SILENT)]
        )

    def _word(self, slot: int, word: SlotWord) -> int:
        return self.layout.word(slot, word)

    def state(self, slot: int) -> State:
        return State(self._words[self._word(slot, SlotWord.STATE)])

    def free_slot(self) -> int | None:
        """A slot nobody uses, or None."""
        for slot in range(self.layout.slots):
            if self.state(slot) is State.FREE:
                return slot
        return None

    def post(self, slot: int, sequence: int, command: Command, request: bytes) -> None:
        """Hand a request to the guest. Raises TransportError if it does not fit."""
        if len(request) > self.layout.request_cap:
            raise TransportError(
                f"a request of {len(request)} bytes exceeds the lab's {self.layout.request_cap}."
            )
        at = self.layout.request_at(slot)
        self._bytes[at : at + len(request)] = request
        head = 4 * self._word(slot, SlotWord.COMMAND)
        struct.pack_into("<3IQ", self._bytes, head, command, len(request), 0, sequence)
        self._words[self._word(slot, SlotWord.STATE)] = State.PENDING

    def take(self, slot: int) -> tuple[int, bytes]:
        """(errno, response) of a slot that is DONE; frees the slot."""
        error = self._words[self._word(slot, SlotWord.ERROR)]
        length = min(self._words[self._word(slot, SlotWord.RESPONSE_LEN)], self.layout.response_cap)
        at = self.layout.response_at(slot)
        response = bytes(self._bytes[at : at + length])
        self._words[self._word(slot, SlotWord.STATE)] = State.FREE
        return error, response
