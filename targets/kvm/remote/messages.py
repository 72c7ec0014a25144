"""What agent and client tell each other, and the frames it travels in.

A frame is the payload's length as u32, little-endian, and the payload: one message in
MessagePack. The agent speaks first, with `Hello`; the client proves itself; the agent does,
and starts its leg; `Run` and `Done` follow, in order. Either side's last words are `Refused`.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TypeVar

import msgspec

from corpus.fault import Fault
from corpus.trace import Ending
from corpus.wire import REQUEST_MAGIC, RESPONSE_MAGIC, Kind
from targets.codemap import CodeMap, Function
from targets.transport import Loss

PROTOCOL = 2

REQUEST_CAP = 1 << 20
"""Bytes of a request; a leg may take less."""
LOG_CAP = 1 << 16
"""Characters of a reply's log; what is beyond, in front, is left out."""

_WORDS_CAP = 500

UNPROVEN_LIMIT = 4096
TO_AGENT_LIMIT = REQUEST_CAP + UNPROVEN_LIMIT
FROM_AGENT_LIMIT = 1 << 24
"""Bytes of a payload: before the other side is known, and after."""

_LENGTH = struct.Struct("<I")


def wire_version() -> str:
    """Changes with the form of requests and responses: an executor must know every op."""
    kinds = [(kind.name, kind.value) for kind in Kind]
    return hashlib.sha256(repr((REQUEST_MAGIC, RESPONSE_MAGIC, kinds)).encode()).hexdigest()[:8]


def printable(text: str) -> str:
    """Words of the other side as they may be shown: one line, of limited length, without
    control characters."""
    return "".join(c if c.isprintable() else " " for c in text[:_WORDS_CAP])


class FrameError(ValueError):
    """Bytes that are no frame, or a message out of place; the message is one sentence."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Agent: who is there. `protocol` stays readable in every version."""

    protocol: int
    wire: str
    nonce: bytes


class Prove(msgspec.Struct, frozen=True, tag="prove"):
    """Client: that it knows the secret, and whether it wants kernel coverage."""

    nonce: bytes
    proof: bytes
    coverage: bool


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Agent: that it knows the secret, too; its leg is started next."""

    proof: bytes


class Code(msgspec.Struct, frozen=True):
    """A `CodeMap`; functions are (offset, size, name, area)."""

    text: int
    text_size: int
    functions: list[tuple[int, int, str, str]]

    @classmethod
    def of(cls, code: CodeMap) -> Code:
        functions = [(f.offset, f.size, f.name, f.area) for f in code.functions]
        return cls(code.text, code.text_size, functions)

    def map(self) -> CodeMap:
        return CodeMap(self.text, self.text_size, tuple(Function(*f) for f in self.functions))


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Agent: its leg is started; what `Transport.start` and its attributes told. `uptime_id`:
    another one after the agent's machine started again."""

    leg: str
    facts: dict[str, str]
    uptime_id: str
    depth: int
    boot_seconds: float
    code: Code | None
    no_coverage: str


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Client: a request to execute."""

    ticket: int
    request: bytes


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Agent: the `Reply` to a request, and the leg's `losses` since the one before. `boot`:
    how often the leg's executor had been replaced when it got the request."""

    ticket: int
    ending: Ending
    response: bytes | None
    log: str
    seconds: float
    blocks: list[int]
    boot_seconds: float = 0.0
    losses: list[Loss] = []
    at: int | None = None
    fault: Fault | None = None
    boot: int = 0


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why this side closes the connection, in one sentence. `later`: that will pass, and no
    request is at fault: the agent is being stopped in order, or is full."""

    sentence: str
    later: bool = False


FromAgent = Hello | Welcome | Ready | Done | Refused
ToAgent = Prove | Run | Refused
Message = FromAgent | ToAgent
_M = TypeVar("_M", bound=msgspec.Struct)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def frame(message: Message) -> bytes:
    """A message as it is sent."""
    payload = _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


class Frames:
    """Takes a stream of bytes apart into messages. `limit`: bytes a payload may have; it may
    be raised once the other side is known."""

    def __init__(self, limit: int = UNPROVEN_LIMIT) -> None:
        self.limit = limit
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        self._received += data

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return bool(self._received)

    def next(self) -> Message | None:
        """The next whole message, or None. Raises FrameError."""
        if len(self._received) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._received)
        if size > self.limit:
            raise FrameError(f"a frame claims {size} bytes, where {self.limit} are the most.")
        end = _LENGTH.size + size
        if len(self._received) < end:
            return None
        payload = bytes(self._received[_LENGTH.size : end])
        del self._received[:end]
        try:
            message: Message = _decoder.decode(payload)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            why = printable(str(error))
            raise FrameError(f"a frame of {size} bytes holds no message: {why}.") from error
        return message


def expect(kind: type[_M], message: Message) -> _M:
    """`message`, if it is of this kind. Raises FrameError."""
    if not isinstance(message, kind):
        raise FrameError(
            f"{kind.__name__} was expected, and {type(message).__name__} came instead."
        )
    return message
