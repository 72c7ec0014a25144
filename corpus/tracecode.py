"""Traces as bytes: the one form in which they are stored and travel between processes."""

from __future__ import annotations

import zlib

import msgspec

from corpus.fault import Fault, FaultKind
from corpus.trace import Ending, Observation, Trace

LEVEL = 6
"""Of zlib: register files are mostly zeros."""


class TraceError(ValueError):
    """Bytes that hold no trace; the message is one sentence."""


class _Packed(msgspec.Struct, array_like=True):
    observations: list[tuple[int, int, bytes]]
    ending: str
    log: str = ""
    at: int | None = None
    fault: tuple[str, str, bool, str] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack(trace: Trace) -> bytes:
    """The trace as compressed bytes."""
    fault = trace.fault
    plain = _Packed(
        [(o.err, o.aux, o.data) for o in trace.observations],
        trace.ending.value,
        trace.log,
        trace.at,
        (fault.kind.value, fault.place, fault.of_guest, fault.line) if fault else None,
    )
    return zlib.compress(_encode(plain), LEVEL)


def unpack(packed: bytes) -> Trace:
    """The inverse of `pack`. Raises TraceError."""
    try:
        plain = _decode(zlib.decompress(packed))
        fault = _fault(*plain.fault) if plain.fault else None
        ending = Ending(plain.ending)
    except (zlib.error, ValueError) as error:
        raise TraceError(f"a packed trace cannot be read: {error}") from error
    observations = tuple(Observation(*one) for one in plain.observations)
    return Trace(observations, ending, plain.log, plain.at, fault)


def _fault(kind: str, place: str, of_guest: bool, line: str) -> Fault:
    return Fault(FaultKind(kind), place, of_guest, line)
