"""The recorder's log: a JSON object a line, as targets/kvm/recorder/notes.c writes them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import msgspec

from corpus.domain import TextError


class Nr(IntEnum):
    """Numbers of the KVM ioctls that a case can have, and of those of which a remark tells more
    than the name (uapi linux/kvm.h)."""

    CREATE_VM = 0x01
    CREATE_VCPU = 0x41
    CREATE_IRQCHIP = 0x60
    RUN = 0x80
    GET_MP = 0x98
    SET_MP = 0x99
    SET_GUEST_DEBUG = 0x9B
    GET_EVENTS = 0x9F
    SET_EVENTS = 0xA0
    ENABLE_CAP = 0xA3
    GET_ONE_REG = 0xAB
    SET_ONE_REG = 0xAC
    INIT = 0xAE
    PREFERRED_TARGET = 0xAF
    REG_LIST = 0xB0
    FINALIZE = 0xC2
    CREATE_DEVICE = 0xE0
    SET_ATTR = 0xE1
    GET_ATTR = 0xE2
    HAS_ATTR = 0xE3


class Command(msgspec.Struct, frozen=True, tag="command", tag_field="kind"):
    """What was run."""

    argv: tuple[str, ...]


class Ioctl(msgspec.Struct, frozen=True, tag="ioctl", tag_field="kind"):
    """A KVM ioctl on descriptor `fd` of process `pid`, `of` what /proc says that is. `result`: what
    it returned, or an errno less than 0. `given`: what the argument points to, then the value of
    SET_ONE_REG or the beginning of that of SET_DEVICE_ATTR, as far as they are mapped. `got`: of
    GET_ONE_REG the value, of RUN the beginning of struct kvm_run, else what it points to
    afterwards. `times`: so many alike, of which this is the first."""

    pid: int
    fd: int
    request: int
    result: int
    of: str = ""
    arg: Annotated[int, msgspec.Meta(ge=0)] = 0
    given: str = ""
    got: str = ""
    times: Annotated[int, msgspec.Meta(ge=1)] = 1

    @property
    def number(self) -> int:
        """Of the request, without its size and direction."""
        return self.request & 0xFF

    @property
    def err(self) -> int:
        """The errno; 0 if it succeeded."""
        return max(-self.result, 0)


class Unfinished(msgspec.Struct, frozen=True, tag="unfinished", tag_field="kind"):
    """An ioctl whose thread ended in it."""

    pid: int
    fd: int
    request: int

    @property
    def number(self) -> int:
        return self.request & 0xFF


class Dup(msgspec.Struct, frozen=True, tag="dup", tag_field="kind"):
    """Descriptor `other` is of the same VM or vcpu as `fd` from here on."""

    pid: int
    fd: int
    other: int


class End(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """How the command ended: its exit code, or 128 and the number of the signal."""

    code: int


class Leg(msgspec.Struct, frozen=True, tag="leg", tag_field="kind"):
    """Where the command ran, which the recorder does not know."""

    name: str


@dataclass(frozen=True, slots=True)
class Log:
    """`argv`: the command; `code`: how it ended, None if the recorder did not see that; `leg`:
    where it ran, if that was noted."""

    argv: Sequence[str]
    calls: Sequence[Ioctl | Unfinished | Dup]
    code: int | None
    leg: str = ""


def with_leg(text: str, name: str) -> str:
    """A log that says where it was made."""
    return _whole(text) + msgspec.json.encode(Leg(name)).decode() + "\n"


def _whole(text: str) -> str:
    """Without a last line that was never finished."""
    return text[: text.rfind("\n") + 1]


def _text(word: str) -> str:
    """A word whose bytes were logged as characters."""
    return word.encode("latin-1", "replace").decode("utf-8", "replace")


_Line = Command | Ioctl | Unfinished | Dup | End | Leg
_decoder: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)


def read(text: str) -> Log:
    """A log; a last line without its end was never finished, and does not count. Raises TextError
    naming the line."""
    argv: Sequence[str] = ()
    calls: list[Ioctl | Unfinished | Dup] = []
    code: int | None = None
    leg = ""
    for number, line in enumerate(_whole(text).splitlines(), 1):
        try:
            said = _decoder.decode(line)
            if isinstance(said, Ioctl):
                bytes.fromhex(said.given)
                bytes.fromhex(said.got)
        except (msgspec.MsgspecError, ValueError, UnicodeError) as error:
            raise TextError(f"line {number} is none of the recorder's: {error}") from None
        if isinstance(said, Command):
            argv = tuple(map(_text, said.argv))
        elif isinstance(said, End):
            code = said.code
        elif isinstance(said, Leg):
            leg = said.name
        else:
            calls.append(said)
    if not argv:
        raise TextError("this is no log of the recorder: it names no command")
    return Log(argv, calls, code, leg)
