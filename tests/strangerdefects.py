"""Defects of KVM that one thread alone seldom shows: a few lines each, for Debian's 6.12.

Each was one of KVM's own once, or is what a fix of its own guards against.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.kvm.lab.variants import Edit

SOURCE = "6.12"

_KVM = "arch/arm64/kvm"
_FPSIMD = f"{_KVM}/fpsimd.c"
_ARM = f"{_KVM}/arm.c"
_HYP = f"{_KVM}/hyp/nvhe/hyp-main.c"
_MAIN = "virt/kvm/kvm_main.c"

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


_LOADED = """\tfpsimd_save_and_flush_cpu_state();
\t*host_data_ptr(fp_owner) = FP_STATE_FREE;
"""
_BEFORE_LOAD = "void kvm_arch_vcpu_load_fp(struct kvm_vcpu *vcpu)\n"
_LOST_UPDATE = """\tfpsimd_save_and_flush_cpu_state();
\tif (READ_ONCE(vcpu->scheduled_out) && guest_owns_fp_regs())
\t\tresumed = vcpu;
\telse
\t\t*host_data_ptr(fp_owner) = FP_STATE_FREE;
"""
_FREED = """if (test_thread_flag(TIF_FOREIGN_FPSTATE))
\t\t*host_data_ptr(fp_owner) = FP_STATE_FREE;
"""
_RESTORE = "\tlocal_irq_restore(flags);\n"
_FLUSHED = "\t\tfpsimd_save_and_flush_cpu_state();\n\t}\n\n" + _RESTORE
_BIND_THREAD = """\t\tfpsimd_save_and_flush_cpu_state();
\t} else if (READ_ONCE(vcpu->scheduled_out)) {
\t\tstruct cpu_fp_state own = {
\t\t\t.st = &current->thread.uw.fpsimd_state,
\t\t\t.sve_state = current->thread.sve_state,
\t\t\t.svcr = &current->thread.svcr,
\t\t\t.fpmr = &current->thread.uw.fpmr,
\t\t\t.sve_vl = task_get_sve_vl(current),
\t\t\t.fp_type = &current->thread.fp_type,
\t\t\t.to_save = FP_STATE_FPSIMD,
\t\t};
\t\tfpsimd_bind_state_to_cpu(&own);
\t\tclear_thread_flag(TIF_FOREIGN_FPSTATE);
\t}

"""
_HAS_USED_SVE = """\tif (has_vhe() && current->thread.sve_state) {
\t\tset_thread_flag(TIF_SVE);
\t\tcurrent->thread.fp_type = FP_STATE_SVE;
\t}
"""

_ON_ALL_CPUS = """\tfor_each_online_cpu(cpu)
\t\tper_cpu_ptr_hyp_sym(kvm_host_data, cpu)->fp_owner = {};
"""
_DESCRIBED = "\tstruct cpu_fp_state fp_state;\n"
_OWNS = "\tif (guest_owns_fp_regs()) {\n\t\t/*\n\t\t * Currently we do not"

_SYNC = "\t\tkvm_arch_vcpu_ctxsync_fp(vcpu);\n"
_FLUSH = "\t\tkvm_arch_vcpu_ctxflush_fp(vcpu);\n"
_AFTER_INTERRUPTS = "\t\tguest_timing_exit_irqoff();\n"
_BEFORE_WORK = "\t\tret = xfer_to_guest_mode_handle_work(vcpu);\n"
_PUT_IF = "\tif (guest_owns_fp_regs(){}) {{\n\t\t/*\n\t\t * Flush (save"

_HOST_LENGTH = "\twrite_sysreg_s(sve_vq_from_vl(kvm_host_sve_max_vl) - 1, SYS_ZCR_EL2);\n"
_SAVE_GUEST = "\t__sve_save_state(vcpu_sve_pffr(vcpu), &vcpu->arch.ctxt.fp_regs.fpsr, true);\n"
_RESTORE_HOST = "\t__sve_restore_state(sve_state->sve_regs"

_LOCK = "\tif (mutex_lock_killable(&vcpu->mutex))\n\t\treturn -EINTR;\n\tswitch (ioctl) {\n"
_WITHOUT_LOCK = "\tif (ioctl == {})\n\t\treturn kvm_arch_vcpu_ioctl(filp, ioctl, arg);\n"


@dataclass(frozen=True, slots=True)
class Defect:
    """`mode`: of KVM, in which it shows, with the options of the leg that it takes."""

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
    Defect(
        Edit(
            "thread-bound-when-put",
            "a vcpu that goes with its thread takes the registers for the thread's own",
            _FPSIMD,
            _FLUSHED,
            _BIND_THREAD + _RESTORE,
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "thread-keeps-sve",
            "a thread that once used SVE has its SVE state of then after each run of a vcpu",
            _FPSIMD,
            _RESTORE,
            _HAS_USED_SVE + _RESTORE,
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "owner-lost-on-preemption",
            "whose the registers are when a vcpu's thread comes back is not noted",
            _FPSIMD,
            _LOADED,
            _LOST_UPDATE,
            (
                (_BEFORE_LOAD, "static struct kvm_vcpu *resumed;\n\n" + _BEFORE_LOAD),
                (_FREED, "if (resumed == vcpu)\n\t\tresumed = NULL;\n\telse " + _FREED),
            ),
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "get-takes-no-mutex",
            "a register is read while another thread is at work on the vcpu",
            _MAIN,
            _LOCK,
            _WITHOUT_LOCK.format("KVM_GET_ONE_REG") + _LOCK,
        ),
        "vhe:smp=2",
    ),
    Defect(
        Edit(
            "init-takes-no-mutex",
            "a vcpu is reset while another thread runs it",
            _MAIN,
            _LOCK,
            _WITHOUT_LOCK.format("KVM_ARM_VCPU_INIT") + _LOCK,
        ),
        "vhe:smp=2",
    ),
    Defect(
        Edit(
            "owner-forgotten-on-all-cpus",
            "a vcpu that is loaded makes all CPUs forget whose their registers are",
            _FPSIMD,
            _LOADED,
            "\tint cpu;\n\n" + _LOADED + _ON_ALL_CPUS.format("FP_STATE_FREE"),
        ),
        "vhe:smp=2",
    ),
    Defect(
        Edit(
            "owner-noted-on-all-cpus",
            "the registers of all CPUs are taken for the guest's once they are on one",
            _FPSIMD,
            _OWNS,
            _OWNS.replace("{\n", "{\n" + _ON_ALL_CPUS.format("FP_STATE_GUEST_OWNED"), 1),
            ((_DESCRIBED, _DESCRIBED + "\tint cpu;\n"),),
        ),
        "vhe:smp=2",
    ),
    Defect(
        Edit(
            "guest-bound-after-interrupts",
            "the registers are taken for the guest's after the interrupt that came while it ran",
            _ARM,
            _SYNC + "\n",
            "",
            ((_AFTER_INTERRUPTS, _SYNC + _AFTER_INTERRUPTS),),
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "foreign-looked-at-too-soon",
            "whose the registers are is looked at while a softirq may still come",
            _ARM,
            _FLUSH,
            "",
            ((_BEFORE_WORK, _FLUSH + _BEFORE_WORK),),
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "debugger-leaves-guest-registers",
            "a guest that is debugged leaves its registers to the thread",
            _FPSIMD,
            _PUT_IF.format(""),
            _PUT_IF.format(" && !vcpu->guest_debug"),
        ),
        "vhe",
    ),
    Defect(
        Edit(
            "hypervisor-keeps-guest-length",
            "the hypervisor restores the host's registers at the guest's longest length",
            _HYP,
            _SAVE_GUEST + _HOST_LENGTH,
            _SAVE_GUEST,
            ((_HOST_LENGTH + _RESTORE_HOST, _RESTORE_HOST),),
        ),
        "protected",
    ),
)
"""What a re-entry has to look at; what an exit has to tell the host; then, by the commits that
mended their like: 59419f10045b, fbc7e61195e2, b3eb56b629d1, d52d165d67c5, 35dcb3ac663a. Those
three are about code that 6.12 does not have any more, so what it has in its place goes wrong in
the way they did: registers are bound for a thread whose they are not, SVE stays on for a thread
that should have lost it, and an update of who owns the registers is lost when it is preempted.
The next two are what the vcpu's mutex is for. In the two behind them, two vcpus run at once on two
CPUs, and what is known of each CPU's registers is not kept apart. Last, what an exit does too late
and a re-entry too soon, what a debugger leaves behind, and what the hypervisor of protected mode
owes the host."""
