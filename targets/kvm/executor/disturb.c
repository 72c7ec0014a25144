#include "disturb.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "phase.h"
#include "stranger.h"

static const struct stranger *const strangers[STRANGER_COUNT] = {
    [STRANGER_SOFTIRQ] = &stranger_softirq,
    [STRANGER_THREAD] = &stranger_thread,
    [STRANGER_SIGNAL] = &stranger_signal,
    [STRANGER_MOVE] = &stranger_move,
    [STRANGER_STEP] = &stranger_step,
};

/* A stranger that is around: for how many more ops, and where it will say how it was. */
struct block {
    uint32_t left;
    uint64_t after;
    uint8_t *data;
};

static struct block blocks[STRANGER_COUNT];
static unsigned active;
static cpu_set_t usual; /* CPUs of this thread while no stranger is around */

bool disturb_active(void)
{
    return active;
}

bool disturb_available(uint64_t kind)
{
    return strangers[kind]->available();
}

void disturb_usual_cpus(void *set)
{
    if (active)
        memcpy(set, &usual, sizeof usual);
    else
        sched_getaffinity(0, sizeof usual, set);
}

/* While this thread may still run anywhere. */
static void look_around(void)
{
    static bool looked;
    for (unsigned kind = 0; !looked && kind < STRANGER_COUNT; kind++)
        disturb_available(kind);
    looked = true;
}

/* Unless another one is still around. */
static void unsettle(void)
{
    if (!active)
        sched_setaffinity(0, sizeof usual, &usual);
}

static void finish(unsigned kind)
{
    struct block *block = &blocks[kind];
    struct wire_disturb seen = {0};
    if (!block->left)
        return;
    strangers[kind]->end(&seen, block->data + sizeof seen);
    memcpy(block->data, &seen, sizeof seen);
    block->left = 0;
    active--;
    unsettle();
}

/* All strangers stand where this thread is, which stays there, but for one that moves it. */
static int settle(void)
{
    static int here;
    if (!active) {
        sched_getaffinity(0, sizeof usual, &usual);
        here = phase_cpu(&usual);
        if (CPU_COUNT(&usual) > 1)
            stranger_pin(0, here);
    }
    return here;
}

struct outcome op_disturb(struct machine *m, const struct op *op, struct sink *out)
{
    const unsigned kind = (unsigned)op->head.a;
    struct wire_block wanted;
    (void)m;
    memcpy(&wanted, op->payload, sizeof wanted);
    look_around();
    if (!disturb_available(kind))
        return (struct outcome){.err = EOPNOTSUPP};
    finish(kind); /* the later of two of a kind counts */
    const size_t more = strangers[kind]->begin(settle(), wanted.vl);
    if (more == STRANGER_NONE) {
        unsettle();
        return (struct outcome){.err = EAGAIN};
    }
    const size_t size = sizeof(struct wire_disturb) + more;
    blocks[kind] = (struct block){
        .left = 1 + wanted.span,
        .after = op->head.b ? op->head.b : 1,
        .data = sink_take(out, size),
    };
    active++;
    if (blocks[kind].data) {
        memset(blocks[kind].data, 0, size);
    } else { /* the response is full, and ends before this op */
        static uint8_t nowhere[sizeof(struct wire_disturb) + 0x8000];
        blocks[kind].data = nowhere;
        finish(kind);
    }
    return (struct outcome){0};
}

void disturb_arm(void)
{
    for (unsigned kind = 0; kind < STRANGER_COUNT; kind++)
        if (blocks[kind].left)
            strangers[kind]->arm(blocks[kind].after);
}

void disturb_op_done(void)
{
    for (unsigned kind = 0; kind < STRANGER_COUNT; kind++) {
        if (blocks[kind].left == 1)
            finish(kind);
        else if (blocks[kind].left)
            blocks[kind].left--;
    }
}

void disturb_end(void)
{
    for (unsigned kind = 0; kind < STRANGER_COUNT; kind++)
        finish(kind);
}
