/* Where the data of observations goes: the room that is left in a response. */
#ifndef VF_SINK_H
#define VF_SINK_H

#include <stdbool.h>
#include <stdint.h>

/* `full` once something did not fit. */
struct sink {
    uint8_t *at, *end;
    bool full;
};

/* `size` writable bytes at the sink's end, or NULL when full. */
void *sink_take(struct sink *s, uint64_t size);
void sink_put(struct sink *s, const void *bytes, uint64_t size);

/* As above; zeros up to a multiple of 8 follow. */
void sink_put_padded(struct sink *s, const void *bytes, uint64_t size);

#endif
