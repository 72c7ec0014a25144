/* The log: KVM ioctls with what they were given and what they gave. */
#ifndef RECORDER_NOTES_H
#define RECORDER_NOTES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "memory.h"

bool notes_open(const char *path);

void note_command(char **argv);

/* The end: `code` is the command's. Whether all could be written. */
bool notes_close(int code);

bool is_kvm(uint64_t request);

/* What an ioctl is given, read before it is done. */
void note_entry(pid_t tid, uint64_t request, uint64_t arg, struct buffer *in);

/* An ioctl that is done. `result`: what it returned, or an errno less than 0. */
void note_ioctl(pid_t tid, pid_t pid, int fd, uint64_t request, uint64_t arg, int64_t result,
                const struct buffer *in);

/* An ioctl whose thread ended in it. */
void note_unfinished(pid_t pid, int fd, uint64_t request);

/* One more descriptor of what `fd` is of. */
void note_dup(pid_t pid, int fd, int other);

/* A mapping of the first page of a descriptor: that of a vcpu is its struct kvm_run. */
void note_mmap(pid_t pid, int fd, uint64_t address);

#endif
