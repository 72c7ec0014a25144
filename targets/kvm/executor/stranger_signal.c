/* A signal to the thread that runs the vcpu. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stranger_signal.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t arrived;
static sig_atomic_t seen_so_far, before;

static void note(int number)
{
    (void)number;
    arrived++;
}

static timer_t *timer(void)
{
    static timer_t timer;
    static bool ready;
    if (!ready) {
        /* KVM_RUN ends all the same; what else it meets is begun again. */
        struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
        struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
        event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
        ready = sigaction(SIGRTMIN, &action, NULL) == 0 &&
                timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
    }
    return ready ? &timer : NULL;
}

bool stranger_signalled(void)
{
    bool any = arrived != seen_so_far;
    seen_so_far = arrived;
    return any;
}

static bool available(void)
{
    return timer() != NULL;
}

static size_t begin(int cpu, uint64_t vl)
{
    (void)cpu;
    (void)vl;
    before = seen_so_far = arrived;
    return 0;
}

static void arm(uint64_t ns)
{
    const struct itimerspec once = {
        .it_value = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)},
    };
    timer_settime(*timer(), 0, &once, NULL);
}

static void end(struct wire_disturb *seen, uint8_t *more)
{
    (void)more;
    arm(0);
    seen->fired = (uint32_t)(arrived - before);
}

const struct stranger stranger_signal = {available, begin, arm, end};
