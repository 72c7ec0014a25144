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
    }
)
