/* When a case is disturbed, as the kernel's own clock has it. */
#ifndef VF_PHASE_H
#define VF_PHASE_H

#include <stdint.h>

/* As `vf_keep_phase`. */
void phase_keep(void);

/* The next moment, in ns of CLOCK_MONOTONIC, that is as far from the kernel's ticks as it was the
 * last time; 0 if that is not kept at all. */
uint64_t phase_next(void);

/* Sleep until a moment, in ns of CLOCK_MONOTONIC. */
void phase_until(uint64_t ns);

/* Wait for the next such moment, if that is kept. */
void phase_wait(void);

/* The CPU on which the calling thread, that may be on all of `set`, a cpu_set_t, is to stay: the
 * one where it is, or the same each time if that is kept. */
int phase_cpu(const void *set);

#endif
