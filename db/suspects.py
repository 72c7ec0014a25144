"""Whose fault a bucket probably is, by which legs deviate and which agree. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Suspect(StrEnum):
    """What an engineer would look at first."""

    KERNEL = "kernel"
    MODE = "mode"  # one mode of KVM; others of the same kernel are right
    CPU = "lab CPU"  # the processor that QEMU emulates for every kernel
    EMULATOR = "emulator"
    MODEL = "model"
    MACHINE = "machine"  # QEMU or the agent went away
    MUTANT = "mutant"
    UNCLEAR = "unclear"


OF = {
    Suspect.KERNEL: "of KVM",
    Suspect.MODE: "of one mode of KVM",
    Suspect.CPU: "of the lab's CPU",
    Suspect.EMULATOR: "of VIXL",
    Suspect.MODEL: "of the model",
    Suspect.MACHINE: "of lost machines",
    Suspect.MUTANT: "of mutants",
    Suspect.UNCLEAR: "of nobody in particular",
}
"""The same in `10 of the lab's CPU`."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Legs by name that deviate and that agree; `kinds` and `prints` tell the kind and the
    fingerprint of a leg where they are known."""

    oracle: str
    rule: str
    deviating: Sequence[str]
    agreeing: Sequence[str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    prints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def kind(self, leg: str) -> str:
        """What kind of leg it is: kvm, emulator, model, mutant."""
        return self.kinds.get(leg) or leg.partition(":")[0]

    def wrong(self) -> set[str]:
        """Kinds of the legs that deviate."""
        return {self.kind(leg) for leg in self.deviating}

    def right(self) -> set[str]:
        """Kinds of the legs that agree, the model aside, which judges."""
        return {self.kind(leg) for leg in self.agreeing} - {"model"}

    def kernel(self, leg: str) -> str:
        """Which kernel a leg of KVM runs: by content where that is known."""
        known = self.prints.get(leg, {})
        return known.get("lab.kernel_sha256") or known.get("release") or _words(leg)[0]

    def mode(self, leg: str) -> str:
        """The mode of a leg of KVM."""
        return self.prints.get(leg, {}).get("mode") or _words(leg)[1]


def suspect(seen: Suspicion) -> str:
    """The first of the rules below that applies."""
    return next((who for who, applies in _RULES if applies(seen)), Suspect.UNCLEAR).value


def _words(leg: str) -> tuple[str, str]:
    """Kernel and mode of `kvm:6.12:vhe`; a part that is not there is empty."""
    _, kernel, mode, *_ = (*leg.split(":"), "", "")
    return kernel, mode


def _of_machine(seen: Suspicion) -> bool:
    return seen.rule == "ending.lost"


def _only(kind: str) -> Callable[[Suspicion], bool]:
    return lambda seen: seen.wrong() == {kind}


def _everybody(seen: Suspicion) -> bool:
    """Implementations that share no code are wrong in the same way, and none is right."""
    return len(seen.wrong() - {"mutant"}) > 1 and not seen.right()


def _of_cpu(seen: Suspicion) -> bool:
    """What an instruction leaves is the processor's doing if every leg on it does the same."""
    if seen.wrong() != {"kvm"} or not seen.rule.startswith(("isa.", "fpsr.", "asimd.")):
        return False
    return "kvm" not in seen.right()


def _of_mode(seen: Suspicion) -> bool:
    """On some kernel one mode is wrong and another is right."""
    if seen.wrong() != {"kvm"}:
        return False
    right = {(seen.kernel(leg), seen.mode(leg)) for leg in seen.agreeing if seen.kind(leg) == "kvm"}
    wrong = {(seen.kernel(leg), seen.mode(leg)) for leg in seen.deviating}
    return (
        any(kernel == other and mode != of for kernel, mode in wrong for other, of in right)
        and len({mode for _, mode in wrong}) == 1
    )


_RULES: tuple[tuple[Suspect, Callable[[Suspicion], bool]], ...] = (
    (Suspect.MACHINE, _of_machine),
    (Suspect.MUTANT, _only("mutant")),
    (Suspect.EMULATOR, _only("emulator")),
    (Suspect.MODEL, _only("model")),
    (Suspect.MODEL, _everybody),
    (Suspect.CPU, _of_cpu),
    (Suspect.MODE, _of_mode),
    (Suspect.KERNEL, _only("kvm")),
)
