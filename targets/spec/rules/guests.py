"""Rules about KVM_RUN and what guest code meets."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "run.not-initialised": ("ABI", "arm.c", "KVM_RUN before INIT gives ENOEXEC"),
            "run.not-finalised": ("ABI", "api.rst 4.119", "KVM_RUN before FINALIZE gives EPERM"),
            "run.pmu-not-created": (
                "IMPL",
                "pmu-emul.c",
                "a PMU that was never set up: KVM_RUN gives EINVAL",
            ),
            "run.stopped": ("ABI", "arm.c", "a stopped vcpu does not run"),
            "run.immediate-exit": (
                "ABI",
                "api.rst 5",
                "immediate_exit returns EINTR without running",
            ),
            "run.exit": ("ABI", "api.rst 5", "an access outside RAM exits as KVM_EXIT_MMIO"),
            "run.fails": (
                "IMPL",
                "mmio.c",
                "an abort outside RAM without syndrome fails the run: ENOSYS",
            ),
            "run.mmio-load": (
                "ABI",
                "api.rst 5, KVM_EXIT_MMIO",
                "a load outside RAM gets what user space answers when the run goes on",
            ),
            "run.waits-for-timer": (
                "ABI",
                "api.rst 5, device_irq_level; arch_timer.c",
                "a guest that waits for its timer goes on once that is there, of which user space"
                " is told",
            ),
            "run.timer-trap": (
                "IMPL",
                "sys_regs.c, CNTKCTL_EL1; Arm ARM, CNTFRQ_EL0",
                "from EL0 the frequency of the timer traps to EL1: CNTKCTL_EL1 is 0 at reset",
            ),
            "run.abort-without-syndrome": ("IMPL", "mmio.c", "vector accesses give no syndrome"),
            "run.enter-el1h": ("ARCH", "Arm ARM", "a run from EL1h executes with SP_EL1"),
            "run.enter-el1t": ("ARCH", "Arm ARM", "a run from EL1t executes with SP_EL0"),
            "run.enter-el0t": ("ARCH", "Arm ARM", "a run from EL0t executes unprivileged"),
            "run.load-fp": ("IMPL", "fpsimd.c", "the first FP access loads the guest's FP state"),
            "run.load-fpcr": (
                "ARCH",
                "Arm ARM, FPCR",
                "loaded, FPCR keeps AHP, DN, FZ, RMode, and of the others those that the CPU has",
            ),
            "run.load-fpsr": (
                "ARCH",
                "Arm ARM, FPSR",
                "loaded, FPSR keeps QC, the cumulative bits, and of others those that the CPU has",
            ),
            "run.load-zcr": (
                "ARCH",
                "Arm ARM, ZCR_EL1",
                "loaded, ZCR_EL1 keeps LEN; other bits drop",
            ),
            "run.load-ffr-unknown": (
                "ARCH",
                "Arm ARM, WRFFR",
                "loaded, an FFR that is not monotonic becomes UNKNOWN",
            ),
            "run.idle-keeps-raw": (
                "IMPL",
                "fpsimd.c",
                "a run without FP access leaves every raw value and all of Z, P, FFR",
            ),
            "run.trap-zen": ("ARCH", "Arm ARM", "CPACR_EL1.ZEN traps SVE, before FPEN"),
            "run.trap-fpen": ("ARCH", "Arm ARM", "CPACR_EL1.FPEN traps FP and SVE"),
            "run.zcr-fpen": (
                "ARCH",
                "Arm ARM, ZCR_EL1",
                "while CPACR_EL1 opens SVE but not FP, ZCR_EL1 may be accessed; QEMU traps it",
            ),
            "sync.control-write": (
                "ARCH",
                "Arm ARM, synchronization requirements for System registers",
                "a write of CPACR_EL1 or CPTR_EL2 takes effect at the next context"
                " synchronisation event at the latest, and may before",
            ),
            "sync.event": (
                "ARCH",
                "Arm ARM, context synchronization event",
                "behind an ISB or a call of the hypervisor every write is in effect",
            ),
            "run.sve-undefined": ("ABI", "handle_exit.c", "SVE on a vcpu without SVE is UNDEFINED"),
            "run.undefined-feature": (
                "ARCH",
                "Arm ARM",
                "an instruction the CPU lacks is UNDEFINED",
            ),
            "run.unallocated": (
                "ARCH",
                "Arm ARM, SVE encodings",
                "a word around SVE's groups that no extension allocates is UNDEFINED, whatever"
                " CPACR_EL1 says",
            ),
            "run.no-fpmr": (
                "ARCH",
                "Arm ARM, FPMR; sys_regs.c",
                "without FEAT_FPMR for guests an access to FPMR is UNDEFINED",
            ),
            "exception.data-abort": (
                "ARCH",
                "Arm ARM, ESR_ELx, ISS of a Data Abort",
                "a data abort tells in ESR what it was, and whether by a write",
            ),
            "exception.instruction-abort": (
                "ARCH",
                "Arm ARM, ESR_ELx, ISS of an Instruction Abort",
                "a fetch that faults is an instruction abort, with its address in FAR and ELR",
            ),
            "abort.address-size": (
                "ARCH",
                "Arm ARM, AArch64.S1DisabledOutput",
                "with the MMU off, an access beyond all physical addresses is an address size"
                " fault at level 0",
            ),
            "exception.returns": (
                "ARCH",
                "Arm ARM D1, ERET",
                "a handler that returns leaves the guest as it was, but for what it wrote",
            ),
            "exception.return-address": (
                "ARCH",
                "Arm ARM",
                "an exception saves the return address in ELR_EL1 and PSTATE in SPSR_EL1",
            ),
            "exception.from-el1h": (
                "ARCH",
                "Arm ARM",
                "an exception from EL1h enters at VBAR_EL1 + 0x200",
            ),
            "exception.from-el1t": ("ARCH", "Arm ARM", "an exception from EL1t enters at VBAR_EL1"),
            "exception.from-el0": (
                "ARCH",
                "Arm ARM",
                "an exception from EL0 enters at VBAR_EL1 + 0x400",
            ),
            "exception.undefined": ("ARCH", "Arm ARM", "an UNDEFINED instruction gives EC 0"),
            "exception.fp-trap": ("ARCH", "Arm ARM", "a trapped FP access gives EC 0x07"),
            "exception.sve-trap": ("ARCH", "Arm ARM", "a trapped SVE access gives EC 0x19"),
            "exception.illegal-state": (
                "ARCH",
                "Arm ARM",
                "an instruction while PSTATE.IL is set gives EC 0x0E",
            ),
            "exception.register-trap": (
                "ARCH",
                "Arm ARM",
                "a trapped MRS or MSR gives EC 0x18 with its register, Rt and direction",
            ),
            "exception.no-memory-at-vectors": (
                "ARCH",
                "Arm ARM, guest.c",
                "a vcpu that INIT put where no memory is takes one exception after another",
            ),
            "exception.svc": (
                "ARCH",
                "Arm ARM",
                "SVC gives EC 0x15 with its immediate, and returns behind itself",
            ),
            "exception.brk": ("ARCH", "Arm ARM", "BRK gives EC 0x3C with its immediate"),
            "eret.to-el0": (
                "ARCH",
                "Arm ARM",
                "ERET to EL0t goes on at ELR_EL1, unprivileged, with SP_EL0",
            ),
            "eret.to-el1": (
                "ARCH",
                "Arm ARM",
                "ERET within EL1 goes on at ELR_EL1 with the stack pointer of SPSR_EL1",
            ),
            "eret.undefined-at-el0": (
                "ARCH",
                "Arm ARM",
                "EL1 registers and ERET are UNDEFINED at EL0",
            ),
            "eret.el2-undefined-below": (
                "ARCH",
                "Arm ARM",
                "ELR_EL2 is UNDEFINED below EL2",
            ),
            "ram.read": ("ARCH", "Arm ARM", "guest RAM holds what was last stored"),
            "ram.starts-zero": ("ABI", "mmap(2)", "guest RAM is zero before anything is stored"),
            "ram.write": ("ABI", "api.rst 4.35", "user space can write guest RAM"),
            "ending.ok": (
                "ABI",
                "-",
                "no case crashes, hangs or draws a complaint from the kernel",
            ),
        }
    ),
    Rule(
        "run.late-vcpu-in-protected-mode",
        "IMPL",
        "pkvm.c, hyp/nvhe/pkvm.c",
        "protected mode knows the vcpus that a VM had at its first run; others give EINVAL",
        since=(6, 2),
    ),
    Rule(
        "run.late-init-in-protected-mode",
        "IMPL",
        "pkvm.c, hyp/nvhe/pkvm.c",
        "and a vcpu that has its INIT after that has all the features that it asked for",
        since=(6, 2),
    ),
)
