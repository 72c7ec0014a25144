/* Bytes of a traced process. */
#ifndef RECORDER_MEMORY_H
#define RECORDER_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buffer {
    uint8_t *bytes;
    size_t length, room;
};

void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

/* Add what is mapped of so many bytes from `address` on; how many that are. */
size_t buffer_read(struct buffer *buffer, pid_t tid, uint64_t address, size_t length);

#endif
