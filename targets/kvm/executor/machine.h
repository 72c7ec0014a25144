/* What this process has to run cases with: /dev/kvm, guest RAM, the buffers whose last byte
 * lies below unmapped memory, and what the current case has made of them. */
#ifndef VF_MACHINE_H
#define VF_MACHINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define NAMED_SLOTS 3u /* that cases name */
#define CODE_OFFSET ((uint32_t)(CODE_BASE - RAM_BASE)) /* in RAM */
#define ASIDE_CODE_OFFSET ((uint32_t)(ASIDE_CODE_BASE - RAM_BASE))
#define CODE_AREAS 2u

struct vcpu {
    int fd; /* -1: never created */
    int vm;
    unsigned id; /* that KVM knows it by */
    struct kvm_run *run;
};

struct edge {
    uint8_t *start; /* BUFFER_SIZE mapped bytes, then PROT_NONE */
};

struct machine {
    int kvm, vm;
    unsigned long vm_type;
    size_t run_size;
    uint8_t *ram;
    uint32_t code_used[CODE_AREAS]; /* bytes from where code begins that programs were put in */
    struct edge in, out; /* `in` is all zero between ops */
    struct vcpu vcpus[SLOTS];
    const uint8_t *end;      /* of the request that it serves */
    const uint8_t *programs; /* of a protected VM: where ops of the request begin whose programs
                              * lie in RAM; NULL: an ordinary VM */
    bool given;              /* a protected VM has run, so that RAM may be its guest's */
    bool el2;                /* a vcpu of the current case has EL2 */
    int gic;                 /* that a case makes, or that such vcpus get for the VM's first run;
                              * -1: none */
    bool gic_new;            /* a case made it, and no guest ran since */
    int spares[NAMED_SLOTS]; /* vcpus that were created before it; -1: none */
    struct machine *other;   /* with the case's other VM; NULL: it has none */
};

/* The process's one machine with its buffers mapped and /dev/kvm open, or NULL and errno. */
struct machine *machine_get(void);

/* What another VM has beside `m`, which lends it its buffers; NULL and errno if it cannot be had. */
struct machine *machine_other(const struct machine *m);

/* A new VM with RAM, or -1 and errno; `type` beside the usual one. */
int machine_create_vm(const struct machine *m, unsigned long type);

/* A buffer of its own; false if it cannot be had. */
bool edge_map(struct edge *e);

/* Write guest RAM. Plain stores only, never memcpy: QEMU (7.2) drops translated code just
 * for the first byte of an SVE store, so after an SVE memcpy a lab guest runs stale code. */
void ram_write(struct machine *m, uint32_t offset, const void *bytes, size_t size);

/* RAM as it was at first: all zero but for the vectors. */
void ram_reset(struct machine *m);

/* Its tags zero, which outlive the VM whose guest set them. m->vm: one with memory tagging. */
void ram_untag(const struct machine *m);

/* ioctl as 0 or a positive errno. */
int call(int fd, unsigned long request, void *argument);
int get_reg(int fd, uint64_t id, void *value);
int set_reg(int fd, uint64_t id, const void *value);

/* Guests run with caches off: make host writes visible to them and theirs to us. */
void sync_data(const void *start, size_t size);
void sync_code(const void *start, size_t size);

/* The machine with the VM that an op is about. */
static inline struct machine *machine_about(struct machine *m, const struct wire_op *op)
{
    return op->vcpu == OTHER_SLOT ? m->other : m;
}

/* Where a buffer of which `n` bytes are mapped begins; b as in the wire form. */
static inline uint8_t *edge_at(const struct edge *e, uint64_t b)
{
    return b == 0 ? e->start : e->start + BUFFER_SIZE - (b - 1);
}

#endif
