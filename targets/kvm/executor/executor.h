/* Runs one wire request against /dev/kvm. */
#ifndef VF_EXECUTOR_H
#define VF_EXECUTOR_H

#include <stddef.h>
#include <stdint.h>

/* Execute the request `req` and write its response; returns the response's length,
 * 0 if `resp_cap` cannot hold even a response header. `req` must be 8-byte aligned.
 * Not re-entrant: one thread of the process at a time. Uses SIGALRM and ITIMER_REAL. */
size_t vf_execute(const uint8_t *req, size_t req_len, uint8_t *resp, size_t resp_cap);

/* Look after so many ms whether a run only waits, instead of waiting for its whole time: for
 * a machine on which nothing else wants a CPU. */
void vf_look_after(unsigned ms);

/* Begin what is disturbed, and what two threads do, always as far from the kernel's ticks, so that
 * delays do again what they did: for a machine whose clock goes by instructions. */
void vf_keep_phase(void);

/* Count the ops executed in `*counter` (NULL: nowhere), so that a watcher sees progress. */
void vf_count_progress(volatile uint32_t *counter);

#endif
