#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "memory.h"

enum { PAGE = 4096 }; /* of the smallest kind */

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

/* Word by word: what every kernel can do. */
static ssize_t peek(pid_t tid, uint8_t *into, uint64_t address, size_t length)
{
    size_t done = 0;
    while (done < length) {
        uint64_t at = address + done, begin = at & -sizeof(long);
        size_t skip = at - begin, piece = sizeof(long) - skip;
        piece = piece < length - done ? piece : length - done;
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)begin, 0);
        if (errno)
            break;
        memcpy(into + done, (uint8_t *)&word + skip, piece);
        done += piece;
    }
    return (ssize_t)done;
}

static ssize_t read_piece(pid_t tid, uint8_t *into, uint64_t address, size_t length)
{
    struct iovec here = {into, length}, there = {(void *)(uintptr_t)address, length};
    ssize_t n = process_vm_readv(tid, &here, 1, &there, 1, 0);
    return n < 0 && errno == ENOSYS ? peek(tid, into, address, length) : n;
}

size_t buffer_read(struct buffer *buffer, pid_t tid, uint64_t address, size_t length)
{
    size_t done = 0;
    if (buffer->room < buffer->length + length) {
        buffer->room = buffer->length + length;
        buffer->bytes = realloc(buffer->bytes, buffer->room);
        if (!buffer->bytes) {
            perror("recorder");
            exit(1);
        }
    }
    while (done < length) { /* page by page, since one that is not mapped fails a whole read */
        size_t piece = PAGE - (address + done) % PAGE;
        piece = piece < length - done ? piece : length - done;
        ssize_t n = read_piece(tid, buffer->bytes + buffer->length, address + done, piece);
        if (n <= 0)
            break;
        buffer->length += (size_t)n;
        done += (size_t)n;
    }
    return done;
}
