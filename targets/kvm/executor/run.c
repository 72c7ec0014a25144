/* RUN: enter the guest, never for longer than the limit. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>

#include "disturb.h"
#include "limit.h"
#include "nested.h"
#include "phase.h"
#include "protected.h"
#include "run.h"
#include "stranger_signal.h"
#include "stranger_step.h"
#include "vm.h"

/* A run of a vcpu in AArch32 state that does not take its way out soon does not end. */
#define BRIEF_MS 50

/* When a run is looked at that another thread watches. To it that is a run in two parts. Where it
 * is lost from the beginning, there is nothing to wait for. */
#define WATCHED_MS 500
#define LOST_MS 20

/* After this long a run is looked at: one that sleeps waits for what will never come. Where
 * others want the CPU, too, sleep says little: then that is when the time is up. */
static unsigned look_ms = RUN_LIMIT_MS;

void run_look_after(unsigned ms)
{
    look_ms = ms;
}

#define PSTATE_AARCH32 0x10u

#define CORE_REG(member)                                                                          \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define VBAR_EL1 ARM64_SYS_REG(3, 0, 12, 0, 0)
#define VBAR_EL2 ARM64_SYS_REG(3, 4, 12, 0, 0)

static __thread unsigned entries;

unsigned run_entries(void)
{
    return entries;
}

static void complete_mmio(const struct vcpu *v)
{
    v->run->immediate_exit = 1;
    ioctl(v->fd, KVM_RUN, 0);
    v->run->immediate_exit = 0;
}

/* What the calling thread has used so far. */
struct usage {
    struct timespec wall, cpu;
    long sleeps;
};

static struct usage usage_now(void)
{
    struct usage now;
    struct rusage switches;
    clock_gettime(CLOCK_MONOTONIC, &now.wall);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now.cpu);
    getrusage(RUSAGE_THREAD, &switches);
    now.sleeps = switches.ru_nvcsw;
    return now;
}

static int64_t passed_ns(const struct timespec *from, const struct timespec *to)
{
    return (to->tv_sec - from->tv_sec) * 1000000000ll + to->tv_nsec - from->tv_nsec;
}

/* Whether the vcpu was halted rather than busy: its thread slept, and for most of the time. */
static bool slept(const struct usage *since)
{
    const struct usage now = usage_now();
    return now.sleeps > since->sleeps &&
           2 * passed_ns(&since->cpu, &now.cpu) < passed_ns(&since->wall, &now.wall);
}

/* Whether a guest is where no memory is: an INIT beside its run put it there. */
static bool lost(int fd)
{
    uint64_t pc = RAM_BASE;
    return get_reg(fd, CORE_REG(regs.pc), &pc) == 0 && pc - RAM_BASE >= RAM_SIZE;
}

/* `entry`, for at most `ms`, again where a stranger ended it. A step that was made begins the
 * time, and `since`, anew: what a guest does next may be to wait. */
static int enter_disturbed(const struct vcpu *v, const struct ready *ready,
                           const struct entry *entry, unsigned ms, struct usage *since)
{
    for (;;) {
        const uint64_t lines = v->run->s.regs.device_irq_level;
        entries++;
        int err = entry->enter(v->fd, entry->context);
        if (err == EINTR && v->run->s.regs.device_irq_level != lines) {
            vm_set_irq(v, v->run->s.regs.device_irq_level);
            if (!limit_struck() && !ready->immediate)
                continue; /* it told us of a timer's */
        }
        if (ready->aside)
            return err;
        if (err == 0 && stranger_stepped(v)) {
            limit_start(v->run, ms);
            v->run->immediate_exit = 0;
            *since = usage_now();
        } else if (err != EINTR || limit_struck() || ready->immediate ||
                   !stranger_signalled()) {
            return err;
        }
    }
}

/* `entry`, until the guest exits, has waited or spent its time. A run that is only looked at
 * goes on as if nothing had happened. */
static int enter_limited(const struct vcpu *v, const struct ready *ready,
                         const struct entry *entry)
{
    const bool armed = disturb_active() && !ready->aside;
    if (armed && !ready->watched)
        phase_wait();
    struct usage before = usage_now();
    const bool immediate = ready->immediate;
    const unsigned limit_ms = ready->limit_ms;
    const unsigned early_ms = ready->sleeps ? limit_ms : look_ms;
    const unsigned at_ms = ready->watched && !ready->sleeps ? WATCHED_MS : early_ms;
    const unsigned long_ms = limit_ms < at_ms ? limit_ms : at_ms;
    const unsigned first_ms = ready->watched && lost(v->fd) ? LOST_MS : long_ms;
    limit_start(v->run, first_ms);
    if (immediate)
        v->run->immediate_exit = 1;
    if (armed)
        disturb_arm();
    int err = enter_disturbed(v, ready, entry, first_ms, &before);
    limit_stop();
    v->run->immediate_exit = 0;
    const bool looked = err == EINTR && limit_struck() && !immediate && first_ms < limit_ms;
    if (looked && !slept(&before) && !(ready->watched && lost(v->fd))) {
        limit_start(v->run, limit_ms - first_ms);
        err = enter_disturbed(v, ready, entry, limit_ms - first_ms, &before);
        limit_stop();
        v->run->immediate_exit = 0;
    }
    return err;
}

static bool runnable(int fd)
{
    struct kvm_mp_state state;
    return call(fd, KVM_GET_MP_STATE, &state) != 0 || state.mp_state == KVM_MP_STATE_RUNNABLE;
}

int run_enter(const struct vcpu *v, const struct ready *ready, const struct entry *entry,
              struct wire_run *seen)
{
    struct kvm_run *run = v->run;
    if (ready->nowhere)
        return ENOSPC;
    if (ready->not_runnable)
        seen->flags |= RUN_NOT_RUNNABLE;
    if (!run)
        return entry->enter(v->fd, entry->context);
    run->exit_reason = 0;
    if (!ready->aside)
        stranger_step_begin(v);
    int err = enter_limited(v, ready, entry);
    if (!ready->aside)
        stranger_step_end(v);
    if (err == EINTR && limit_struck() && !ready->immediate)
        seen->flags |= RUN_TIMED_OUT;
    if (err)
        return err;
    seen->reason = run->exit_reason;
    if (run->exit_reason == KVM_EXIT_MMIO) {
        seen->is_write = run->mmio.is_write;
        seen->address = run->mmio.phys_addr;
        seen->length = run->mmio.len;
        if (run->mmio.is_write)
            memcpy(&seen->value, run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8);
        else
            memset(run->mmio.data, 0, sizeof run->mmio.data); /* devices read as zero */
    } else if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
        seen->is_write = run->system_event.type;
        seen->address = run->system_event.data[0];
    } else if (run->exit_reason == KVM_EXIT_ARM_NISV) {
        seen->is_write = (uint32_t)run->arm_nisv.esr_iss;
        seen->address = run->arm_nisv.fault_ipa;
    }
    return 0;
}

/* What a vcpu in AArch32 state would make of A64 code mostly runs for ever. It gets its way
 * out instead: a store to MMIO_BASE. */
static const uint32_t a32_exit[RUN_WAY_OUT] = {
    0xe3001000, /* movw r1, #0 */
    0xe3451000, /* movt r1, #0x5000 */
    0xe5810000, /* str r0, [r1] */
    0xeafffffe, /* b . */
};

static bool in_aarch32(int fd)
{
    uint64_t pstate = 0;
    return get_reg(fd, CORE_REG(regs.pstate), &pstate) == 0 && pstate & PSTATE_AARCH32;
}

struct ready run_prepare(struct machine *m, const struct op *op, bool aside)
{
    const struct vcpu *v = &m->vcpus[op->head.vcpu];
    struct ready ready = {.immediate = op->head.a & RUN_IMMEDIATE, .aside = aside};
    ready.code_offset = aside ? ASIDE_CODE_OFFSET : CODE_OFFSET;
    if (m->programs)
        ready.nowhere = !protected_prepare(m, op, &ready.code_offset);
    else
        ram_write(m, ready.code_offset, op->payload, op->head.size);
    const uint64_t pc = RAM_BASE + ready.code_offset, vectors = VECTOR_BASE;

    ready.errors = (uint64_t)set_reg(v->fd, CORE_REG(regs.pc), &pc);
    ready.errors |= (uint64_t)set_reg(v->fd, VBAR_EL1, &vectors) << 32;
    if (m->el2) {
        set_reg(v->fd, VBAR_EL2, &vectors);
        nested_prepare(m);
    }
    ready.not_runnable = !runnable(v->fd);
    ready.immediate |= ready.not_runnable;
    ready.aarch32 = !m->programs && in_aarch32(v->fd);
    if (ready.aarch32) {
        memcpy(ready.code, m->ram + ready.code_offset, sizeof ready.code);
        ram_write(m, ready.code_offset, a32_exit, sizeof a32_exit);
    }
    ready.loops = code_loops(op->payload, op->head.size);
    /* With its first guest KVM takes its interrupt controller on the bus, and waits for readers of
     * that. */
    ready.sleeps = ready.loops.waits || m->gic_new;
    ready.limit_ms = ready.aarch32 ? BRIEF_MS : ready.loops.any ? LOOP_LIMIT_MS : RUN_LIMIT_MS;
    return ready;
}

void run_finish(struct machine *m, const struct vcpu *v, const struct ready *ready,
                const struct wire_run *seen)
{
    if (seen->reason == KVM_EXIT_MMIO)
        complete_mmio(v);
    if (seen->reason)
        m->gic_new = false;
    if (ready->aarch32)
        ram_write(m, ready->code_offset, ready->code, sizeof ready->code);
}

struct outcome run_guest(struct machine *m, const struct op *op, const struct entry *entry,
                         struct wire_run *seen)
{
    const struct vcpu *v = &m->vcpus[op->head.vcpu];
    const struct ready ready = run_prepare(m, op, false);
    const int err = run_enter(v, &ready, entry, seen);
    run_finish(m, v, &ready, seen);
    return (struct outcome){.err = (uint32_t)err, .aux = ready.errors};
}

static int plainly(int fd, void *context)
{
    (void)context;
    return call(fd, KVM_RUN, NULL);
}

const struct entry run_plainly = {.enter = plainly};

struct outcome op_run(struct machine *m, const struct op *op, struct sink *out)
{
    struct wire_run seen = {0};
    struct outcome outcome = run_guest(m, op, &run_plainly, &seen);
    sink_put(out, &seen, sizeof seen);
    return outcome;
}
