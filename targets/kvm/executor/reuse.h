/* Which cases cannot tell a VM that served others from a fresh one. */
#ifndef VF_REUSE_H
#define VF_REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"

#define MOST_SHARED_SLOTS 8u /* a case that wants more vcpus had better have its own VM */

/* The features of a VM's vcpus; KVM wants all vcpus of a VM to agree. */
struct features {
    bool known; /* false: no vcpu was ever initialised */
    uint32_t words[7];
};

/* Whether a case may run in a VM that served others, and what it needs there. */
struct reuse {
    bool allowed;
    unsigned slots; /* vcpus */
    struct features features;
};

/* What a well-formed request permits and demands of the VM it runs in. */
struct reuse reuse_of(const struct wire_request *head, const uint8_t *at, const uint8_t *end);

#endif
