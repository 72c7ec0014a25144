"""Rules about the ID registers of vector features."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "id.pfr0": ("ABI", "sys_regs.c", "ID_AA64PFR0_EL1.SVE is 1 iff the vcpu has SVE"),
        "id.gic-leaves": (
            "IMPL",
            "sys_regs.c",
            "ID_AA64PFR0_EL1.GIC is kept or zero once a VM without KVM's own GIC has run",
        ),
        "id.gic-comes": (
            "IMPL",
            "sys_regs.c, vgic-init.c",
            "ID_AA64PFR0_EL1.GIC may be any once KVM made a GIC, and then stays that",
        ),
        "id.pfr1": ("ABI", "sys_regs.c", "ID_AA64PFR1_EL1.SME is 0"),
        "id.zfr0": (
            "ABI",
            "sys_regs.c",
            "ID_AA64ZFR0_EL1 reads the host's features, or what was written",
        ),
        "id.zfr0-without-sve": (
            "ABI",
            "sys_regs.c",
            "ID_AA64ZFR0_EL1 exists and reads zero without SVE",
        ),
        "id.smfr0": ("ABI", "sys_regs.c", "ID_AA64SMFR0_EL1 reads zero"),
        "id.guest-reads": (
            "ABI",
            "sys_regs.c",
            "MRS of an ID register in the guest gives what KVM_GET_ONE_REG gives",
        ),
        "id.same-value": (
            "ABI",
            "sys_regs.c",
            "an ID register takes the value it has, also after a run",
        ),
        "id.lesser-value": (
            "IMPL",
            "sys_regs.c",
            "an ID register may take lesser values before any vcpu has run, else EINVAL",
        ),
        "id.busy-after-run": (
            "IMPL",
            "sys_regs.c",
            "an ID register refuses other values once a vcpu has run: EBUSY, or EINVAL",
        ),
        "id.pfr0-sve-refused": (
            "ABI",
            "sys_regs.c",
            "ID_AA64PFR0_EL1.SVE cannot be written: EINVAL",
        ),
        "id.pfr1-sme-refused": ("ABI", "sys_regs.c", "ID_AA64PFR1_EL1.SME cannot be set: EINVAL"),
        "id.zfr0-above-refused": (
            "ABI",
            "sys_regs.c",
            "ID_AA64ZFR0_EL1 refuses features that the host lacks: EINVAL",
        ),
        "id.zfr0-without-sve-refused": (
            "IMPL",
            "sys_regs.c",
            "ID_AA64ZFR0_EL1 of a vcpu without SVE takes zero only: EINVAL",
        ),
        "id.smfr0-refused": ("ABI", "sys_regs.c", "ID_AA64SMFR0_EL1 takes zero only: EINVAL"),
    }
)
