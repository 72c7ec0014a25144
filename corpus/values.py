"""Register contents: patterns that fit any register size, so that they shrink and mutate well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from corpus.domain import UNSIGNED, Domain, TextError, nearest, parse_int, quoted
from corpus.stream import Sink, Source

_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A recipe for the bytes of a buffer: `kind` names the recipe, `arg` its parameter."""

    kind: str
    arg: int = 0

    def expand(self, size: int) -> bytes:
        """The pattern's bytes for a buffer of `size` bytes (a prefix of a longer expansion
        for every kind but `ones`, whose parameter counts bits from the bottom anyway)."""
        return _EXPAND[self.kind](self.arg, size)


def _ones(bits: int, size: int) -> bytes:
    return ((1 << min(bits, 8 * size)) - 1).to_bytes(size, "little")


@lru_cache(maxsize=512)
def _noise(seed: int, size: int) -> bytes:
    """splitmix64 of the seed."""
    out = bytearray()
    state = seed
    while len(out) < size:
        state = (state + 0x9E3779B97F4A7C15) & _U64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _U64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _U64
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    return bytes(out[:size])


_EXPAND: dict[str, Callable[[int, int], bytes]] = {
    "fill": lambda arg, size: bytes([arg]) * size,
    "int": lambda arg, size: (arg & ((1 << 8 * size) - 1)).to_bytes(size, "little"),
    "ones": _ones,
    "count": lambda arg, size: bytes((arg + i) & 0xFF for i in range(size)),
    "noise": _noise,
}

_ARG_SIZE = {"fill": 1, "int": 8, "ones": 2, "count": 1, "noise": 2}
_KINDS = tuple(_EXPAND)
_NAMED = ("count", "noise", "ones")
_INTERESTING = (
    *(0, 1, 2, 3, 4, 7, 8, 0xF, 0x10, 0x1F, 0x1FF, 0x3C5, 0x3C4, 0x3C0, 0x3C9, 0x3D3),
    *(0x10000, 0x30000, 0x300000, 0x330000, 0x310000, 0x130000, 0x30C0_0000),
    *(1 << 19, 1 << 22, 3 << 22, 1 << 24, 1 << 25, 1 << 26, 0x1F00, 0x9F, 0x0800009F),
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x4000_8000, 0x4000_FFF0, 1 << 32, 1 << 63, _U64),
)
_INT_TABLE = 0x40
"""Kind bytes from here on name an interesting integer."""


class PatternDomain(Domain[Pattern]):
    """Patterns: `0xab*` fills, `count:3`, `noise:77`, `ones:16`, or a plain integer."""

    pattern = rf"0x[0-9a-f]{{2}}\*|(?:count|noise|ones):[0-9]+|{UNSIGNED}"

    def draw(self, source: Source) -> Pattern:
        tag = source.u8()
        if tag >= _INT_TABLE:
            return Pattern("int", _INTERESTING[(tag - _INT_TABLE) % len(_INTERESTING)])
        kind = _KINDS[tag % len(_KINDS)]
        return Pattern(kind, source.uint(_ARG_SIZE[kind]))

    def put(self, value: Pattern, sink: Sink) -> None:
        if value.kind == "int" and value.arg in _INTERESTING:
            sink.u8(_INT_TABLE + _INTERESTING.index(value.arg))
            return
        sink.u8(_KINDS.index(value.kind))
        sink.uint(value.arg, _ARG_SIZE[value.kind])

    def parse(self, text: str) -> Pattern:
        if text.endswith("*"):
            return self._checked(text, "fill", text[:-1])
        kind, colon, arg = text.partition(":")
        if not colon:
            return self._checked(text, "int", text)
        if kind not in _NAMED:
            raise TextError(
                f"{quoted(text)} is no value: write 0xab*, count:N, noise:N, ones:N or a number"
                f"{nearest(kind, _NAMED)}"
            )
        return self._checked(text, kind, arg)

    @staticmethod
    def _checked(text: str, kind: str, arg: str) -> Pattern:
        value = parse_int(arg)
        if not 0 <= value < 1 << 8 * _ARG_SIZE[kind]:
            raise TextError(f"{quoted(text)}: the number does not fit {_ARG_SIZE[kind]} byte(s)")
        return Pattern(kind, value)

    def format(self, value: Pattern) -> str:
        if value.kind == "fill":
            return f"{value.arg:#04x}*"
        if value.kind == "int":
            return hex(value.arg) if value.arg > 9 else str(value.arg)
        return f"{value.kind}:{value.arg}"

    def simpler(self, value: Pattern) -> Iterator[Pattern]:
        ladder = (
            Pattern("int", 0),
            Pattern("int", 1),
            Pattern("fill", 0xFF),
            Pattern("fill", 0xAB),
        )
        for step in ladder:
            if step == value:
                return
            yield step
