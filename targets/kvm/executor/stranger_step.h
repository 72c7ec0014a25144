#ifndef VF_STRANGER_STEP_H
#define VF_STRANGER_STEP_H

#include "machine.h"
#include "stranger.h"

/* Debug what the vcpu runs next, if there is one who does. */
void stranger_step_begin(const struct vcpu *v);
/* Whether KVM_RUN returned because of that alone, so that it has to be made again. */
bool stranger_stepped(const struct vcpu *v);
/* Debug it no more. */
void stranger_step_end(const struct vcpu *v);

#endif
