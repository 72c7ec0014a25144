/* Entering a guest. */
#ifndef VF_RUN_H
#define VF_RUN_H

#include "code.h"
#include "handler.h"

handler op_run;

/* As `vf_look_after`. */
void run_look_after(unsigned ms);

/* How KVM_RUN is made: 0 or an errno. */
struct entry {
    int (*enter)(int fd, void *context);
    void *context;
};

extern const struct entry run_plainly;

#define RUN_WAY_OUT 4 /* instructions that take a vcpu in AArch32 state to its exit */

/* A vcpu about to run: what decides how KVM_RUN is made, and the code to be put back then.
 * `errors`: of the SETs before, as RUN's aux has them. `aside`: another thread than ours makes
 * it, whom no stranger disturbs. */
struct ready {
    bool immediate, not_runnable, aarch32;
    bool watched; /* by another thread */
    bool sleeps;  /* though it does not wait for what will never come */
    bool aside;
    bool nowhere; /* its program is not in RAM */
    struct code_loops loops;
    uint32_t code_offset;
    unsigned limit_ms;
    uint64_t errors;
    uint32_t code[RUN_WAY_OUT];
};

/* A RUN op in its three parts: what comes before KVM_RUN; that, as 0 or an errno, with what is
 * seen of it; and what comes after, with `seen` as it was before for one that was not made. */
struct ready run_prepare(struct machine *m, const struct op *op, bool aside);
int run_enter(const struct vcpu *v, const struct ready *ready, const struct entry *entry,
              struct wire_run *seen);
unsigned run_entries(void); /* how often the calling thread made KVM_RUN to run a guest */
void run_finish(struct machine *m, const struct vcpu *v, const struct ready *ready,
                const struct wire_run *seen);

/* A RUN op but for its data, which becomes `seen`; that must be all zero before. */
struct outcome run_guest(struct machine *m, const struct op *op, const struct entry *entry,
                         struct wire_run *seen);

#endif
