"""Rules about the life of a vcpu: creation, INIT, reset, FINALIZE, lengths, power state."""

from __future__ import annotations

from targets.spec.rules.rule import FIRST, Rule, table

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "vcpu.create": ("ABI", "api.rst 4.7", "KVM_CREATE_VCPU with a new id succeeds"),
            "vcpu.create-twice": ("ABI", "kvm_main.c", "a vcpu id in use gives EEXIST"),
            "vcpu.one-vm": ("IMPL", "-", "a machine where there is no other VM says so"),
            "vcpu.missing": (
                "ABI",
                "ioctl(2)",
                "an ioctl on a descriptor that is not open gives EBADF",
            ),
            "vm.preferred-target": (
                "ABI",
                "api.rst 4.83, arm.c",
                "the preferred target is GENERIC_V8 with no feature set",
            ),
            "init.first": ("ABI", "api.rst 4.82", "INIT resets registers to their initial values"),
            "init.again": (
                "ABI",
                "api.rst 4.82, reset.c",
                "INIT again with the same features resets the vcpu",
            ),
            "init.keeps-length": (
                "ABI",
                "api.rst 4.119, reset.c",
                "INIT again of a finalised vcpu keeps its vector lengths",
            ),
            "init.forgets-length": (
                "IMPL",
                "reset.c",
                "INIT again before FINALIZE puts a written VLS back to the host maximum",
            ),
            "init.forgets-aborts": (
                "ABI",
                "api.rst 4.82; reset.c, of resets by PSCI",
                "INIT again resets what is to come, too: an abort that user space had injected, and"
                " that no entry has taken yet, is gone",
            ),
            "init.stops-timers": (
                "IMPL",
                "arm.c, arch_timer.c",
                "INIT of a vcpu that was refused to run for its PMU stops timers that were started",
            ),
            "init.power-on": (
                "ABI",
                "api.rst 4.82",
                "INIT without POWER_OFF leaves the vcpu RUNNABLE",
            ),
            "init.power-off": (
                "ABI",
                "api.rst 4.82",
                "INIT with POWER_OFF leaves the vcpu STOPPED",
            ),
            "init.e2h0-alone": (
                "IMPL",
                "arm.c",
                "HAS_EL2_E2H0 without HAS_EL2 is accepted or gives EINVAL",
            ),
            "init.target": (
                "ABI",
                "arm.c",
                "a target that is neither generic nor the host's gives EINVAL",
            ),
            "init.unknown-word": (
                "ABI",
                "arm.c",
                "a bit in features[1] to features[6] gives ENOENT",
            ),
            "init.unsupported-feature": ("ABI", "arm.c", "a feature the host lacks gives EINVAL"),
            "init.half-ptrauth": (
                "ABI",
                "api.rst 4.82",
                "one PTRAUTH feature without the other gives EINVAL",
            ),
            "init.vm-wide-width": (
                "ABI",
                "reset.c, kvm_set_vm_width",
                "a vcpu of another register width than the VM's first one gives EINVAL",
            ),
            "init.other-features": (
                "IMPL",
                "arm.c, kvm_vcpu_set_target",
                "vcpus of one VM may have different features, before these became the VM's",
            ),
            "init.has-left-over": (
                "IMPL",
                "arm.c, kvm_vcpu_set_target",
                "what an INIT asked for that failed for an unassigned feature, the next has, too",
            ),
            "init.aarch32-el2": ("IMPL", "arm.c", "EL1_32BIT with HAS_EL2 gives EINVAL"),
            "init.aarch32-sve": ("IMPL", "arm.c", "EL1_32BIT with SVE is accepted or gives EINVAL"),
            "init.features-changed": (
                "ABI",
                "api.rst 4.82",
                "INIT again with other features gives EINVAL",
            ),
            "reset.vectors": (
                "ABI",
                "reset.c",
                "a reset zeroes the vector registers, in full length",
            ),
            "reset.predicates": ("ABI", "reset.c", "a reset zeroes the predicates and FFR"),
            "reset.fp-control": ("ABI", "reset.c", "a reset zeroes FPSR and FPCR"),
            "reset.zcr": (
                "ABI",
                "sys_regs.c",
                "a reset zeroes ZCR_EL1: the guest starts with 128 bits",
            ),
            "reset.cpacr": ("ABI", "sys_regs.c", "a reset zeroes CPACR_EL1: FP and SVE trap"),
            "reset.core": (
                "ABI",
                "api.rst 4.82, reset.c",
                "a reset zeroes X0 to X30, SP, PC and the banked SPSRs",
            ),
            "reset.pstate": (
                "ABI",
                "reset.c",
                "a reset sets PSTATE to EL1h, or to SVC, with DAIF masked",
            ),
            "reset.sysregs": (
                "IMPL",
                "sys_regs.c",
                "a reset gives SCTLR_EL1 and VBAR_EL1 their architectural values",
            ),
            "reset.unreset": (
                "IMPL",
                "reset.c",
                "SP_EL1, ELR_EL1 and SPSR_EL1 are kept or zero after a reset",
            ),
            "finalize.ok": (
                "ABI",
                "api.rst 4.119",
                "FINALIZE(SVE) of an initialised SVE vcpu succeeds",
            ),
            "finalize.not-initialised": ("ABI", "arm.c", "FINALIZE before INIT gives ENOEXEC"),
            "finalize.what": ("IMPL", "reset.c", "FINALIZE of anything but SVE gives EINVAL"),
            "finalize.no-sve": ("IMPL", "reset.c", "FINALIZE of a vcpu without SVE gives EINVAL"),
            "finalize.twice": ("ABI", "api.rst 4.119", "a second FINALIZE gives EPERM"),
            "vls.get": (
                "ABI",
                "api.rst 4.68",
                "VLS reads the host's lengths up to the vcpu maximum",
            ),
            "vls.get-finalised": ("ABI", "api.rst 4.68", "VLS stays readable after FINALIZE"),
            "vls.get-fault": ("ABI", "guest.c", "VLS into an unmapped buffer gives EFAULT"),
            "vls.size": ("IMPL", "guest.c", "VLS with another size code gives EINVAL"),
            "vls.no-sve": ("IMPL", "guest.c", "VLS of a vcpu without SVE gives ENOENT"),
            "vls.set": ("ABI", "api.rst 4.68", "VLS accepts the host's lengths up to one of them"),
            "vls.after-finalize": (
                "ABI",
                "api.rst 4.68",
                "VLS cannot be written after FINALIZE: EPERM",
            ),
            "vls.set-fault": ("ABI", "guest.c", "VLS from an unmapped buffer gives EFAULT"),
            "vls.above-host-maximum": (
                "ABI",
                "guest.c",
                "a length above the host's maximum gives EINVAL",
            ),
            "vls.differs-from-host": (
                "ABI",
                "guest.c",
                "a set that differs from the host's gives EINVAL",
            ),
            "vls.empty": ("ABI", "guest.c", "an empty set of lengths gives EINVAL"),
            "mp.get": (
                "ABI",
                "api.rst 4.38",
                "MP_STATE reads what was set, or what INIT and PSCI left",
            ),
            "mp.get-new": ("IMPL", "arm.c", "MP_STATE of a vcpu before INIT is RUNNABLE"),
            "mp.set-runnable": ("ABI", "api.rst 4.39", "MP_STATE takes RUNNABLE"),
            "mp.set-stopped": ("ABI", "api.rst 4.39", "MP_STATE takes STOPPED"),
            "mp.set-suspended": ("ABI", "api.rst 4.39", "MP_STATE takes SUSPENDED"),
            "mp.unknown-state": ("ABI", "arm.c", "any other MP_STATE gives EINVAL"),
            "events.get": (
                "ABI",
                "api.rst 4.31",
                "events are an SError that pends, and nothing else",
            ),
            "events.not-initialised": (
                "IMPL",
                "arm.c",
                "events before INIT: ENOEXEC, or taken",
            ),
            "events.reserved": ("IMPL", "arm.c", "a reserved byte that is not zero gives EINVAL"),
            "events.wide-syndrome": (
                "ABI",
                "api.rst 4.32, guest.c",
                "a syndrome of more than the 25 bits of an ISS gives EINVAL",
            ),
            "events.nothing": ("ABI", "api.rst 4.32", "setting no event changes nothing"),
            "events.not-taken-back": (
                "IMPL",
                "guest.c",
                "setting no event leaves an SError that pends",
            ),
            "events.left-by-init": (
                "IMPL",
                "kvm_emulate.h, vcpu_reset_hcr",
                "INIT of a vcpu that has run drops an SError that pends or leaves it",
            ),
            "events.abort-before-init": (
                "IMPL",
                "kvm_emulate.h, vcpu_el1_is_32bit",
                "an abort asks how wide EL1 is of a VM in which no INIT has said so; 6.1 warns",
            ),
            "events.abort-pends": (
                "IMPL",
                "guest.c, inject_fault.c",
                "an abort that user space injects is told in ESR_EL1 and FAR_EL1, and taken by the"
                " next run",
            ),
            "events.abort-taken": (
                "IMPL",
                "guest.c, commit_pending_events",
                "an abort that user space injects is taken at once",
            ),
            "events.abort-by-last-exit": (
                "IMPL",
                "inject_fault.c, inject_abt64",
                "an abort that user space injects is of a walk of tables where the syndrome of the"
                " last exit says so, whatever that exit was",
            ),
            "events.taken-before-first-run": (
                "IMPL",
                "guest.c, commit_pending_events",
                "a vcpu that never ran takes an exception that user space injects, too",
            ),
            "events.goes-to-el2": (
                "IMPL",
                "inject_fault.c, nested.c",
                "an SError or an abort that user space injects goes to EL2 as HCR_EL2 says",
            ),
            "events.serror": (
                "ABI",
                "api.rst 4.32",
                "an SError can be made to pend, and does as long as it is masked",
            ),
            "events.syndrome": (
                "ABI",
                "api.rst 4.32",
                "an SError has the syndrome it was given, or the host has no RAS and gives EINVAL",
            ),
        }
    ),
    Rule(
        "init.vm-wide-features",
        "ABI",
        "api.rst 4.82, arm.c",
        "a vcpu with other features than the VM's first one gives EINVAL",
        since=(6, 5),
    ),
    Rule(
        "init.failed-changes-nothing",
        "ABI",
        "arm.c",
        "an INIT refused for an unassigned feature leaves no feature behind; 6.1 keeps some",
        since=(6, 5),
    ),
    Rule(
        "init.power-off-per-call",
        "ABI",
        "api.rst 4.82, arm.c",
        "POWER_OFF may differ from one INIT of a vcpu to the next; before, EINVAL",
        since=(6, 5),
    ),
    Rule(
        "init.unknown-before-changed",
        "IMPL",
        "arm.c",
        "INIT again looks for unassigned features first, then for changed ones",
        since=(6, 5),
    ),
    Rule(
        "init.unknown-feature",
        "ABI",
        "arm.c",
        "an unassigned feature bit gives ENOENT; the values are the assigned bits",
        values=((FIRST, 0x7F), ((6, 16), 0x1FF), ((7, 3), 0x3FF)),
    ),
    Rule(
        "init.strict-alone",
        "ABI",
        "arm.c",
        "PMU_V3_STRICT without PMU_V3 gives EINVAL",
        since=(7, 3),
    ),
)
