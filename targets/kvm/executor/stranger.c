#include "stranger.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/timerfd.h>

#define PRIORITY 50

static pthread_attr_t *urgent(void)
{
    static pthread_attr_t attributes;
    struct sched_param priority = {.sched_priority = PRIORITY};
    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &priority);
    return &attributes;
}

bool stranger_start(void *(*main)(void *), void *argument)
{
    static const int faults[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    pthread_t thread;
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    /* Without the privilege it takes its turn as others do. */
    bool started = pthread_create(&thread, urgent(), main, argument) == 0 ||
                   pthread_create(&thread, NULL, main, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    return started;
}

void stranger_pin(int thread, int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(thread, sizeof one, &one);
}

int stranger_timer(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
}

void stranger_timer_set(int fd, uint64_t ns)
{
    const struct itimerspec once = {
        .it_value = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)},
    };
    timerfd_settime(fd, 0, &once, NULL);
}
