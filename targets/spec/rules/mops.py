"""Rules about instructions that copy and set memory."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "mops.option": (
            "ARCH",
            "Arm ARM, CPYFP, CPYP, SETP",
            "behind a memory copy N, Z, C and V are zero with option A; with option B C is one,"
            " and N says whether it went backwards",
        ),
        "mops.overlap": (
            "ARCH",
            "Arm ARM, CPYFP",
            "a copy that only goes forwards leaves any bytes in a destination that begins within"
            " its source",
        ),
        "mops.el0": (
            "ARCH",
            "Arm ARM, SCTLR_EL1.MSCEn",
            "while SCTLR_EL1.MSCEn is zero, its reset value, memory copies are UNDEFINED at EL0",
        ),
        "mops.in-protected-mode": (
            "IMPL",
            "hyp/nvhe/hyp-main.c, flush_hyp_vcpu",
            "in protected mode of kernels before 7.2, what the host chose for HCRX_EL2.MSCEn may"
            " not reach the guest (6.12), for which they are UNDEFINED then",
        ),
        "mops.below-el2": (
            "ARCH",
            "Arm ARM, HCRX_EL2.MSCEn; switch.h, __activate_traps_common",
            "while HCRX_EL2.MSCEn is zero, its reset value, they are UNDEFINED below a guest's EL2",
        ),
    }
)
