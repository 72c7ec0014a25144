/* HOST_RUN: a run by a thread with vector state of its own. */
#include "host_run.h"

#include <errno.h>
#include <sys/syscall.h>

#include "host_sme.h"
#include "host_state.h"
#include "run.h"

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

struct outcome op_host_run(struct machine *m, const struct op *op, struct sink *out)
{
    static struct host_state state;
    static struct host_sme sme;
    struct host_turn turn;
    const struct entry entry = {.enter = enter, .context = &turn};
    const unsigned svcr = (unsigned)(op->head.b >> SVCR_SHIFT);
    const uint64_t vl = op->head.b & VL_LIMIT;
    struct wire_run run = {0};
    unsigned usual_svl = 0;

    if (!host_has_sve() || (svcr && !host_has_sme()))
        return (struct outcome){.err = EOPNOTSUPP};
    host_state_prepare();
    unsigned usual = host_state_begin(&state, vl, &turn);
    if (svcr) {
        usual_svl = host_sme_begin(&sme, vl);
        turn.sme = host_sme_prepare(&sme, 0, svcr);
    }
    struct outcome outcome = run_guest(m, op, &entry, &run);
    if (svcr) {
        host_sme_note(&sme, 0);
        host_sme_prepare(&sme, 1, svcr);
    }
    host_state_end(&state, &turn, usual);

    sink_put(out, &run, sizeof run);
    sink_put(out, &state.seen, sizeof state.seen);
    sink_put_padded(out, state.after_event, STATE_SIZE(state.seen.vl_before));
    sink_put_padded(out, state.after_signal, STATE_SIZE(state.seen.vl_before));
    if (svcr) {
        host_sme_note(&sme, 1);
        host_sme_end(usual_svl);
        sink_put(out, &sme.begun, sizeof sme.begun);
        sink_put(out, sme.seen, sizeof sme.seen);
    }
    return outcome;
}
