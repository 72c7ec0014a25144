"""Rules about memory tagging."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "enable.mte": (
                "ABI",
                "api.rst 7.26, KVM_CAP_ARM_MTE",
                "a VM without vcpus can have memory tagging where the CPU has it",
            ),
            "enable.late-mte": (
                "ABI",
                "api.rst 7.26, KVM_CAP_ARM_MTE",
                "memory tagging cannot be had once there is a vcpu: EINVAL",
            ),
            "enable.no-mte": (
                "ABI",
                "api.rst 7.26, KVM_CAP_ARM_MTE",
                "nor where the CPU has none, or not that of memory: EINVAL",
            ),
            "init.aarch32-mte": (
                "ABI",
                "api.rst 7.26, KVM_CAP_ARM_MTE",
                "EL1_32BIT in a VM with memory tagging gives EINVAL",
            ),
            "id.pfr1-mte-refused": (
                "ABI",
                "sys_regs.c",
                "ID_AA64PFR1_EL1.MTE, which says what the VM was given, cannot be set: EINVAL",
            ),
            "mte.registers": (
                "ABI",
                "sys_regs.c, MTE_REG; kvm_mte.h",
                "a register of memory tagging is what was written last, by user space or the guest,"
                " but for bits that mean nothing, once it was loaded",
            ),
            "mte.registers-set": (
                "ABI",
                "sys_regs.c, MTE_REG",
                "a register of memory tagging takes any value",
            ),
            "mte.registers-hidden": (
                "ABI",
                "sys_regs.c, mte_visibility",
                "registers of memory tagging give ENOENT in a VM without",
            ),
            "mte.registers-undefined": (
                "ABI",
                "sys_regs.c, mte_visibility",
                "and are UNDEFINED for guests that have no tags",
            ),
            "mte.gmid": (
                "ABI",
                "sys_regs.c, vcpu_set_hcr",
                "GMID_EL1 is refused in a VM without memory tagging, as UNDEFINED or by its name",
            ),
            "mte.tco": (
                "ARCH",
                "Arm ARM, TCO",
                "PSTATE.TCO is what was written last, or zero on a CPU that has no tags of memory",
            ),
            "mte.no-tags": (
                "ARCH",
                "Arm ARM, HCR_EL2.ATA, AArch64.AllocationTagAccessIsEnabled",
                "a guest without access to tags of memory loads and makes zeros, and stores none",
            ),
            "mte.tags": (
                "ARCH",
                "Arm ARM, SCTLR_EL1.ATA, AArch64.MemTag",
                "one with access loads the tag that was stored last for a granule",
            ),
            "mte.check": (
                "ARCH",
                "Arm ARM, AArch64.CheckTag, AArch64.TagCheckFault",
                "an access whose tag is not that of the memory is a fault, where it is checked",
            ),
            "mte.syndrome": (
                "ARCH",
                "Arm ARM, ESR_ELx, ISS of a Data Abort",
                "a tag check fault has DFSC 0b010001, and nothing above bit 31",
            ),
            "mte.tco-of-exceptions": (
                "ARCH",
                "Arm ARM, AArch64.TakeException; exception.c",
                "an exception sets PSTATE.TCO, so that its handler is not checked",
            ),
            "mte.alignment": (
                "ARCH",
                "Arm ARM, AArch64.MemTag",
                "a tag that is stored for an address within a granule is an alignment fault",
            ),
            "mte.blocks-at-el0": (
                "ARCH",
                "Arm ARM, LDGM, STGM, STZGM",
                "loads and stores of a block's tags are UNDEFINED at EL0",
            ),
            "mte.blocks-without-tags": (
                "ARCH",
                "Arm ARM, LDGM, STGM, STZGM",
                "and on a CPU with FEAT_MTE alone",
            ),
        }
    ),
    Rule(
        "mte.first-byte",
        "IMPL",
        "Arm ARM, FAR_EL1",
        "of an access to several granules FAR_EL1 is the first byte whose tag does not match",
    ),
    Rule(
        "mte.gmid-trapped",
        "IMPL",
        "sys_regs.c, vcpu_set_hcr",
        "older kernels, and protected mode, may not trap GMID_EL1, which the CPU then tells",
        since=(7, 2),
    ),
)
