"""Rules about vector lengths, and about the bits above them."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "vl.as-asked": (
            "ARCH",
            "Arm ARM, ZCR_EL1",
            "the effective VL is (LEN + 1) x 128 bits where the CPU has that length",
        ),
        "vl.rounded-down": (
            "ARCH",
            "Arm ARM, ZCR_EL1",
            "a length the CPU lacks is rounded down to one that it has",
        ),
        "vl.capped-by-vcpu": (
            "ABI",
            "fpsimd.c",
            "the effective VL is never above the vcpu maximum",
        ),
        "vl.ffr-truncated": (
            "ARCH",
            "Arm ARM, FFR",
            "a load that may not fault clears FFR from the first element that it did not load",
        ),
        "tail.after-load": (
            "ARCH",
            "Arm ARM, sail",
            "bits above the VL are kept or cleared, per register, once the guest's state is loaded",
        ),
        "tail.after-length-change": (
            "ARCH",
            "Arm ARM, sail",
            "bits above the smaller VL are kept or cleared as ZCR_EL1, CPACR_EL1 or the EL changes",
        ),
        "tail.after-exit": (
            "ARCH",
            "Arm ARM, sail",
            "bits above the VL are kept or cleared, per register, when an exception is taken",
        ),
        "asimd.clears-tail": (
            "ARCH",
            "Arm ARM",
            "an AdvSIMD or FP write clears bits 128 up to the VL",
        ),
        "asimd.clears-without-sve": (
            "ARCH",
            "Arm ARM",
            "with SVE disabled an AdvSIMD or FP write keeps or clears all bits from 128 up",
        ),
        "fpsr.cumulative": ("ARCH", "Arm ARM", "FP and saturating instructions set FPSR's bits"),
    }
)
