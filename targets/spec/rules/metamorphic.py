"""Rules that compare two observations: migration, and the host thread around a run."""

from __future__ import annotations

from targets.spec.rules.rule import Rule, table

TABLE: tuple[Rule, ...] = table(
    {
        "migrate.saves": ("ABI", "api.rst 4.84, 4.69", "every listed register can be read"),
        "migrate.destination-exists": (
            "ABI",
            "kvm_main.c",
            "a migration to a vcpu that exists gives EEXIST",
        ),
        "migrate.init-refused": (
            "ABI",
            "api.rst 4.82",
            "a migration with other features than the VM's is refused by INIT",
        ),
        "migrate.identity": (
            "ABI",
            "api.rst 4.68, 4.69",
            "core, vector and vector control registers arrive unchanged on a new vcpu",
        ),
        "migrate.other-registers": (
            "IMPL",
            "api.rst 4.68, 4.69",
            "all other listed registers arrive unchanged, too, but timers, which go on counting",
        ),
        "migrate.counters-of-a-protected-vcpu": (
            "IMPL",
            "arch_timer.c, timer_context_init",
            "counters of a protected VM's vcpus take no value, and their SET says so to nobody",
        ),
        "host.no-thread": ("IMPL", "-", "an executor without a host thread says so"),
        "host.prctl": ("IMPL", "sve.rst 5", "PR_SVE_SET_VL rounds down to a length of the host"),
        "host.length-kept": ("ABI", "sve.rst 3", "the thread's vector length survives KVM_RUN"),
        "host.low-quadwords-kept": (
            "ABI",
            "sve.rst 3",
            "bits 127:0 of the thread's Z registers survive KVM_RUN",
        ),
        "host.fp-control-kept": ("ABI", "sve.rst 3", "the thread's FPSR and FPCR survive KVM_RUN"),
        "host.upper-bits-not-the-guests": (
            "IMPL",
            "sve.rst 3, fpsimd.c",
            "bits 128 and up, P and FFR are kept or zero after KVM_RUN",
        ),
        "host.signal-restores-all": (
            "ABI",
            "sve.rst 4",
            "after KVM_RUN a signal handler returns to all of Z, P and FFR",
        ),
        "host.no-sme": ("IMPL", "-", "a host whose threads have no SME says so"),
        "host.sme-prctl": (
            "IMPL",
            "sme.rst 6",
            "PR_SME_SET_VL rounds down to a streaming length of the host",
        ),
        "host.sme-length-kept": (
            "ABI",
            "sme.rst 3",
            "the thread's streaming vector length survives KVM_RUN and a signal",
        ),
        "host.sme-streaming-ends": (
            "ABI",
            "sme.rst 3",
            "KVM_RUN is a system call: it leaves streaming mode, and enters it for nobody",
        ),
        "host.sme-za-kept": (
            "ABI",
            "sme.rst 3",
            "PSTATE.ZA survives KVM_RUN, and with it all of ZA",
        ),
        "host.sme-vectors-not-the-guests": (
            "IMPL",
            "sme.rst 3, sve.rst 3",
            "after KVM_RUN from streaming mode Z, P and FFR are zero or what the thread had",
        ),
        "host.sme-fp-control": (
            "IMPL",
            "Arm ARM B1, PSTATE.SM",
            "FPSR is kept or what a change of the mode leaves, and FPCR is kept, after KVM_RUN from"
            " streaming mode",
        ),
        "host.sme-signal-restores-za": (
            "ABI",
            "sme.rst 5",
            "after KVM_RUN a signal handler returns to PSTATE.ZA and all of ZA",
        ),
        "host.sme-signal-restores-mode": (
            "IMPL",
            "sve.rst 4, signal.c",
            "after KVM_RUN a signal handler returns to streaming mode and its Z and P",
        ),
        "disturb.no-stranger": ("IMPL", "-", "a machine without a kind of stranger says so"),
        "disturb.strikes": (
            "ABI",
            "api.rst 5, sve.rst 3",
            "softirqs, other threads, signals and other CPUs change nothing for a vcpu",
        ),
        "disturb.step": (
            "ABI",
            "api.rst 4.87, handle_exit.c",
            "a run whose instructions user space steps through ends as one that it does not",
        ),
        "disturb.step-shows": (
            "ARCH",
            "Arm ARM D2, debug.c",
            "an exception that a stepped instruction takes may save PSTATE with SS set",
        ),
        "threads.none": ("IMPL", "-", "a machine where ops are done in turn says so"),
        "threads.some-order": (
            "ABI",
            "kvm_main.c, locking.rst",
            "what two threads see of a vcpu is what one would that did the same in some order",
        ),
        "self.set-order": (
            "ABI",
            "design thread of the interface, api.rst 4.68",
            "while a vcpu is not run, the order in which ZCR_EL1, FPCR, FPSR and vector registers"
            " are set changes nothing",
        ),
        "self.reading": (
            "ABI",
            "design thread of the interface, api.rst 4.69",
            "while a vcpu is not run, reading changes nothing",
        ),
        "self.writing-back": (
            "ABI",
            "design thread of the interface, api.rst 4.68, 4.69",
            "while a vcpu is not run, setting a vector or control register to what was read"
            " changes nothing",
        ),
        "self.split-run": (
            "IMPL",
            "api.rst 4.10",
            "a run in two parts leaves what one run leaves, where nothing looks in between",
        ),
        "legs.agree": (
            "IMPL",
            "-",
            "where nothing is predicted, KVM on one emulated machine does the same in any mode",
        ),
    }
)
