#include "sink.h"

#include <string.h>

#include "wire.h"

void *sink_take(struct sink *s, uint64_t size)
{
    if (s->full || size > (uint64_t)(s->end - s->at)) {
        s->full = true;
        return NULL;
    }
    void *at = s->at;
    s->at += size;
    return at;
}

void sink_put(struct sink *s, const void *bytes, uint64_t size)
{
    void *at = sink_take(s, size);
    if (at)
        memcpy(at, bytes, size);
}

void sink_put_padded(struct sink *s, const void *bytes, uint64_t size)
{
    uint8_t *at = sink_take(s, wire_padded(size));
    if (!at)
        return;
    memcpy(at, bytes, size);
    memset(at + size, 0, wire_padded(size) - size);
}
