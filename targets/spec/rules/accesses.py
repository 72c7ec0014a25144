"""Rules about ONE_REG, ReadAll and the list of registers."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "reg.not-initialised": ("ABI", "arm.c", "ONE_REG before INIT gives ENOEXEC"),
        "reg.upper-half": ("ABI", "guest.c", "an id of another architecture gives EINVAL"),
        "reg.not-modelled": ("IMPL", "-", "an id outside the model: any outcome"),
        "reg.get-fault": ("ABI", "guest.c", "GET into an unmapped buffer gives EFAULT"),
        "reg.set-fault": (
            "ABI",
            "guest.c",
            "SET from an unmapped buffer gives EFAULT and changes nothing",
        ),
        "reg.read-all": (
            "ABI",
            "api.rst 4.69",
            "GET reads back what was set or what the guest left",
        ),
        "reg.failed-get-writes-nothing": (
            "IMPL",
            "guest.c",
            "a GET that fails, but for EFAULT, leaves the buffer alone",
        ),
        "reg.refused-set-changes-nothing": (
            "ABI",
            "api.rst 4.68",
            "a register keeps its value when a SET of it is refused",
        ),
        "core.beyond-kvm-regs": (
            "IMPL",
            "guest.c",
            "a core id beyond struct kvm_regs gives ENOENT",
        ),
        "core.hole": ("IMPL", "guest.c", "a core id inside or between registers gives EINVAL"),
        "core.size": ("ABI", "guest.c", "a core id with a wrong size gives EINVAL"),
        "core.v-on-sve": ("ABI", "api.rst 4.68", "V registers of an SVE vcpu give EINVAL"),
        "core.x": ("ABI", "api.rst 4.68", "X registers read what was written"),
        "core.x-set": ("ABI", "api.rst 4.68", "X registers take any value"),
        "core.v": ("ABI", "api.rst 4.68", "V registers read what was written"),
        "core.v-set": ("ABI", "api.rst 4.68", "V registers take any value"),
        "core.sp": ("ABI", "api.rst 4.68", "SP_EL0 and SP_EL1 read what was written"),
        "core.sp-set": ("ABI", "api.rst 4.68", "SP_EL0 and SP_EL1 take any value"),
        "core.pc": ("ABI", "api.rst 4.68", "PC reads what was written or where the guest stopped"),
        "core.pc-set": ("ABI", "api.rst 4.68", "PC takes any value"),
        "core.elr": (
            "ABI",
            "api.rst 4.68",
            "ELR_EL1 reads what was written or what an exception left",
        ),
        "core.elr-set": ("ABI", "api.rst 4.68", "ELR_EL1 takes any value"),
        "core.spsr": (
            "ABI",
            "api.rst 4.68",
            "the SPSRs read what was written or what an exception left",
        ),
        "core.spsr-set": ("ABI", "api.rst 4.68", "the SPSRs take any value"),
        "core.fpsr": ("ABI", "api.rst 4.68", "FPSR is kept raw until loaded"),
        "core.fpsr-set": ("ABI", "guest.c", "FPSR takes any 32-bit value"),
        "core.fpcr": ("ABI", "api.rst 4.68", "FPCR is kept raw until loaded"),
        "core.fpcr-set": ("ABI", "guest.c", "FPCR takes any 32-bit value"),
        "core.pstate": ("ABI", "api.rst 4.68", "PSTATE reads what was written"),
        "core.pstate-set": ("ABI", "guest.c", "PSTATE takes EL0t, EL1t and EL1h"),
        "core.pstate-el2-refused": (
            "ABI",
            "guest.c",
            "PSTATE with an EL2 mode gives EINVAL without HAS_EL2",
        ),
        "core.pstate-no-mode": (
            "ABI",
            "guest.c",
            "PSTATE with a mode that does not exist, or of EL3, gives EINVAL",
        ),
        "core.pstate-aarch32": (
            "ABI",
            "guest.c",
            "PSTATE takes AArch32 EL1 modes with EL1_32BIT only",
        ),
        "core.pstate-aarch32-user": (
            "IMPL",
            "guest.c",
            "PSTATE takes AArch32 User mode where the CPU has it at EL0",
        ),
        "core.pstate-aarch64-refused": (
            "IMPL",
            "guest.c",
            "PSTATE with an AArch64 EL1 mode gives EINVAL with EL1_32BIT",
        ),
        "core.cut-to-32-bits": (
            "IMPL",
            "guest.c",
            "a core SET in an AArch32 mode cuts X registers and PC to 32 bits",
        ),
        "sve.id-outside-ranges": (
            "IMPL",
            "guest.c",
            "an SVE id outside the Z, P, FFR ranges gives EINVAL",
        ),
        "sve.no-sve": ("ABI", "guest.c", "Z, P and FFR of a vcpu without SVE give ENOENT"),
        "sve.slice": ("ABI", "api.rst 4.68", "slices above the first give ENOENT"),
        "sve.not-finalised": ("ABI", "api.rst 4.119", "Z, P and FFR before FINALIZE give EPERM"),
        "sve.z": ("ABI", "api.rst 4.68", "Z reads up to the vcpu maximum VL"),
        "sve.z-set": ("ABI", "guest.c", "Z takes the bytes up to the vcpu maximum VL"),
        "sve.p": ("ABI", "api.rst 4.68", "P reads an eighth of the vcpu maximum VL"),
        "sve.p-set": ("ABI", "guest.c", "P takes an eighth of the vcpu maximum VL"),
        "sve.ffr": ("ABI", "api.rst 4.68", "FFR reads as a predicate"),
        "sve.ffr-set": ("ABI", "guest.c", "FFR takes any value, even one that is not monotonic"),
        "sve.zeros-above-length": (
            "ABI",
            "guest.c",
            "bytes above the vcpu maximum VL read as zero",
        ),
        "sve.ignores-above-length": (
            "IMPL",
            "guest.c",
            "bytes above the vcpu maximum VL are ignored by SET",
        ),
        "sve.reads-to-length-only": (
            "IMPL",
            "guest.c",
            "SET reads no byte above the vcpu maximum VL: it may be unmapped",
        ),
        "sve.set-fault-partial": (
            "IMPL",
            "guest.c",
            "SET of Z, P or FFR that faults leaves a part of the bytes, then zeros",
        ),
        "sysreg.size": (
            "IMPL",
            "sys_regs.c",
            "a system register id that is not 64-bit gives ENOENT",
        ),
        "sysreg.fault-first": ("IMPL", "sys_regs.c", "SET checks the buffer before the id: EFAULT"),
        "sysreg.zcr-no-sve": ("ABI", "sys_regs.c", "ZCR_EL1 of a vcpu without SVE gives ENOENT"),
        "sysreg.zcr": ("IMPL", "sys_regs.c", "ZCR_EL1 reads raw until loaded, then LEN only"),
        "sysreg.zcr-set": ("IMPL", "sys_regs.c", "ZCR_EL1 takes any value"),
        "sysreg.cpacr": ("ABI", "sys_regs.c", "CPACR_EL1 reads what was written"),
        "sysreg.cpacr-set": ("ABI", "sys_regs.c", "CPACR_EL1 takes any value"),
        "sysreg.value": ("ABI", "api.rst 4.68", "a system register reads what was written"),
        "sysreg.value-set": ("ABI", "api.rst 4.68", "a system register takes any value"),
        "sysreg.smcr-hidden": ("ABI", "sys_regs.c", "SMCR_EL1 gives ENOENT: guests have no SME"),
        "sysreg.fpmr-hidden": (
            "ABI",
            "sys_regs.c",
            "FPMR gives ENOENT where the CPU has none, or its KVM does not give it to guests",
        ),
        "sysreg.svcr-hidden": ("ABI", "sys_regs.c", "SVCR gives ENOENT: guests have no SME"),
        "sysreg.zcr-el2-hidden": ("ABI", "sys_regs.c", "ZCR_EL2 gives ENOENT without HAS_EL2"),
        "reg-list.not-initialised": ("ABI", "arm.c", "GET_REG_LIST before INIT gives ENOEXEC"),
        "reg-list.not-finalised": (
            "ABI",
            "api.rst 4.119",
            "GET_REG_LIST before FINALIZE gives EPERM",
        ),
        "reg-list.too-small": (
            "ABI",
            "api.rst 4.84",
            "a list too short for the ids gives E2BIG and their number",
        ),
        "reg-list.exact": (
            "ABI",
            "api.rst 4.84",
            "a list with room for as many ids as a call without room told succeeds",
        ),
        "reg-list.core-first": (
            "IMPL",
            "guest.c",
            "the list starts with 75 core ids where the vcpu has no SVE",
        ),
        "reg-list.sve-block": (
            "IMPL",
            "guest.c",
            "with SVE it is 43 core ids, none of a V register, then VLS, Z, P, FFR",
        ),
    }
)
