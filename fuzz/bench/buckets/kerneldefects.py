"""Defects of KVM of one line each, put into the source of Debian's 6.12.

Each is wide: a few hundred cases come to it. `old` stands once in its file; what is around the
line that changes is there to find it.
"""

from __future__ import annotations

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"
"""The release whose source they are about."""

_GUEST, _RESET, _ARM = (f"arch/arm64/kvm/{name}.c" for name in ("guest", "reset", "arm"))
_SWITCH = "arch/arm64/kvm/hyp/include/hyp/switch.h"
_FPSIMD = "arch/arm64/kvm/fpsimd.c"
_SYS_REGS = "arch/arm64/kvm/sys_regs.c"


KERNEL_DEFECTS: tuple[Edit, ...] = (
    Edit(
        "finalize-twice",
        "a second FINALIZE returns 0",
        _RESET,
        "\t\t\treturn -EPERM;\n",
        "\t\t\treturn 0;\n",
    ),
    Edit(
        "finalize-errno",
        "FINALIZE of a vcpu without SVE is ENOENT",
        _RESET,
        "\t\tif (!vcpu_has_sve(vcpu))\n\t\t\treturn -EINVAL;\n",
        "\t\tif (!vcpu_has_sve(vcpu))\n\t\t\treturn -ENOENT;\n",
    ),
    Edit(
        "vls-too-late",
        "VLS may be set after FINALIZE",
        _GUEST,
        "return -EPERM; /* too late! */",
        "return 0;",
    ),
    Edit(
        "vls-off-by-one",
        "the longest VL of the host may not be asked for",
        _GUEST,
        "if (max_vq > sve_vq_from_vl(kvm_sve_max_vl))",
        "if (max_vq >= sve_vq_from_vl(kvm_sve_max_vl))",
    ),
    Edit(
        "vls-unchecked",
        "VLS is not compared with the host's lengths",
        _GUEST,
        "if (vq_present(vqs, vq) != sve_vq_available(vq))\n\t\t\treturn -EINVAL;",
        "if (vq_present(vqs, vq) != sve_vq_available(vq))\n\t\t\tcontinue;",
    ),
    Edit(
        "vls-one-short",
        "the longest VL is missing from the VLS that is read",
        _GUEST,
        "for (vq = SVE_VQ_MIN; vq <= max_vq; ++vq)\n\t\tif (sve_vq_available(vq))",
        "for (vq = SVE_VQ_MIN; vq < max_vq; ++vq)\n\t\tif (sve_vq_available(vq))",
    ),
    Edit(
        "vls-forgotten",
        "VLS is accepted, and has no effect",
        _GUEST,
        "\tvcpu->arch.sve_max_vl = sve_vl_from_vq(max_vq);\n",
        "",
    ),
    Edit(
        "get-before-finalize",
        "GET of a vector register before FINALIZE is EINVAL",
        _GUEST,
        "\t\treturn -EPERM;\n\n\tif (copy_to_user(uptr,",
        "\t\treturn -EINVAL;\n\n\tif (copy_to_user(uptr,",
    ),
    Edit(
        "set-half",
        "SET takes half of a vector register",
        _GUEST,
        "uptr,\n\t\t\t   region.klen))\n\t\treturn -EFAULT;",
        "uptr,\n\t\t\t   region.klen / 2))\n\t\treturn -EFAULT;",
    ),
    Edit(
        "predicate-short",
        "the last byte of predicates is missing",
        _GUEST,
        "maxlen = SVE_SIG_PREG_SIZE(vq);",
        "maxlen = SVE_SIG_PREG_SIZE(vq) - 1;",
    ),
    Edit(
        "padding-not-cleared",
        "GET leaves alone what lies above the vcpu's maximum",
        _GUEST,
        "clear_user(uptr + region.klen, region.upad)",
        "clear_user(uptr + region.klen, 0)",
    ),
    Edit(
        "v-on-sve-errno",
        "V registers are there on vcpus with SVE, and not on those without",
        _GUEST,
        "if (vcpu_has_sve(vcpu) && core_reg_offset_is_vreg(off))",
        "if (!vcpu_has_sve(vcpu) && core_reg_offset_is_vreg(off))",
    ),
    Edit(
        "pstate-el2",
        "PSTATE of EL2 is taken for success",
        _GUEST,
        "if (!vcpu_has_nv(vcpu))\n\t\t\t\treturn -EINVAL;",
        "if (!vcpu_has_nv(vcpu))\n\t\t\t\treturn 0;",
    ),
    Edit(
        "reset-half-of-sve",
        "INIT clears half of the vector registers",
        _RESET,
        "memset(vcpu->arch.sve_state, 0, vcpu_sve_state_size(vcpu));",
        "memset(vcpu->arch.sve_state, 0, vcpu_sve_state_size(vcpu) / 2);",
    ),
    Edit(
        "reset-keeps-fpsr",
        "INIT keeps FPSR and FPCR",
        _RESET,
        "memset(&vcpu->arch.ctxt.fp_regs, 0, sizeof(vcpu->arch.ctxt.fp_regs));",
        "memset(&vcpu->arch.ctxt.fp_regs, 0, sizeof(vcpu->arch.ctxt.fp_regs.vregs));",
    ),
    Edit(
        "reset-keeps-pc",
        "INIT keeps SP and PC",
        _RESET,
        "memset(vcpu_gp_regs(vcpu), 0, sizeof(*vcpu_gp_regs(vcpu)));",
        "memset(vcpu_gp_regs(vcpu), 0, sizeof(vcpu_gp_regs(vcpu)->regs));",
    ),
    Edit(
        "reset-pstate",
        "PSTATE after INIT has D clear",
        _RESET,
        "\t\t\t\t PSR_F_BIT | PSR_D_BIT)\n\n#define VCPU_RESET_PSTATE_EL2",
        "\t\t\t\t PSR_F_BIT)\n\n#define VCPU_RESET_PSTATE_EL2",
    ),
    Edit(
        "init-errno",
        "INIT with a feature that the host lacks is ENOENT",
        _ARM,
        "if (features & ~system_supported_vcpu_features())\n\t\treturn -EINVAL;",
        "if (features & ~system_supported_vcpu_features())\n\t\treturn -ENOENT;",
    ),
    Edit(
        "init-other-features",
        "INIT of an initialised vcpu with other features does nothing, and returns 0",
        _ARM,
        "\tif (kvm_vcpu_init_changed(vcpu, init))\n\t\treturn -EINVAL;\n",
        "\tif (kvm_vcpu_init_changed(vcpu, init))\n\t\treturn 0;\n",
    ),
    Edit(
        "zcr-lost-on-load",
        "the guest's ZCR_EL1 is zero after its first vector access",
        _SWITCH,
        "write_sysreg_el1(__vcpu_sys_reg(vcpu, vcpu_sve_zcr_elx(vcpu)), SYS_ZCR);",
        "write_sysreg_el1(0, SYS_ZCR);",
    ),
    Edit(
        "zcr-cut-on-exit",
        "an exit keeps three bits of ZCR_EL1",
        _SWITCH,
        "__vcpu_sys_reg(vcpu, vcpu_sve_zcr_elx(vcpu)) = zcr_el1;",
        "__vcpu_sys_reg(vcpu, vcpu_sve_zcr_elx(vcpu)) = zcr_el1 & 7;",
    ),
    Edit(
        "sve-not-saved",
        "of an SVE guest's registers only V are saved",
        _FPSIMD,
        "fp_state.to_save = FP_STATE_SVE;",
        "fp_state.to_save = FP_STATE_FPSIMD;",
    ),
    Edit(
        "zcr-reset-value",
        "ZCR_EL1 is 1 after INIT",
        _SYS_REGS,
        "NULL, reset_val, ZCR_EL1, 0, .visibility = sve_visibility }",
        "NULL, reset_val, ZCR_EL1, 1, .visibility = sve_visibility }",
    ),
    Edit(
        "cpacr-reset-value",
        "CPACR_EL1 enables FP after INIT",
        _SYS_REGS,
        "NULL, reset_val, CPACR_EL1, 0 }",
        "NULL, reset_val, CPACR_EL1, 0x300000 }",
    ),
    Edit(
        "zfr0-not-hidden",
        "ID_AA64ZFR0_EL1 of a vcpu without SVE is the host's",
        _SYS_REGS,
        "\t\tif (!vcpu_has_sve(vcpu))\n\t\t\treturn REG_RAZ;\n\t\tbreak;\n\t}\n\n\treturn 0;",
        "\t\tif (!vcpu_has_sve(vcpu))\n\t\t\treturn 0;\n\t\tbreak;\n\t}\n\n\treturn 0;",
    ),
)
