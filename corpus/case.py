"""A case: what it needs, and the ops it does; its byte form and its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from corpus.blocks import fitted
from corpus.domain import TAG_SIZE
from corpus.opfields import fields_of
from corpus.ops import OP_TAGS, Op
from corpus.stream import Sink, Source
from corpus.wire import pack_request

MAX_OPS = 64
"""Of a case that is drawn."""
MOST_OPS = 2048
"""Of one that is written down, as what a VMM did is."""
MAX_VQ = 16
_LONG = 0xFF - MAX_VQ
"""Added to the first byte of a case with more than MAX_OPS."""


@dataclass(frozen=True)
class Case:
    """A sequence of ops. `min_vq`: the host must offer a vector length of at least this.
    A block ends at the latest where the one around it does."""

    ops: tuple[Op, ...]
    min_vq: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", fitted(self.ops))

    def __reduce__(self) -> tuple[Callable[[bytes], Case], tuple[bytes]]:
        """Travels as its canonical bytes, whose decoding is this case again."""
        return decode, (self.encoded,)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical bytes."""
        sink = Sink()
        sink.u8(self.min_vq + (_LONG if len(self.ops) > MAX_OPS else 0))
        for op in self.ops:
            sink.uint(OP_TAGS.tag(op.word), TAG_SIZE)
            for field in fields_of(type(op)):
                field.domain.put(getattr(op, field.name), sink)
        return sink.bytes()

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits that name this case."""
        return hashlib.sha256(self.encoded).hexdigest()[:16]

    @cached_property
    def request(self) -> bytes:
        """The executor form, for a fresh VM."""
        return pack_request([op.lower() for op in self.ops])


@lru_cache(maxsize=512)
def decode(data: bytes) -> Case:
    """The case that any byte string stands for. A fuzzer changes the same few again and again,
    so the latest are kept, with their other forms."""
    source = Source(data)
    first = source.u8()
    is_long = first >= _LONG
    min_vq = first - _LONG if is_long else first % (MAX_VQ + 1)
    most = MOST_OPS if is_long else MAX_OPS
    ops: list[Op] = []
    while not source.exhausted and len(ops) < most:
        kind = OP_TAGS.nearest(source.uint(TAG_SIZE))
        ops.append(kind(*(field.domain.draw(source) for field in fields_of(kind))))
    return Case(tuple(ops), min_vq)
