#include "limit.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define AGAIN_MS 50

/* What of it is a thread's own; with `timer`, its signals come from there. */
static __thread struct {
    struct kvm_run *volatile running;
    volatile sig_atomic_t struck;
    bool has_timer;
    timer_t timer;
} mine;

/* The signal itself ends a KVM_RUN in progress; immediate_exit ends one about to start. */
static void strike(int signal)
{
    (void)signal;
    struct kvm_run *run = mine.running;
    if (!run)
        return;
    mine.struck = 1;
    run->immediate_exit = 1;
}

static bool strike_on(int signal)
{
    struct sigaction action = {.sa_handler = strike}; /* no SA_RESTART */
    return sigaction(signal, &action, NULL) == 0;
}

bool limit_of_thread(void)
{
    const int number = SIGRTMIN + 1;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
    sigset_t one;
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    sigemptyset(&one);
    sigaddset(&one, number);
    mine.has_timer = strike_on(number) && pthread_sigmask(SIG_UNBLOCK, &one, NULL) == 0 &&
                     timer_create(CLOCK_MONOTONIC, &event, &mine.timer) == 0;
    return mine.has_timer;
}

/* After `ms`, and again and again; 0: never. */
static void set(unsigned ms)
{
    const unsigned again = ms ? AGAIN_MS : 0;
    if (mine.has_timer) {
        const struct itimerspec limit = {
            .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l},
            .it_interval = {.tv_nsec = again * 1000000l},
        };
        timer_settime(mine.timer, 0, &limit, NULL);
    } else {
        const struct itimerval limit = {
            .it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000},
            .it_interval = {.tv_usec = again * 1000},
        };
        setitimer(ITIMER_REAL, &limit, NULL);
    }
}

void limit_start(struct kvm_run *run, unsigned ms)
{
    static bool installed;
    if (!mine.has_timer && !installed)
        installed = strike_on(SIGALRM);
    mine.struck = 0;
    mine.running = run;
    set(ms);
}

void limit_stop(void)
{
    set(0);
    mine.running = NULL;
}

bool limit_struck(void)
{
    return mine.struck;
}
