/* One handler per op kind. */
#ifndef VF_OPS_H
#define VF_OPS_H

#include "machine.h"
#include "wire.h"

struct op {
    struct wire_op head;
    const uint8_t *payload;
};

/* Take the op at `*at` apart and step over it; false if it does not fit before `end`. */
bool next_op(const uint8_t **at, const uint8_t *end, struct op *op);

/* What a well-formed request permits and demands of the VM it runs in. */
struct reuse reuse_of(const struct wire_request *head, const uint8_t *at, const uint8_t *end);

/* Where an observation's data goes; `full` once something did not fit. */
struct sink {
    uint8_t *at, *end;
    bool full;
};

/* `size` writable bytes at the sink's end, or NULL when full. */
void *sink_take(struct sink *s, uint64_t size);
void sink_put(struct sink *s, const void *bytes, uint64_t size);

/* As above; zeros up to a multiple of 8 follow. */
void sink_put_padded(struct sink *s, const void *bytes, uint64_t size);

struct outcome {
    uint32_t err;
    uint64_t aux;
};

typedef struct outcome handler(struct machine *m, const struct op *op, struct sink *out);

extern handler *const handlers[KIND_COUNT];

/* Whether an op's payload and operands have the form its kind demands. */
bool op_well_formed(const struct op *op);

#define LARGEST_REG 256u

/* Bytes of a register. */
static inline uint64_t reg_size(uint64_t id)
{
    return 1ull << (id >> 52 & 15);
}

/* Read groups of registers as READ_ALL does. */
void read_groups(struct machine *m, int fd, const uint8_t *at, const uint8_t *end,
                 struct sink *out);

handler op_run;
handler op_probe;
handler op_host_run;
handler op_migrate;

#endif
