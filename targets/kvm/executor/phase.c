#include "phase.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

/* Ticks of 100, 250 and 1000 Hz fall on multiples of this. */
#define PERIOD_NS 20000000ull
/* Behind a tick, so that what it began is over. */
#define BEHIND_NS 1000000ull

/* What the case before left to do is done after this: grace periods of RCU, for one. */
#define SETTLE_NS 200000000ull

static bool kept;

void phase_keep(void)
{
    kept = true;
    prctl(PR_SET_TIMERSLACK, 1); /* else a sleeper wakes when it suits others, too */
}

int phase_cpu(const void *set)
{
    int cpu = sched_getcpu();
    for (int each = 0; kept && each < CPU_SETSIZE; each++)
        if (CPU_ISSET(each, (const cpu_set_t *)set))
            cpu = each;
    return cpu;
}

uint64_t phase_next(void)
{
    struct timespec now;
    if (!kept)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return ((ns + SETTLE_NS) / PERIOD_NS + 1) * PERIOD_NS + BEHIND_NS;
}

void phase_until(uint64_t ns)
{
    const struct timespec then = {
        .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
        ;
}

void phase_wait(void)
{
    const uint64_t at = phase_next();
    if (at)
        phase_until(at);
}
