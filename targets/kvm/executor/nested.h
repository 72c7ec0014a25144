/* What vcpus with EL2 need besides: an interrupt controller of KVM's own. */
#ifndef VF_NESTED_H
#define VF_NESTED_H

#include "machine.h"

/* Before a run: what the VM needs if any of its vcpus has EL2. */
void nested_prepare(struct machine *m);

/* The vcpu of a slot that `nested_prepare` created; -1: none. */
int nested_take_spare(struct machine *m, uint8_t slot);

/* After a case. */
void nested_forget(struct machine *m);

#endif
