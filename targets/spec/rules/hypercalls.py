"""Rules about HVC: SMCCC and PSCI as KVM answers them."""

from __future__ import annotations

from targets.spec.rules.rule import FIRST, Rule, table

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "smccc.version": ("ABI", "hypercalls.c", "SMCCC_VERSION is 1.1"),
            "smccc.not-supported": (
                "ABI",
                "hypercalls.c",
                "an unallocated function gives NOT_SUPPORTED, and zero in X1 to X3",
            ),
            "smccc.answers": (
                "ABI",
                "hypercalls.c, psci.c",
                "a call that some kernel knows changes no register but X0 to X3",
            ),
            "smccc.denied": (
                "ABI",
                "vm.rst 5, hypercalls.c",
                "a call that user space denies gives NOT_SUPPORTED, and zero in X1 to X3",
            ),
            "psci.suspend": (
                "ABI",
                "psci.c",
                "CPU_SUSPEND waits for an interrupt and keeps all registers",
            ),
            "psci.cpu-off": ("ABI", "psci.c", "CPU_OFF stops the vcpu"),
            "psci.waits": (
                "ABI",
                "api.rst 4.10",
                "a signal ends the KVM_RUN of a waiting vcpu: EINTR",
            ),
            "psci.cpu-on": (
                "ABI",
                "psci.c",
                "CPU_ON of a stopped vcpu succeeds and makes it RUNNABLE",
            ),
            "psci.cpu-on-running": (
                "ABI",
                "psci.c",
                "CPU_ON of a running vcpu gives ALREADY_ON (PSCI 0.1: INVALID_PARAMETERS)",
            ),
            "psci.cpu-on-unknown": (
                "ABI",
                "psci.c",
                "CPU_ON of an affinity that no vcpu has gives INVALID_PARAMETERS",
            ),
            "psci.reset-before-access": (
                "IMPL",
                "arm.c",
                "the reset that CPU_ON asks for happens before the next access or run",
            ),
            "psci.entry": (
                "ABI",
                "reset.c",
                "a vcpu turned on starts at the entry point with the context in X0",
            ),
            "psci.affinity-on": (
                "ABI",
                "psci.c",
                "AFFINITY_INFO is ON if a vcpu of that affinity is not stopped",
            ),
            "psci.affinity-off": (
                "ABI",
                "psci.c",
                "AFFINITY_INFO is OFF if all vcpus of that affinity are stopped",
            ),
            "psci.affinity-unknown": (
                "ABI",
                "psci.c",
                "AFFINITY_INFO of no vcpu, or of a level above 3, gives INVALID_PARAMETERS",
            ),
            "psci.migrate-info": ("ABI", "psci.c", "MIGRATE_INFO_TYPE is 2: nothing to migrate"),
            "psci.system-off": (
                "ABI",
                "psci.c",
                "SYSTEM_OFF stops every vcpu and exits as KVM_SYSTEM_EVENT_SHUTDOWN",
            ),
            "psci.system-reset": (
                "ABI",
                "psci.c",
                "SYSTEM_RESET stops every vcpu and exits as KVM_SYSTEM_EVENT_RESET",
            ),
            "psci.reset2": (
                "ABI",
                "psci.c",
                "SYSTEM_RESET2 does so with flag PSCI_RESET2 and keeps X1 to X3",
            ),
            "psci.reset2-unknown": (
                "ABI",
                "psci.c",
                "SYSTEM_RESET2 of a reserved kind gives INVALID_PARAMETERS",
            ),
            "psci.features": ("ABI", "psci.c", "PSCI_FEATURES of a function that KVM has gives 0"),
            "psci.features-unknown": (
                "ABI",
                "psci.c",
                "PSCI_FEATURES of another gives NOT_SUPPORTED",
            ),
            "psci.features-perhaps": (
                "ABI",
                "psci.c",
                "PSCI_FEATURES of one that some kernel has changes no register but X0 to X3",
            ),
        }
    ),
    Rule(
        "psci.version",
        "ABI",
        "psci.c, kvm_psci.h",
        "PSCI_VERSION of a vcpu with PSCI_0_2 is the newest that the kernel has",
        values=((FIRST, 0x1_0001), ((6, 13), 0x1_0003)),
    ),
)
