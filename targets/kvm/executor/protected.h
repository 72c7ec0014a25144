/* Protected VMs: what a guest has reached of their RAM is the guest's, and to touch it here ends
 * this process. So all of their programs are in RAM before the first of them runs. */
#ifndef VF_PROTECTED_H
#define VF_PROTECTED_H

#include "handler.h"

handler op_create_vm;

/* Before a run in a protected VM: whether its program is in RAM, and where. From then on RAM is
 * not ours. */
bool protected_prepare(struct machine *m, const struct op *op, uint32_t *offset);

#endif
