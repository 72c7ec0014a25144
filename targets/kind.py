"""The kinds of legs, and all that differs by kind: one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`turn`: legs are started slowest first and collected fastest first, so that all overlap.
    `own`: it is an implementation of its own, not the specification in another guise.
    `lends`: its machine is the one that the specification's legs imitate; the first row that a
    campaign has does. `reference`: beside others it need not run, since they are judged by
    it. `kernel`: real KVM, which may have twins, and may serve several cases in one VM."""

    name: str
    turn: int
    own: bool = False
    lends: bool = False
    reference: bool = False
    kernel: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("kvm", 0, own=True, lends=True, kernel=True),
        Kind("emulator", 1, own=True),
        Kind("mutant", 2, lends=True),
        Kind("model", 3, reference=True),
    )
}
