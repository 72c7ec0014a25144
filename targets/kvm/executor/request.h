/* A request taken apart into its ops, and the form that it must have. */
#ifndef VF_REQUEST_H
#define VF_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

struct op {
    struct wire_op head;
    const uint8_t *payload;
};

/* Take the op at `*at` apart and step over it; false if it does not fit before `end`. */
bool next_op(const uint8_t **at, const uint8_t *end, struct op *op);

/* Whether the ops between `at` and `end` are those that `head` claims, each with the payload
 * and operands that its kind demands. */
bool request_well_formed(const struct wire_request *head, const uint8_t *at, const uint8_t *end);

/* Whether some op of a well-formed request is about the vcpu of another VM. */
bool request_names_other(const struct wire_request *head, const uint8_t *at, const uint8_t *end);

#endif
