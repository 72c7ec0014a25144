"""Which legs must do the same: real KVM on the same emulated processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from corpus.kept import Described
from targets.kind import KINDS
from targets.spec.errors import Decides

_PROCESSOR = frozenset(
    {
        *("lab.qemu", "lab.executor", "midr", "page_size", "vqs", "preferred_target"),
        *("id_aa64pfr0", "id_aa64pfr1", "id_aa64zfr0", "id_aa64smfr0"),
        *("id_aa64isar0", "id_aa64isar1", "id_aa64isar2", "mode"),
    }
)
"""What of a fingerprint makes legs one machine, with all that KVM offers on it ("cap."). Not
what only kernels care for, such as the boot line and ID registers of memory and debugging."""

_ALIKE = {"vhe": "plain", "nvhe": "plain"}
"""Modes in which KVM offers the same. The others have limits of their own."""

_Key: TypeAlias = frozenset[tuple[str, str]]


class Leg(Described, Protocol):
    """A leg, running or as it was stored."""

    @property
    def name(self) -> str:
        """What it is called here."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Legs that must do the same wherever `decides`, or what says more than it, decides."""

    names: tuple[str, ...]
    decides: Decides


def twins(legs: Sequence[Leg]) -> tuple[Twins, ...]:
    """Every group of two or more; those of one kernel, of which more can be asked, first.

    The emulator's legs are none: they are one program, and differ only in what they may
    choose. Nor is hardware, of which no two are known to be alike."""
    by_machine: dict[_Key, list[Leg]] = {}
    for leg in sorted(legs, key=lambda leg: leg.name):
        if KINDS[leg.kind].kernel and "lab.qemu" in leg.fingerprint:
            by_machine.setdefault(_machine(leg.fingerprint), []).append(leg)
    found = []
    for alike in by_machine.values():
        kernels: dict[str, list[str]] = {}
        for leg in alike:
            kernels.setdefault(leg.fingerprint["lab.kernel_sha256"], []).append(leg.name)
        found += [Twins(tuple(names), Decides.KERNEL) for names in kernels.values()]
        if len(kernels) > 1:
            found.append(Twins(tuple(leg.name for leg in alike), Decides.CPU))
    several = [group for group in found if len(group.names) > 1]
    return tuple(sorted(several, key=lambda group: group.decides))


def _machine(fingerprint: Mapping[str, str]) -> _Key:
    return frozenset(
        (fact, _ALIKE.get(value, value))
        for fact, value in fingerprint.items()
        if fact in _PROCESSOR or fact.startswith("cap.")
    )
