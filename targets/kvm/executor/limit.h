/* The time that a run may take: one run at a time of each thread. */
#ifndef VF_LIMIT_H
#define VF_LIMIT_H

#include <linux/kvm.h>
#include <stdbool.h>

/* From now on the calling thread's KVM_RUN of `run` has so many ms. */
void limit_start(struct kvm_run *run, unsigned ms);
void limit_stop(void);

/* Whether the time was up since it was started last. */
bool limit_struck(void);

/* Have another thread than the first one, whose runs SIGALRM limits, end its own by a signal that
 * comes to it alone; false if that cannot be had. */
bool limit_of_thread(void);

#endif
