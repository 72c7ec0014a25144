"""Seeded defects: models that are wrong in one known way, to measure the fuzzer with.

Each re-introduces the mechanism of a defect that KVM, QEMU or another simulator once
had (facts 4). A mutant is a leg: `--legs model,mutant:NAME`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from targets.model.model import Model
from targets.mutants.interface import (
    FinalizeTwice,
    InitForgetsFeatures,
    PstateUnchecked,
    ReinitKeepsZ,
    VlsAfterFinalize,
    VlsIgnoresHost,
    VlsSurvivesReinit,
    VOnSve,
)
from targets.mutants.vectors import AsimdKeepsTail, ExitCutsRegisters, ZcrOffByOne
from targets.profile import Profile


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded defect: what is wrong, and the model that has it."""

    about: str
    make: Callable[[Profile], Model]


MUTANTS: dict[str, Mutant] = {
    "asimd-keeps-tail": Mutant("an AdvSIMD write leaves bits 128 and up", AsimdKeepsTail),
    "finalize-twice": Mutant("a second FINALIZE succeeds", FinalizeTwice),
    "reinit-keeps-z": Mutant("INIT of a finalised vcpu does not clear Z", ReinitKeepsZ),
    "vls-survives-reinit": Mutant("INIT before FINALIZE keeps the written VLS", VlsSurvivesReinit),
    "vls-after-finalize": Mutant(
        "VLS of the same value is accepted after FINALIZE", VlsAfterFinalize
    ),
    "vls-ignores-host": Mutant("VLS does not compare with the host's lengths", VlsIgnoresHost),
    "v-on-sve": Mutant("V registers are readable on an SVE vcpu (K8)", VOnSve),
    "pstate-unchecked": Mutant("any PSTATE mode is accepted (K2)", PstateUnchecked),
    "init-features-per-vcpu": Mutant("vcpus of a VM may differ in features", InitForgetsFeatures),
    "zcr-off-by-one": Mutant("the effective VL is one step too long (Q5)", ZcrOffByOne),
    "exit-cuts-registers": Mutant("an exit keeps only half of the guest's VL", ExitCutsRegisters),
}
