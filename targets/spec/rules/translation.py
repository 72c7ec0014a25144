"""Rules about guests with stage 1 on."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "stage1.translation": (
            "ARCH",
            "Arm ARM, AArch64.S1Translate",
            "an access to what no table maps is a translation fault at the level where the walk"
            " ends",
        ),
        "stage1.permission": (
            "ARCH",
            "Arm ARM, AArch64.S1Translate",
            "a store to a read-only page, or an access from EL0 to one of EL1's, is a permission"
            " fault at level 3",
        ),
        "stage1.execute-never": (
            "ARCH",
            "Arm ARM, AArch64.S1Translate",
            "a fetch from a page that is not executable is a permission fault at level 3",
        ),
        "stage1.unaligned": (
            "ARCH",
            "Arm ARM, AArch64.S1HasAlignmentFault",
            "an access to Normal memory needs no alignment while SCTLR_EL1.A is clear",
        ),
        "stage1.device-unaligned": (
            "ARCH",
            "Arm ARM, AArch64.S1HasAlignmentFault",
            "an access to Device memory that is not aligned to its elements is an alignment fault;"
            " QEMU has some of them fault, and VIXL none",
        ),
        "stage1.first-byte": (
            "IMPL",
            "Arm ARM, FAR_EL1",
            "FAR_EL1 is the first byte that faults, elements and bytes in their order",
        ),
        "stage1.reads-on": (
            "IMPL",
            "Arm ARM, MemNF",
            "a first-fault or no-fault load leaves no element out that is in Normal memory, in the"
            " page that it begins in",
        ),
    }
)
