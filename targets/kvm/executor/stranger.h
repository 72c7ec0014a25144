/* Strangers: what goes on beside a vcpu that concerns it in nothing. One of each kind at a time. */
#ifndef VF_STRANGER_H
#define VF_STRANGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define STRANGER_NONE ((size_t)-1) /* it could not be started after all */

struct stranger {
    /* Whether there is such a stranger here. */
    bool (*available)(void);
    /* Get ready, on the CPU `cpu`; bytes of what it has to say in the end, or STRANGER_NONE. */
    size_t (*begin)(int cpu, uint64_t vl);
    /* Strike after so many ns, on what the calling thread then does. */
    void (*arm)(uint64_t ns);
    /* Strike no more, and say how it was; `more` has the room that `begin` asked for. */
    void (*end)(struct wire_disturb *seen, uint8_t *more);
};

extern const struct stranger stranger_softirq, stranger_thread, stranger_signal, stranger_move,
    stranger_step;

/* A thread that starts before others of its CPU do, and gets no signals but its own faults.
 * False if it cannot be had. */
bool stranger_start(void *(*main)(void *), void *argument);

/* Have the calling thread, or the one with this id, run on one CPU only. */
void stranger_pin(int thread, int cpu);

/* A descriptor whose reading waits for `stranger_timer_set`, or -1. */
int stranger_timer(void);
void stranger_timer_set(int fd, uint64_t ns); /* 0: never */

#endif
