"""Rules about protected VMs, as 7.2 has them in protected mode."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "vm.type-late": ("IMPL", "-", "a case's VM is made before any vcpu of it is"),
        "vm.type-reserved": (
            "ABI",
            "api.rst 4.2, arm.c",
            "a type with a bit that means nothing gives EINVAL",
        ),
        "vm.type-not-protected": (
            "ABI",
            "arm.c",
            "without protected mode, and from kernels up to 6.12, no protected VM is to be had:"
            " EINVAL",
        ),
        "vm.type-protected": (
            "IMPL",
            "pkvm.rst, arm.c",
            "in protected mode a VM may be protected, from 7.2 on at the latest",
        ),
        "protected.no-sve": (
            "IMPL",
            "hyp/nvhe/pkvm.c, pkvm_init_features_from_host",
            "a protected VM's guest has no SVE though INIT takes it: it finds V registers that"
            " user space does not reach, and leaves Z, P, FFR and ZCR_EL1 as they are",
        ),
        "protected.no-fpmr": (
            "IMPL",
            "hyp/nvhe/sys_regs.c, pvmid_aa64pfr2",
            "a protected VM's guest has no FPMR though user space has",
        ),
        "protected.no-mops": (
            "IMPL",
            "hyp/nvhe/sys_regs.c, pvmid_aa64isar2; kvm_emulate.h, vcpu_set_hcrx",
            "memory copies are UNDEFINED in a protected VM",
        ),
        "protected.own-ids": (
            "IMPL",
            "hyp/nvhe/sys_regs.c",
            "a protected VM's guest reads ID registers of the hypervisor's making",
        ),
        "protected.external-abort": (
            "IMPL",
            "mmio.c, io_mem_abort",
            "an access outside memory of which no syndrome tells is an external abort to the"
            " guest of a protected VM, and no end of its run",
        ),
        "protected.memory": (
            "IMPL",
            "pkvm.rst",
            "user space is kept from the memory of a protected VM that has run",
        ),
        "protected.no-filter": (
            "IMPL",
            "arm.c, kvm_pkvm_ioctl_allowed",
            "a protected VM has no attributes: EINVAL",
        ),
        "protected.no-capability": (
            "IMPL",
            "arm.c, kvm_pkvm_ext_allowed",
            "a protected VM enables none of the capabilities: EINVAL",
        ),
    }
)
