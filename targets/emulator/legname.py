"""Names of emulator legs: `emulator:keep` and `emulator:zero`, each with an optional `:vq=1,2,4`.

`keep` never clears bits above the effective vector length unless the architecture demands
it, `zero` clears them wherever the architecture permits it.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus.domain import TextError
from targets.emulator.transport import EmulatorTransport
from targets.vqs import ALL_VQS, named, parse_option

TAILS = ("keep", "zero")


@dataclass(frozen=True, slots=True)
class EmulatorSpec:
    """An emulator leg: what it does with bits above the effective VL, and its host lengths."""

    tail: str = "keep"
    vqs: tuple[int, ...] = ALL_VQS

    @property
    def name(self) -> str:
        """The shortest name that parses to this leg."""
        return named(f"emulator:{self.tail}", self.vqs)


def parse(name: str) -> EmulatorSpec:
    """The leg a name stands for. Raises TextError."""
    kind, *parts = name.split(":")
    if kind != "emulator" or not parts or parts[0] not in TAILS or len(parts) > 2:
        raise TextError(f"{name!r} is no emulator leg: emulator:keep or emulator:zero[:vq=...].")
    return EmulatorSpec(parts[0], parse_option(parts[1]) if parts[1:] else ALL_VQS)


def open_transport(spec: EmulatorSpec) -> EmulatorTransport:
    """The transport of a leg, not started."""
    vqs = ",".join(map(str, spec.vqs))
    return EmulatorTransport(("--tail", spec.tail, "--vq", vqs))
