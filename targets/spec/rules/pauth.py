"""Rules about pointer authentication."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

PAUTH_EAGER = (6, 10)

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "pauth.key": (
                "ABI",
                "sys_regs.c, PTRAUTH_KEY; entry.S, ptrauth_switch_to_guest",
                "a key is what was written last, by user space or by the guest",
            ),
            "pauth.key-set": ("ABI", "sys_regs.c, PTRAUTH_KEY", "a key takes any value"),
            "pauth.keys-hidden": (
                "ABI",
                "sys_regs.c, ptrauth_visibility",
                "keys of a vcpu without pointer authentication give ENOENT",
            ),
            "pauth.keys-undefined": (
                "ABI",
                "sys_regs.c, ptrauth_visibility",
                "and are UNDEFINED for its guest",
            ),
            "pauth.in-protected-mode": (
                "ABI",
                "api.rst 4.82; pkvm.c, pkvm_vcpu_reset_hcr",
                "protected mode lets a vcpu with pointer authentication at it as other modes do",
            ),
            "pauth.trapped": (
                "ABI",
                "handle_exit.c, kvm_handle_ptrauth",
                "an instruction whose key is enabled is UNDEFINED on a vcpu without pointer"
                " authentication, even as a hint",
            ),
            "pauth.disabled": (
                "ARCH",
                "Arm ARM, SCTLR_EL1.EnIA and on",
                "while SCTLR_EL1 does not enable a key, instructions with it do nothing",
            ),
            "pauth.hints": (
                "ARCH",
                "Arm ARM, NOP and hints",
                "those in the space of hints do nothing on a CPU without FEAT_PAuth",
            ),
            "pauth.signs": (
                "ARCH",
                "Arm ARM, AddPAC",
                "a pointer that is signed keeps its address, has its bit 63 as bit 55, and a code"
                " in its other upper bits",
            ),
            "pauth.gives-back": (
                "ARCH",
                "Arm ARM, Auth",
                "what was signed is authenticated to the pointer that it was by the same key and"
                " modifier",
            ),
            "pauth.fails": (
                "ARCH",
                "Arm ARM, Auth, AArch64.PACFail",
                "what was not keeps its address and bit 55, or is an exception of class 0x1C",
            ),
            "pauth.strips": (
                "ARCH",
                "Arm ARM, Strip",
                "XPAC puts copies of bit 55 in place of a code",
            ),
            "pauth.generic": (
                "ARCH",
                "Arm ARM, PACGA",
                "PACGA leaves a code in the upper half, and zeros in the lower one",
            ),
            "exception.pauth-trap": (
                "ARCH",
                "Arm ARM, ESR_ELx, EC 0x09",
                "an instruction of pointer authentication that traps gives EC 0x09, and no more",
            ),
            "exception.pauth": (
                "ARCH",
                "Arm ARM, ESR_ELx, ISS of a failed pointer authentication",
                "a failed authentication gives EC 0x1C, with the key in bits 1 and 0",
            ),
        }
    ),
    Rule(
        "pauth.eager",
        "IMPL",
        "switch.h, arm.c",
        "a vcpu has its keys from the beginning, and not from a trap of their first use on",
        since=PAUTH_EAGER,
    ),
)
