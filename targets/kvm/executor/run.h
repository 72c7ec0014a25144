/* Entering a guest. */
#ifndef VF_RUN_H
#define VF_RUN_H

#include "handler.h"

handler op_run;

/* As `vf_look_after`. */
void run_look_after(unsigned ms);

/* How KVM_RUN is made: 0 or an errno. */
struct entry {
    int (*enter)(int fd, void *context);
    void *context;
};

/* A RUN op but for its data, which becomes `seen`; that must be all zero before. */
struct outcome run_guest(struct machine *m, const struct op *op, const struct entry *entry,
                         struct wire_run *seen);

#endif
