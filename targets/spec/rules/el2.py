"""Rules about vcpus with EL2: nested virtualisation."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

SINCE = (6, 16)
"""KVM has had KVM_ARM_VCPU_HAS_EL2 in earnest since then."""

ZCR_MASKED = (7, 1)
"""ZCR_EL2 keeps LEN alone since then, and all of it."""

_ROWS: dict[str, tuple[str, str, str]] = {
    "el2.init": ("ABI", "api.rst 4.82, arm.c", "INIT with HAS_EL2 gives a vcpu with EL2"),
    "el2.one-of-irq-and-fiq": (
        "IMPL",
        "vgic-v3-nested.c, vgic_state_is_nested",
        "below EL2, KVM does not tell IRQs that go to EL2 from FIQs that do",
    ),
    "el2.init-without-vhe": (
        "IMPL",
        "nested.c",
        "HAS_EL2_E2H0 is accepted, or gives EINVAL where the CPU cannot do without VHE",
    ),
    "el2.reset": (
        "IMPL",
        "sys_regs.c",
        "a reset zeroes the EL2 registers, but for CPTR_EL2's RES1 bits, and SP_EL2 (UNKNOWN)",
    ),
    "el2.reset-pstate": ("ABI", "reset.c", "a reset sets PSTATE to EL2h with DAIF masked"),
    "el2.fixed-bits": (
        "IMPL",
        "nested.c",
        "once a vcpu was run, HCR_EL2 and SCTLR_EL1 have the bits fixed that the VM does not have",
    ),
    "el2.pstate-set": ("ABI", "guest.c", "PSTATE takes EL2t and EL2h with HAS_EL2"),
    "el2.value": ("ABI", "api.rst 4.68", "an EL2 register reads what was written"),
    "el2.value-set": ("ABI", "api.rst 4.68", "an EL2 register takes any value"),
    "el2.cptr": ("ABI", "api.rst 4.68", "CPTR_EL2 reads what was written"),
    "el2.cptr-set": ("IMPL", "sys_regs.c", "CPTR_EL2 takes any value"),
    "el2.hcr": ("IMPL", "sys_regs.c", "HCR_EL2 reads raw until a VM has run"),
    "el2.hcr-set": ("IMPL", "sys_regs.c", "HCR_EL2 takes any value"),
    "el2.zcr": ("IMPL", "sys_regs.c", "ZCR_EL2 reads raw until a VM has run"),
    "el2.zcr-set": ("IMPL", "sys_regs.c", "ZCR_EL2 takes any value"),
    "el2.zcr-no-sve": ("ABI", "sys_regs.c", "ZCR_EL2 of a vcpu without SVE gives ENOENT"),
    "el2.enter-el2h": ("ARCH", "Arm ARM", "a run from EL2h executes with SP_EL2"),
    "el2.enter-el2t": ("ARCH", "Arm ARM", "a run from EL2t executes with SP_EL0"),
    "el2.vhe": (
        "ARCH",
        "Arm ARM, ZCR_EL2",
        "EL2 has the VL of ZCR_EL2 and the traps of CPTR_EL2; ZCR_EL1 and CPACR_EL1 do not count",
    ),
    "el2.without-vhe": (
        "ARCH",
        "Arm ARM, CPTR_EL2",
        "without VHE, EL2 traps SVE and FP by CPTR_EL2.TZ and TFP",
    ),
    "el2.host-el0": (
        "ARCH",
        "Arm ARM, HCR_EL2",
        "with HCR_EL2.TGE, EL0 has ZCR_EL2's VL, CPTR_EL2's traps and takes exceptions to EL2",
    ),
    "el2.nested-guest": (
        "ARCH",
        "Arm ARM, CPTR_EL2",
        "below EL2, CPACR_EL1 traps to EL1 first, then CPTR_EL2 to EL2",
    ),
    "el2.limits-vl": (
        "ARCH",
        "Arm ARM, ZCR_EL2",
        "below EL2 the VL is the smaller of what ZCR_EL1 and ZCR_EL2 give",
    ),
    "el2.trap-zen": (
        "ARCH",
        "Arm ARM, CPTR_EL2",
        "CPTR_EL2 traps SVE to EL2 with EC 0x19, and returns to the instruction itself",
    ),
    "el2.trap-fpen": (
        "ARCH",
        "Arm ARM, CPTR_EL2",
        "CPTR_EL2 traps FP, and SVE that it lets through, to EL2 with EC 0x07",
    ),
    "el2.registers": ("ARCH", "Arm ARM", "EL2 registers are what MRS and MSR access at EL2"),
    "el2.vhe-names": (
        "ARCH",
        "Arm ARM, FEAT_VHE",
        "at EL2 with VHE, names of EL1 registers mean those of EL2, and _EL12 those of EL1",
    ),
    "el2.eret": (
        "ARCH",
        "Arm ARM, FEAT_VHE",
        "ERET from EL2 goes where ELR_EL2 and SPSR_EL2 say, which VHE names ELR_EL1, SPSR_EL1",
    ),
    "el2.eret-by-name": (
        "ARCH",
        "Arm ARM",
        "ERET from EL2 goes where ELR_EL2 and SPSR_EL2 say: with VHE or without, to EL2, too",
    ),
    "el2.illegal-return": (
        "ARCH",
        "Arm ARM, R_VWJHB; emulate-nested.c",
        "ERET to EL1 while HCR_EL2.TGE is set stays at EL2 and sets PSTATE.IL",
    ),
    "el2.trap-cpacr": (
        "ARCH",
        "Arm ARM, CPTR_EL2",
        "CPTR_EL2.TCPAC traps accesses of EL1 to CPACR_EL1 to EL2",
    ),
    "el2.trap-pauth": (
        "ARCH",
        "Arm ARM, HCR_EL2.API; arm.c, vcpu_set_pauth_traps; handle_exit.c, kvm_handle_ptrauth",
        "while HCR_EL2.API is zero, instructions with keys that are enabled trap from below EL2",
    ),
    "el2.trap-keys": (
        "ARCH",
        "Arm ARM, HCR_EL2.APK; emulate-nested.c, CGT_HCR_APK",
        "while HCR_EL2.APK is zero, accesses to keys trap from EL1 to EL2 with EC 0x18",
    ),
    "el2.eretax": (
        "ARCH",
        "Arm ARM, ERETAA; pauth.c, kvm_auth_eretax",
        "ERETAA and ERETAB from EL2 go where ELR_EL2 says, which its key signed with the current"
        " stack pointer",
    ),
    "el2.eretax-undefined": (
        "ABI",
        "handle_exit.c, kvm_handle_eret",
        "and are UNDEFINED for a vcpu without pointer authentication, keys enabled or not",
    ),
    "el2.zcr-by-zen-alone": (
        "ARCH",
        "Arm ARM, ZCR_EL2; sys_regs.c",
        "at EL2, ZCR_EL2 is accessible where CPTR_EL2 traps FP but not SVE",
    ),
    "el2.zcr-in-memory": (
        "IMPL",
        "Arm ARM, ZCR_EL1, NVMem",
        "from EL2, ZCR_EL1 is in memory: what CPTR_EL2 traps of it may be accessible, too",
    ),
    "el2.hvc": (
        "ARCH",
        "Arm ARM; handle_exit.c",
        "HVC of a vcpu with EL2 goes to its EL2 with EC 0x16, and returns behind itself",
    ),
    "el2.from-el2h": (
        "ARCH",
        "Arm ARM",
        "an exception from EL2h enters at VBAR_EL2 + 0x200, with ELR_EL2 and SPSR_EL2",
    ),
    "el2.from-el2t": (
        "ARCH",
        "Arm ARM",
        "an exception from EL2t enters at VBAR_EL2, with ELR_EL2 and SPSR_EL2",
    ),
    "el2.from-lower": (
        "ARCH",
        "Arm ARM",
        "an exception to EL2 from below enters at VBAR_EL2 + 0x400, with ELR_EL2 and SPSR_EL2",
    ),
}

TABLE: tuple[Rule, ...] = (
    *(Rule(name, *row, since=SINCE) for name, row in _ROWS.items()),
    *table(
        {
            "sysreg.el2-hidden": (
                "ABI",
                "sys_regs.c",
                "other EL2 registers give ENOENT without HAS_EL2, too",
            ),
        }
    ),
    Rule(
        "el2.zcr-masked",
        "IMPL",
        "nested.c",
        "once a VM has run, ZCR_EL2 keeps LEN only",
        since=ZCR_MASKED,
    ),
    Rule(
        "el2.zcr-uncapped",
        "ARCH",
        "sys_regs.c",
        "ZCR_EL2 keeps a LEN above the vcpu maximum as written; before, it was capped",
        since=ZCR_MASKED,
    ),
)
