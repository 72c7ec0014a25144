/* THREADS: two lists of ops at once. */
#ifndef VF_THREADS_H
#define VF_THREADS_H

#include "handler.h"

/* Do the lists of `op`, which are at `*at`, and append its observation and those of all ops in
 * them; `*done` is how many that are. False if they did not fit. */
bool threads_observe(struct machine *m, const struct op *op, const uint8_t **at,
                     const uint8_t *end, struct sink *out, uint32_t *done);

#endif
