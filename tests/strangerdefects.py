"""Defects of KVM that one thread alone does not show: one line each, for Debian's 6.12.

Each was one of KVM's own once, or is what a fix of its own guards against.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"

_FPSIMD = "arch/arm64/kvm/fpsimd.c"
_SWITCH = "arch/arm64/kvm/hyp/include/hyp/switch.h"
_HOST = "arch/arm64/kernel/fpsimd.c"
_CPTR = "arch/arm64/include/asm/kvm_emulate.h"


@dataclass(frozen=True, slots=True)
class Defect:
    """`mode`: of KVM, in which it shows."""

    edit: Edit
    mode: str


DEFECTS: tuple[Defect, ...] = (
    Defect(
        Edit(
            "foreign-not-looked-at",
            "the guest goes on with what a softirq left in the registers",
            _FPSIMD,
            "\tif (test_thread_flag(TIF_FOREIGN_FPSTATE))\n\t\t*host_data_ptr(fp_owner)",
            "\tif (0)\n\t\t*host_data_ptr(fp_owner)",
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "guest-not-bound",
            "a softirq does not save the guest's registers before it uses them",
            _FPSIMD,
            "\t\tclear_thread_flag(TIF_FOREIGN_FPSTATE);\n\t}\n}\n\n/*\n * Write back",
            "\t}\n}\n\n/*\n * Write back",
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "guest-length-stays-live",
            "the guest's ZCR_EL1 is live until the vcpu is put, and the host saves at its length",
            _SWITCH,
            "\t\t\tzcr_el1 = vcpu_sve_max_vq(vcpu) - 1;\n\t\t\twrite_sysreg_el1(zcr_el1, SYS_ZCR);",
            "\t\t\twrite_sysreg_el1(zcr_el1, SYS_ZCR);",
        ),
        "nvhe",
    ),
    Defect(
        Edit(
            "host-not-saved",
            "the host's registers are not saved when a vcpu is loaded",
            _FPSIMD,
            "\tfpsimd_save_and_flush_cpu_state();\n\t*host_data_ptr(fp_owner) = FP_STATE_FREE;",
            "\t*host_data_ptr(fp_owner) = FP_STATE_FREE;",
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "host-el0-has-sve",
            "after a vcpu, host threads use SVE that nobody knows of",
            _CPTR,
            "\t\tval = (CPACR_ELx_FPEN | CPACR_EL1_ZEN_EL1EN);",
            "\t\tval = (CPACR_ELx_FPEN | CPACR_ELx_ZEN);",
        ),
        "vhe",
    ),
)
"""In order: what a re-entry has to look at; what an exit has to tell the host; K30, K29, K16."""
