/* When a case is disturbed, as the kernel's own clock has it. */
#ifndef VF_PHASE_H
#define VF_PHASE_H

/* As `vf_keep_phase`. */
void phase_keep(void);

/* Wait for the moment that is as far from the kernel's ticks as it was the last time, if that
 * is kept at all. */
void phase_wait(void);

/* The CPU on which the calling thread, that may be on all of `set`, a cpu_set_t, is to stay: the
 * one where it is, or the same each time if that is kept. */
int phase_cpu(const void *set);

#endif
