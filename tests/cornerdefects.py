"""Defects of KVM in corners: several ordinary things have to meet. For Debian's 6.12.

Five of each kind: one register at one vector length, a control bit with a length, three features
of the vcpu at once, what a call changes that fails, and what a register held before a reset.
"""

from __future__ import annotations

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"

_GUEST, _RESET, _ARM, _SYS_REGS = (
    f"arch/arm64/kvm/{name}.c" for name in ("guest", "reset", "arm", "sys_regs")
)
_VL = "vcpu->arch.sve_max_vl == {}"
_FEATURES = "(vcpu->kvm->arch.vcpu_features[0] & {mask:#x}) == {bits:#x}"
_ALL = 0x7C
"""PSCI_0_2, PMU_V3, SVE and both of PTRAUTH."""

_GET_SVE = "\tif (copy_to_user(uptr, vcpu->arch.sve_state + region.koffset,\n"
_SET_SVE = "\tif (copy_from_user(vcpu->arch.sve_state + region.koffset, uptr,\n"
_GET_CORE = "\tif (copy_to_user(uaddr, addr, KVM_REG_SIZE(reg->id)))\n"
_SET_CORE = "\tmemcpy(addr, valp, KVM_REG_SIZE(reg->id));\n"
_SET_SYS = "\tif (r->set_user) {\n\t\tret = (r->set_user)(vcpu, r, val);\n"
_CLEAR_GENERAL = "\tmemset(vcpu_gp_regs(vcpu), 0, sizeof(*vcpu_gp_regs(vcpu)));\n"
_CLEAR_VECTORS = "\t\tmemset(vcpu->arch.sve_state, 0, vcpu_sve_state_size(vcpu));\n"
_CLEAR_FP = "\tmemset(&vcpu->arch.ctxt.fp_regs, 0, sizeof(vcpu->arch.ctxt.fp_regs));\n"
_RESET_SYS = "\tkvm_reset_sys_regs(vcpu);\n"


def _before(name: str, about: str, file: str, anchor: str, condition: str, act: str) -> Edit:
    """`act`, if `condition`, before `anchor`."""
    return Edit(name, about, file, anchor, f"\tif ({condition})\n\t\t{act};\n{anchor}")


def _features(bits: int, mask: int = _ALL) -> str:
    return _FEATURES.format(mask=mask, bits=bits)


REGISTER = (
    _before(
        *("z17-at-112", "GET of Z17 is 16 bytes off at 112 bytes", _GUEST, _GET_SVE),
        f"reg->id == KVM_REG_ARM64_SVE_ZREG(17, 0) && {_VL.format(112)}",
        "region.koffset -= 16",
    ),
    _before(
        *("z30-at-48", "SET of Z30 loses its last 16 bytes at 48 bytes", _GUEST, _SET_SVE),
        f"reg->id == KVM_REG_ARM64_SVE_ZREG(30, 0) && {_VL.format(48)}",
        "region.klen -= 16",
    ),
    _before(
        *("p11-at-208", "GET of P11 is a byte off at 208 bytes", _GUEST, _GET_SVE),
        f"reg->id == KVM_REG_ARM64_SVE_PREG(11, 0) && {_VL.format(208)}",
        "region.koffset += 1",
    ),
    _before(
        *("ffr-at-80", "SET of FFR is lost at 80 bytes", _GUEST, _SET_SVE),
        f"reg->id == KVM_REG_ARM64_SVE_FFR(0) && {_VL.format(80)}",
        "return 0",
    ),
    _before(
        *("x23-at-144", "GET of X23 gives X22 at 144 bytes", _GUEST, _GET_CORE),
        f"off == KVM_REG_ARM_CORE_REG(regs.regs[23]) && {_VL.format(144)}",
        "addr -= 8",
    ),
)

CONTROL = (
    _before(
        *("fpcr-rmode-at-176", "SET of FPCR loses RMode's low bit at 176 bytes", _GUEST, _SET_CORE),
        f"off == KVM_REG_ARM_CORE_REG(fp_regs.fpcr) && {_VL.format(176)}",
        "*(u32 *)valp &= ~BIT(22)",
    ),
    _before(
        *("pstate-nz-at-160", "SET of PSTATE with N loses Z at 160 bytes", _GUEST, _SET_CORE),
        f"off == KVM_REG_ARM_CORE_REG(regs.pstate) && *(u64 *)valp & BIT(31) && {_VL.format(160)}",
        "*(u64 *)valp &= ~BIT(30)",
    ),
    _before(
        *("cpacr-zen-at-240", "SET of CPACR_EL1 with ZEN loses FPEN at 240 bytes"),
        *(_SYS_REGS, _SET_SYS),
        f"r->reg == CPACR_EL1 && val & BIT(17) && {_VL.format(240)}",
        "val &= ~BIT(20)",
    ),
    _before(
        *("zcr-9-at-192", "SET of ZCR_EL1 to 9 writes 8 at 192 bytes", _SYS_REGS, _SET_SYS),
        f"r->reg == ZCR_EL1 && val == 9 && {_VL.format(192)}",
        "val = 8",
    ),
    _before(
        *("ffr-zcr-2-at-224", "GET of FFR is two bytes off with ZCR_EL1 2 at 224 bytes"),
        *(_GUEST, _GET_SVE),
        "reg->id == KVM_REG_ARM64_SVE_FFR(0) && __vcpu_sys_reg(vcpu, ZCR_EL1) == 2 && "
        + _VL.format(224),
        "region.koffset -= 2",
    ),
)

FEATURES = (
    _before(
        *("x3-psci-pmu-sve", "SET of X3 loses its top bit with PSCI, PMU and SVE alone"),
        *(_GUEST, _SET_CORE),
        f"off == KVM_REG_ARM_CORE_REG(regs.regs[3]) && {_features(0x1C)}",
        "*(u64 *)valp &= ~BIT_ULL(63)",
    ),
    _before(
        *("fiq-pmu-sve-ptrauth", "INIT leaves F clear with PMU, SVE and PTRAUTH but not PSCI"),
        *(_RESET, "\tvcpu_gp_regs(vcpu)->pstate = pstate;\n"),
        _features(0x78),
        "pstate &= ~PSR_F_BIT",
    ),
    _before(
        *("v21-psci-pmu-ptrauth", "GET of V21 gives V20 with PSCI, PMU and PTRAUTH but not SVE"),
        *(_GUEST, _GET_CORE),
        f"off == KVM_REG_ARM_CORE_REG(fp_regs.vregs[21]) && {_features(0x6C)}",
        "addr -= 16",
    ),
    _before(
        *("power-off-psci-sve", "INIT does not power off with PSCI and SVE alone"),
        *(_ARM, "\tif (power_off)\n\t\t__kvm_arm_vcpu_power_off(vcpu);\n"),
        _features(0x14),
        "power_off = false",
    ),
    _before(
        *("list-psci-sve-ptrauth", "GET_REG_LIST wants one more with PSCI, SVE, PTRAUTH, no PMU"),
        *(_ARM, "\t\tif (n < reg_list.n)\n"),
        _features(0x74),
        "n -= !!n",
    ),
)

FAILED = (
    _before(
        *("vls-empty-shortens", "an empty SVE_VLS is refused and makes the longest VL 16 bytes"),
        *(_GUEST, "\t/* Can't run with no vector lengths at all: */\n"),
        "max_vq < SVE_VQ_MIN",
        "vcpu->arch.sve_max_vl = 16",
    ),
    _before(
        *("finalize-twice-clears", "a second FINALIZE is refused and clears Z0's first 16 bytes"),
        *(_RESET, "\t\tif (kvm_arm_vcpu_sve_finalized(vcpu))\n\t\t\treturn -EPERM;\n"),
        "kvm_arm_vcpu_sve_finalized(vcpu)",
        "memset(vcpu->arch.sve_state, 0, 16)",
    ),
    Edit(
        "core-size-clears-x5",
        "SET of a core register with a wrong size is refused and clears X5",
        _GUEST,
        "\tif (!addr)\n\t\treturn -EINVAL;\n\n\tif (KVM_REG_SIZE(reg->id) > sizeof(tmp))\n",
        "\tif (!addr) {\n\t\tvcpu_set_reg(vcpu, 5, 0);\n\t\treturn -EINVAL;\n\t}\n\n"
        "\tif (KVM_REG_SIZE(reg->id) > sizeof(tmp))\n",
    ),
    Edit(
        "pstate-refused-clears-n",
        "SET of PSTATE with an unknown mode is refused and clears N",
        _GUEST,
        "\t\tdefault:\n\t\t\terr = -EINVAL;\n\t\t\tgoto out;\n",
        "\t\tdefault:\n\t\t\t*vcpu_cpsr(vcpu) &= ~PSR_N_BIT;\n\t\t\terr = -EINVAL;\n"
        "\t\t\tgoto out;\n",
    ),
    Edit(
        "mp-refused-stops",
        "SET_MP_STATE with an unknown state is refused and stops the vcpu",
        _ARM,
        "\tdefault:\n\t\tret = -EINVAL;\n\t}\n\n\tspin_unlock(&vcpu->arch.mp_state_lock);\n",
        "\tdefault:\n\t\t__kvm_arm_vcpu_power_off(vcpu);\n\t\tret = -EINVAL;\n\t}\n\n"
        "\tspin_unlock(&vcpu->arch.mp_state_lock);\n",
    ),
)

RESET = (
    Edit(
        "x7-keeps-z0",
        "INIT leaves Z0's first 16 bytes if X7 was not 0",
        _RESET,
        _CLEAR_VECTORS,
        "\t\tmemset(vcpu->arch.sve_state + (vcpu_get_reg(vcpu, 7) ? 16 : 0), 0,\n"
        "\t\t       vcpu_sve_state_size(vcpu) - (vcpu_get_reg(vcpu, 7) ? 16 : 0));\n",
    ),
    Edit(
        "fz-keeps-fpcr",
        "INIT leaves FPSR and FPCR if FPCR.FZ was set",
        _RESET,
        _CLEAR_FP,
        "\tmemset(&vcpu->arch.ctxt.fp_regs, 0, sizeof(vcpu->arch.ctxt.fp_regs) -\n"
        "\t       (vcpu->arch.ctxt.fp_regs.fpcr & BIT(24) ? 16 : 0));\n",
    ),
    Edit(
        "sp-keeps-x30",
        "INIT leaves X30 if SP was not 0",
        _RESET,
        _CLEAR_GENERAL,
        "\tvcpu_gp_regs(vcpu)->regs[29] = vcpu_gp_regs(vcpu)->sp ?\n"
        "\t\tvcpu_gp_regs(vcpu)->regs[30] : 0;\n"
        "\tmemset(vcpu_gp_regs(vcpu), 0, 29 * 8);\n"
        "\tvcpu_gp_regs(vcpu)->regs[30] = vcpu_gp_regs(vcpu)->regs[29];\n"
        "\tvcpu_gp_regs(vcpu)->regs[29] = 0;\n"
        "\tvcpu_gp_regs(vcpu)->sp = 0;\n"
        "\tvcpu_gp_regs(vcpu)->pc = 0;\n",
    ),
    Edit(
        "tpidr-keeps-zcr",
        "INIT leaves ZCR_EL1 if TPIDR_EL0's top bit was set",
        _RESET,
        _RESET_SYS,
        "\tpstate = __vcpu_sys_reg(vcpu, TPIDR_EL0) >> 63 ?\n"
        "\t\t__vcpu_sys_reg(vcpu, ZCR_EL1) : 0;\n"
        + _RESET_SYS
        + "\tif (pstate)\n\t\t__vcpu_sys_reg(vcpu, ZCR_EL1) = pstate;\n",
    ),
    Edit(
        "und-keeps-abt",
        "INIT leaves SPSR_abt if SPSR_und had bit 4 set",
        _RESET,
        "\tvcpu->arch.ctxt.spsr_abt = 0;\n",
        "\tif (!(vcpu->arch.ctxt.spsr_und & BIT(4)))\n\t\tvcpu->arch.ctxt.spsr_abt = 0;\n",
    ),
)

CORNERS: dict[str, tuple[Edit, ...]] = {
    "register at a length": REGISTER,
    "control bit at a length": CONTROL,
    "three features": FEATURES,
    "a call that fails": FAILED,
    "what a register held at INIT": RESET,
}
