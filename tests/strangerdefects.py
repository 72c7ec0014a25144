"""Defects of KVM that one thread alone seldom shows: a few lines each, for Debian's 6.12.

Each was one of KVM's own once, or is what a fix of its own guards against.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"

_FPSIMD = "arch/arm64/kvm/fpsimd.c"

_BOUND = "\t\tclear_thread_flag(TIF_FOREIGN_FPSTATE);\n"
_UNTIL_PUT = """\t}
}

/*
 * Write back the vcpu FPSIMD regs if they are dirty, and invalidate the
 * cpu FPSIMD regs so that they can't be spuriously reused if this vcpu
 * disappears and another task or vcpu appears that recycles the same
 * struct fpsimd_state.
 */
void kvm_arch_vcpu_put_fp(struct kvm_vcpu *vcpu)
{
\tunsigned long flags;

"""
_PUT = "\tlocal_irq_save(flags);\n"
_SET_LENGTH = """\tif (!has_vhe() && vcpu_has_sve(vcpu) && guest_owns_fp_regs())
\t\tsve_cond_update_zcr_vq({}, SYS_ZCR_EL1);
"""


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
            "the guest's ZCR_EL1 is live until the vcpu is put, and a softirq saves at its length",
            _FPSIMD,
            _BOUND + _UNTIL_PUT + _PUT,
            _SET_LENGTH.format("__vcpu_sys_reg(vcpu, ZCR_EL1)")
            + _BOUND
            + _UNTIL_PUT
            + _PUT
            + _SET_LENGTH.format("vcpu_sve_max_vq(vcpu) - 1"),
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
)
"""What a re-entry has to look at; what an exit has to tell the host; what 59419f10045b and
fbc7e61195e2 mended. That a host thread kept SVE after a vcpu (d52d165d67c5) cannot be put back by a
few lines: 6.12 binds every thread's registers anew on its way to user space."""
