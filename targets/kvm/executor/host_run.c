/* HOST_RUN: a run by a thread with vector state of its own. */
#include "host_run.h"

#include <asm/hwcap.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "host_turn.h"
#include "run.h"

#define MOST_VL 256u
#define STATE_SIZE(vl) (32u * (vl) + 17u * (vl) / 8)

static uint8_t filled[STATE_SIZE(MOST_VL)];

/* The patterns are the wire form's `host_fill`. */
static void fill(unsigned turn, unsigned vl)
{
    uint8_t *at = filled;
    unsigned seed = 0x40 + 0x51 * turn;
    for (unsigned n = 0; n < 32; n++)
        for (unsigned i = 0; i < vl; i++)
            *at++ = (uint8_t)(seed + 7 * n + i);
    for (unsigned n = 0; n < 16; n++)
        for (unsigned i = 0; i < vl / 8; i++)
            *at++ = (uint8_t)(seed + 37 * n + 11 * i);
    memset(at, 0xff, vl / 16);
    memset(at + vl / 16, 0, vl / 16);
}

static int enter(int fd, void *context)
{
    struct host_turn *turn = context;
    turn->system_call = SYS_ioctl;
    turn->arguments[0] = (uint64_t)fd;
    turn->arguments[1] = KVM_RUN;
    turn->arguments[2] = 0;
    vf_host_turn(turn);
    return turn->result < 0 ? (int)-turn->result : 0;
}

/* Leaves other vectors than it found: only the signal frame can bring them back. */
static void step_over(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    (void)info;
    if (interrupted->uc_mcontext.pc != (uintptr_t)vf_host_turn_udf) {
        signal(number, SIG_DFL); /* not ours: die of it */
        return;
    }
    interrupted->uc_mcontext.pc += 4;
    vf_spoil_vectors();
}

static void take_signal(struct host_turn *turn)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO}, before;
    sigaction(SIGILL, &action, &before);
    turn->system_call = 0;
    vf_host_turn(turn);
    sigaction(SIGILL, &before, NULL);
}

static unsigned vector_length(void)
{
    return (unsigned)prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK;
}

struct outcome op_host_run(struct machine *m, const struct op *op, struct sink *out)
{
    static uint8_t after_run[STATE_SIZE(MOST_VL)], after_signal[STATE_SIZE(MOST_VL)];
    struct host_turn turn = {
        .fill = filled,
        .state = after_run,
        .fill_fpsr = HOST_FPSR,
        .fill_fpcr = HOST_FPCR,
    };
    const struct entry entry = {.enter = enter, .context = &turn};
    struct wire_host_run seen = {0};

    if (!(getauxval(AT_HWCAP) & HWCAP_SVE))
        return (struct outcome){.err = EOPNOTSUPP};
    unsigned usual = vector_length();
    if (op->head.b && prctl(PR_SVE_SET_VL, (unsigned long)op->head.b) < 0)
        seen.prctl_err = (uint32_t)errno;
    seen.vl_before = vector_length();
    fill(0, seen.vl_before);
    struct outcome outcome = run_guest(m, op, &entry, &seen.run);
    seen.vl_after = (uint32_t)turn.vl;
    seen.fpsr = (uint32_t)turn.fpsr;
    seen.fpcr = (uint32_t)turn.fpcr;

    fill(1, seen.vl_before);
    turn.state = after_signal;
    take_signal(&turn);
    prctl(PR_SVE_SET_VL, (unsigned long)usual);

    sink_put(out, &seen, sizeof seen);
    sink_put_padded(out, after_run, STATE_SIZE(seen.vl_before));
    sink_put_padded(out, after_signal, STATE_SIZE(seen.vl_before));
    return outcome;
}
