"""Sets of vector lengths a machine can have, in units of 128 bits, as leg names give them."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.domain import TextError
from corpus.fields import parse_vqs

MAX_VQ = 16
"""Of the architecture: 2048 bits."""
ALL_VQS = tuple(range(1, MAX_VQ + 1))


def missing(vqs: Sequence[int]) -> list[int]:
    """What a machine with these lengths has besides: every power of two below the longest
    (Arm ARM, ZCR_ELx.LEN; QEMU's docs/system/arm/cpu-features demands the same)."""
    longest = max(vqs, default=0)
    return [power for power in (1, 2, 4, 8) if power < longest and power not in vqs]


def parse_option(option: str) -> tuple[int, ...]:
    """The lengths of `vq=1,2,4` or `vq=1-8`, the last part of a leg's name. Raises TextError."""
    name, equals, text = option.partition("=")
    if name != "vq" or not equals:
        raise TextError(f"{option!r} is not vq=..., all that a leg's name may end in.")
    if text in ("", "none"):
        raise TextError(f"{option!r} names no length: write vq=1,2,4 or vq=1-8, times 128 bits.")
    try:
        bits = parse_vqs(text, MAX_VQ)
    except TextError as error:
        raise TextError(f"{option!r} is no list such as vq=1,2,4 or vq=1-8: {error}.") from None
    vqs = tuple(vq for vq in ALL_VQS if bits >> vq - 1 & 1)
    lacking = missing(vqs)
    if lacking:
        raise TextError(
            f"{option!r} lacks {', '.join(map(str, lacking))}: a CPU has every power of two"
            " below its longest."
        )
    return vqs


def named(name: str, vqs: tuple[int, ...]) -> str:
    """A leg's name with its lengths; all of them need no words."""
    return name if vqs == ALL_VQS else f"{name}:vq={','.join(map(str, vqs))}"
