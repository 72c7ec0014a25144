/* A thread on the same CPU with vector state of its own, that runs before the vcpu may. */
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host_state.h"
#include "stranger.h"

static sem_t go, parked, done;
static int timer = -1;
static int place; /* the CPU to be on */
static uint64_t wanted_vl;
static struct host_state state;

static void *live(void *unused)
{
    struct host_turn turn;
    uint64_t expired;
    int here = -1;
    (void)unused;
    for (;;) {
        sem_wait(&go);
        if (here != place)
            stranger_pin(0, here = place);
        unsigned usual = host_state_begin(&state, wanted_vl, &turn);
        turn.system_call = SYS_read;
        turn.arguments[0] = (uint64_t)timer;
        turn.arguments[1] = (uintptr_t)&expired;
        turn.arguments[2] = sizeof expired;
        sem_post(&parked);
        vf_host_turn(&turn);
        host_state_end(&state, &turn, usual);
        sem_post(&done);
    }
    return NULL;
}

static bool available(void)
{
    return host_has_sve();
}

/* Only once it is wanted: with a second thread every system call on a descriptor is dearer. */
static bool start(void)
{
    static bool started;
    if (!started) {
        sem_init(&go, 0, 0);
        sem_init(&parked, 0, 0);
        sem_init(&done, 0, 0);
        host_state_prepare();
        timer = stranger_timer();
        started = timer >= 0 && stranger_start(live, NULL);
    }
    return started;
}

static size_t begin(int cpu, uint64_t vl)
{
    if (!start())
        return STRANGER_NONE;
    place = cpu;
    wanted_vl = vl;
    sem_post(&go);
    sem_wait(&parked);
    const size_t size = wire_padded(STATE_SIZE(state.seen.vl_before));
    return sizeof state.seen + 2 * size;
}

static void arm(uint64_t ns)
{
    stranger_timer_set(timer, ns);
}

static void put(uint8_t **to, const void *from, size_t size)
{
    memcpy(*to, from, size);
    *to += wire_padded(size);
}

static void end(struct wire_disturb *seen, uint8_t *more)
{
    seen->fired = sem_trywait(&done) == 0;
    if (!seen->fired) {
        seen->missed = 1;
        arm(1);
        sem_wait(&done);
    }
    arm(0);
    const size_t size = STATE_SIZE(state.seen.vl_before);
    put(&more, &state.seen, sizeof state.seen);
    put(&more, state.after_event, size);
    put(&more, state.after_signal, size);
}

const struct stranger stranger_thread = {available, begin, arm, end};
