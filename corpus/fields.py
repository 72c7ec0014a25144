"""Domains of the op fields that are neither numbers nor register contents."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.domain import UNSIGNED, Choice, Domain, IntRange, TextError, nearest, parse_int, quoted
from corpus.isa.form import Insn
from corpus.isa.table import draw_insn, parse_insn, put_insn, simpler_insn
from corpus.stream import Sink, Source
from corpus.wire import DELAY_LIMIT, SVCR_SM, SVCR_ZA

FEATURE_BITS: dict[str, int] = {
    "power_off": 0,
    "el1_32bit": 1,
    "psci_0_2": 2,
    "pmu_v3": 3,
    "sve": 4,
    "ptrauth_address": 5,
    "ptrauth_generic": 6,
    "has_el2": 7,
    "has_el2_e2h0": 8,
}
"""KVM_ARM_VCPU_INIT features by bit number in features[0] (uapi asm/kvm.h)."""

LATER_FEATURES: dict[str, int] = {"pmu_v3_strict": 9}
"""Those of newer kernels, by the same header of 7.3; nothing draws them by name."""

_NAMED = FEATURE_BITS | LATER_FEATURES
_FEATURE_NAMES = {bit: name for name, bit in _NAMED.items()}
FEATURE_LIMIT = 7 * 32


class FeatureDomain(Domain[int]):
    """Feature bitmaps of 7 x 32 bits: `sve,psci_0_2`, `none`, unknown bits as `bit40`."""

    _TYPICAL, _ONE_MORE, _RAW = 0x80, 0xC0, 0xFF
    _SETS = (0x10, 0x14, 0x04, 0x00, 0x70, 0x11, 0x18, 0x30, 0x90, 0x12, 0x1C, 0x190)
    pattern = r"[a-z][\w,]*"

    def draw(self, source: Source) -> int:
        tag = source.u8()
        if tag < self._TYPICAL:
            return self._SETS[tag % len(self._SETS)]
        if tag < self._ONE_MORE:
            return source.uint(2) & 0x1FF
        if tag < self._RAW:
            return self._SETS[tag % 8] | 1 << source.u8() % FEATURE_LIMIT
        return source.uint(28)

    def put(self, value: int, sink: Sink) -> None:
        if value in self._SETS:
            sink.u8(self._SETS.index(value))
        elif value < 0x200:
            sink.u8(self._TYPICAL)
            sink.uint(value, 2)
        else:
            sink.u8(self._RAW)
            sink.uint(value, 28)

    def parse(self, text: str) -> int:
        if text == "none":
            return 0
        features = 0
        for word in text.split(","):
            bit = 1 << self._bit(word)
            if features & bit:
                raise TextError(f"{quoted(word)} names a feature that was named before")
            features |= bit
        return features

    @staticmethod
    def _bit(word: str) -> int:
        if word in _NAMED:
            return _NAMED[word]
        match = re.fullmatch("bit([0-9]{1,3})", word)
        if match and int(match[1]) < FEATURE_LIMIT:
            return int(match[1])
        close = nearest(word, _NAMED) or f": {', '.join(_NAMED)} or bitN"
        raise TextError(f"{quoted(word)} is no vcpu feature{close}")

    def format(self, value: int) -> str:
        bits = [bit for bit in range(FEATURE_LIMIT) if value >> bit & 1]
        return ",".join(_FEATURE_NAMES.get(bit, f"bit{bit}") for bit in bits) or "none"

    def simpler(self, value: int) -> Iterator[int]:
        if value != 0x10:
            yield 0x10
            for bit in range(FEATURE_LIMIT):
                if value >> bit & 1 and value ^ 1 << bit != 0x10:
                    yield value ^ 1 << bit


VQ_LIMIT = 512


class VqDomain(Domain[int]):
    """Sets of vector lengths in quadwords, bit vq - 1 each: `1,2,4`, `1-16`, `none`."""

    _PREFIX, _MASK, _FAR, _RAW = 0x80, 0xE0, 0xF8, 0xFF
    pattern = r"none|[0-9,-]+"

    def draw(self, source: Source) -> int:
        tag = source.u8()
        if tag < self._PREFIX:
            return (1 << tag % 16 + 1) - 1
        if tag < self._MASK:
            return source.uint(2)
        if tag < self._FAR:
            return (1 << tag % 16 + 1) - 1 | 1 << source.uint(2) % VQ_LIMIT
        return source.uint(64)

    def put(self, value: int, sink: Sink) -> None:
        if 0 < value < 1 << 16 and value & (value + 1) == 0:
            sink.u8(value.bit_length() - 1)
        elif value < 1 << 16:
            sink.u8(self._PREFIX)
            sink.uint(value, 2)
        else:
            sink.u8(self._RAW)
            sink.uint(value, 64)

    def parse(self, text: str) -> int:
        return parse_vqs(text)

    def format(self, value: int) -> str:
        return format_vqs(value)

    def simpler(self, value: int) -> Iterator[int]:
        if value == 1:
            return
        yield 1
        if value > 3 and value != 3:
            yield 3
        for bit in reversed(range(VQ_LIMIT)):
            smaller = value ^ 1 << bit
            if value >> bit & 1 and smaller not in (1, 3):
                yield smaller


_VQ_RANGE = re.compile("([0-9]{1,9})(?:-([0-9]{1,9}))?")


def parse_vqs(text: str, most: int = VQ_LIMIT) -> int:
    """`1,2,4`, `1-16` or `none` as a bitmap with bit vq - 1 set. Raises TextError."""
    vqs = 0
    for word in text.split(",") if text != "none" else ():
        found = _VQ_RANGE.fullmatch(word)
        if found is None:
            raise TextError(f"{quoted(word)} is neither a number nor a range of numbers")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise TextError(f"the range {word} is empty")
        if first < 1 or last > most:
            raise TextError(f"{quoted(word)} is no vector length in quadwords (1 to {most})")
        these = (1 << last) - (1 << first - 1)
        if vqs & these:
            raise TextError(f"{quoted(word)} names a vector length that was named before")
        vqs |= these
    return vqs


def format_vqs(vqs: int) -> str:
    """The canonical text of a set of vector lengths; runs of three and more as a range."""
    runs: list[list[int]] = []
    for vq in range(1, vqs.bit_length() + 1):
        if vqs >> vq - 1 & 1:
            if runs and runs[-1][1] == vq - 1:
                runs[-1][1] = vq
            else:
                runs.append([vq, vq])
    words = []
    for lo, hi in runs:
        words.append(f"{lo}-{hi}" if hi - lo > 1 else ",".join(map(str, range(lo, hi + 1))))
    return ",".join(words) or "none"


class EdgeDomain(Domain[int | None]):
    """How many bytes of a user buffer are mapped before an unmapped page; None: all."""

    _ALL = 0xD0
    pattern = r"none|[0-9]+"

    def draw(self, source: Source) -> int | None:
        tag = source.u8()
        if tag < self._ALL:
            return None
        return (0, 4, 8, 16, 31, 32, 64, 255)[tag % 8] if tag < 0xF0 else source.uint(2) % 257

    def put(self, value: int | None, sink: Sink) -> None:
        if value is None:
            sink.u8(0)
        else:
            sink.u8(0xFF)
            sink.uint(value, 2)

    def parse(self, text: str) -> int | None:
        if text == "none":
            return None
        value = parse_int(text)
        if not 0 <= value <= 256:
            raise TextError(f"{quoted(text)}: a buffer edge is 0 to 256 bytes")
        return value

    def format(self, value: int | None) -> str:
        return "none" if value is None else str(value)

    def simpler(self, value: int | None) -> Iterator[int | None]:
        if value is not None:
            yield None
            if value:
                yield 0


class DelayDomain(Domain[int]):
    """Nanoseconds, each magnitude as likely as another."""

    _RAW = 0xFF
    pattern = UNSIGNED

    def draw(self, source: Source) -> int:
        tag = source.u8()
        if tag == self._RAW:
            return source.uint(3)
        return (0x100 | source.u8()) << tag % 16 & ~0xFF if tag else 0

    def put(self, value: int, sink: Sink) -> None:
        sink.u8(self._RAW if value else 0)
        if value:
            sink.uint(value, 3)

    def parse(self, text: str) -> int:
        value = parse_int(text)
        if not 0 <= value <= DELAY_LIMIT:
            raise TextError(f"{quoted(text)}: a delay is 0 to {DELAY_LIMIT} ns")
        return value

    def format(self, value: int) -> str:
        return str(value)

    def simpler(self, value: int) -> Iterator[int]:
        """Shorter ones, then rounder ones: what a delay means shows in its first digits."""
        if not value:
            return
        yield from dict.fromkeys((0, value // 2))
        unit = 10 ** (len(str(value)) - 1)
        while unit > 1:
            if value % unit:
                yield value // unit * unit
            unit //= 10


class SpanDomain(IntRange):
    """How many ops behind it a block takes in; in the text form they stand in its braces."""


class PartDomain(IntRange):
    """How many of the ops of a block are its first list; in the text form each list has braces."""


class SlotDomain(IntRange):
    """Slots of vcpus, the last of which is another VM's: the codec has one byte in 256 for that, so
    that few cases name it by chance, and stored ones are still the same."""

    _MARK = 0xFF

    def draw(self, source: Source) -> int:
        byte = source.u8()
        return self.hi if byte == self._MARK else self.lo + byte % (self._count - 1)

    def put(self, value: int, sink: Sink) -> None:
        sink.u8(self._MARK if value == self.hi else value - self.lo)


MAX_PROGRAM = 48
"""Instructions in one run."""


class SvcrDomain(Choice):
    """Whether a host thread has ZA on, and is in streaming mode: SVCR. It is in front of a program,
    and the codec has nothing for `none`: what was stored without it is still the same case."""

    _MARK = 0xFC  # no program that is put has so many instructions

    def __init__(self) -> None:
        super().__init__({"none": 0, "sm": SVCR_SM, "za": SVCR_ZA, "sm+za": SVCR_SM | SVCR_ZA})

    def draw(self, source: Source) -> int:
        return source.u8() - self._MARK if source.peek() > self._MARK else 0

    def put(self, value: int, sink: Sink) -> None:
        if value:
            sink.u8(self._MARK + value)

    def simpler(self, value: int) -> Iterator[int]:
        yield from range(value)


class CodeDomain(Domain[tuple[Insn, ...]]):
    """Guest programs; in the text form one instruction per line between braces."""

    def draw(self, source: Source) -> tuple[Insn, ...]:
        program = []
        for _ in range(source.u8() % (MAX_PROGRAM + 1)):
            if source.exhausted:
                break
            program.append(draw_insn(source))
        return tuple(program)

    def put(self, value: tuple[Insn, ...], sink: Sink) -> None:
        sink.u8(len(value))
        for insn in value:
            put_insn(insn, sink)

    def parse(self, text: str) -> tuple[Insn, ...]:
        lines = (line.strip() for line in text.splitlines())
        program = tuple(parse_insn(line) for line in lines if line)
        if len(program) > MAX_PROGRAM:
            raise TextError(f"a run has at most {MAX_PROGRAM} instructions, not {len(program)}")
        return program

    def format(self, value: tuple[Insn, ...]) -> str:
        return "\n".join(insn.format() for insn in value)

    def simpler(self, value: tuple[Insn, ...]) -> Iterator[tuple[Insn, ...]]:
        size = len(value)
        span = size
        while span:
            for start in range(0, size, span):
                yield value[:start] + value[start + span :]
            span //= 2
        for index, insn in enumerate(value):
            for smaller in simpler_insn(insn):
                yield (*value[:index], smaller, *value[index + 1 :])
