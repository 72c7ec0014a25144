/* Executing one op, and its observation in the response. */
#ifndef VF_OBSERVE_H
#define VF_OBSERVE_H

#include "handler.h"

/* Execute one op and append its observation; false if that did not fit. */
bool observe(struct machine *m, const struct op *op, struct sink *out);

/* The same in two parts, with its data put into the sink between them. */
struct observation {
    struct wire_observation *head;
    const uint8_t *data;
};
bool observation_begin(struct observation *begun, struct sink *out);
bool observation_end(const struct observation *begun, const struct op *op,
                     struct outcome outcome, struct sink *out);

#endif
