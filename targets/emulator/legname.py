"""Names of emulator legs: `emulator:keep` and `emulator:zero`, each with an optional `:vq=1,2,4`.

`keep` never clears bits above the effective vector length unless the architecture demands
it, `zero` clears them wherever the architecture permits it.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.emulator.transport import EmulatorTransport

MAX_VQ = 16
ALL_VQS = tuple(range(1, MAX_VQ + 1))
TAILS = ("keep", "zero")


class LegNameError(ValueError):
    """A leg name that stands for nothing; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class EmulatorSpec:
    """An emulator leg: what it does with bits above the effective VL, and its host lengths."""

    tail: str = "keep"
    vqs: tuple[int, ...] = ALL_VQS

    @property
    def name(self) -> str:
        """The shortest name that parses to this leg."""
        name = f"emulator:{self.tail}"
        return name if self.vqs == ALL_VQS else f"{name}:vq={','.join(map(str, self.vqs))}"


def parse(name: str) -> EmulatorSpec:
    """The leg a name stands for. Raises LegNameError."""
    kind, *parts = name.split(":")
    if kind != "emulator" or not parts or parts[0] not in TAILS or len(parts) > 2:
        raise LegNameError(f"{name!r} is no emulator leg: emulator:keep or emulator:zero[:vq=...].")
    if len(parts) == 1:
        return EmulatorSpec(parts[0])
    option, equals, value = parts[1].partition("=")
    if option != "vq" or not equals:
        raise LegNameError(f"{name!r} ends in something that is not vq=...")
    return EmulatorSpec(parts[0], _parse_vqs(value))


def _parse_vqs(text: str) -> tuple[int, ...]:
    """Quadword counts such as `1,2,4` or `1-8`. Raises LegNameError."""
    chosen: set[int] = set()
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            chosen.update(range(int(first), int(last if dash else first) + 1))
    except ValueError as error:
        raise LegNameError(f"vq={text} is no list of numbers such as 1,2,4 or 1-8.") from error
    powers = {1 << n for n in range(5)}
    if not chosen <= set(ALL_VQS) or not powers & set(range(1, max(chosen, default=0))) <= chosen:
        raise LegNameError(
            f"vq={text} is no set a CPU can have: numbers from 1 to 16"
            " with every power of two below the largest."
        )
    if not chosen:
        raise LegNameError(f"vq={text} is empty: every SVE machine has vq 1.")
    return tuple(sorted(chosen))


def open_transport(spec: EmulatorSpec) -> EmulatorTransport:
    """The transport of a leg, not started."""
    vqs = ",".join(map(str, spec.vqs))
    return EmulatorTransport(("--tail", spec.tail, "--vq", vqs))
