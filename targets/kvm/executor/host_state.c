#include "host_state.h"

#include <asm/hwcap.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <ucontext.h>

bool host_has_sve(void)
{
    return getauxval(AT_HWCAP) & HWCAP_SVE;
}

uint8_t *host_state_fill_vectors(uint8_t *at, unsigned turn, unsigned vl)
{
    unsigned seed = 0x40 + 0x51 * turn;
    for (unsigned n = 0; n < 32; n++)
        for (unsigned i = 0; i < vl; i++)
            *at++ = (uint8_t)(seed + 7 * n + i);
    for (unsigned n = 0; n < 16; n++)
        for (unsigned i = 0; i < vl / 8; i++)
            *at++ = (uint8_t)(seed + 37 * n + 11 * i);
    return at;
}

static void fill(uint8_t *at, unsigned turn, unsigned vl)
{
    at = host_state_fill_vectors(at, turn, vl);
    memset(at, 0xff, vl / 16);
    memset(at + vl / 16, 0, vl / 16);
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

void host_state_prepare(void)
{
    struct sigaction action = {.sa_sigaction = step_over, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
}

static unsigned vector_length(void)
{
    return (unsigned)prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK;
}

unsigned host_state_begin(struct host_state *state, uint64_t vl, struct host_turn *turn)
{
    struct wire_host_thread *seen = &state->seen;
    unsigned usual = vector_length();
    memset(seen, 0, sizeof *seen);
    if (vl && prctl(PR_SVE_SET_VL, (unsigned long)vl) < 0)
        seen->prctl_err = (uint32_t)errno;
    seen->vl_before = vector_length();
    fill(state->filled, 0, seen->vl_before);
    *turn = (struct host_turn){
        .fill = state->filled,
        .state = state->after_event,
        .fill_fpsr = HOST_FPSR,
        .fill_fpcr = HOST_FPCR,
    };
    return usual;
}

void host_state_end(struct host_state *state, struct host_turn *turn, unsigned usual)
{
    struct wire_host_thread *seen = &state->seen;
    seen->vl_after = (uint32_t)turn->vl;
    seen->fpsr = (uint32_t)turn->fpsr;
    seen->fpcr = (uint32_t)turn->fpcr;
    fill(state->filled, 1, seen->vl_before);
    turn->state = state->after_signal;
    turn->system_call = 0;
    vf_host_turn(turn);
    prctl(PR_SVE_SET_VL, (unsigned long)usual);
}
