/* What executes one kind of op. */
#ifndef VF_HANDLER_H
#define VF_HANDLER_H

#include <stdint.h>

#include "machine.h"
#include "request.h"
#include "sink.h"

/* An observation but for its data, which goes to the sink. */
struct outcome {
    uint32_t err;
    uint64_t aux;
};

typedef struct outcome handler(struct machine *m, const struct op *op, struct sink *out);

#endif
