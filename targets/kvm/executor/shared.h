/* VMs that serve several cases: one per set of vcpu features, the latest few. */
#ifndef VF_SHARED_H
#define VF_SHARED_H

#include "machine.h"
#include "reuse.h"

#define POOL (8 * MOST_SHARED_SLOTS) /* vcpus: for eight cases at least */

/* It gets all its vcpus at once (protected KVM runs none that was created after the first
 * run), and each serves one case. Ids cannot be freed. */
struct shared {
    int vm;                   /* 0: none; the descriptor is never that low */
    unsigned used;            /* of `pool`, by earlier cases */
    unsigned long last;       /* when it served last, in cases */
    struct features features; /* what its vcpus were initialised with */
    int pool[POOL];
};

/* A VM that served others, or will, and that a case cannot tell from a fresh one; NULL and
 * errno if none can be had. */
struct shared *shared_vm(const struct machine *m, const struct reuse *reuse);

/* A vcpu of it that served no case, for the caller to close, and the id that KVM knows it by. It
 * has as many as `reuse` demanded. */
int shared_take_vcpu(struct shared *vm, unsigned *id);

#endif
