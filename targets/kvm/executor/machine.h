/* The VM a case runs in, and the buffers whose last byte lies below unmapped memory. */
#ifndef VF_MACHINE_H
#define VF_MACHINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOTS 256
#define NAMED_SLOTS 3u /* that cases name */
#define EDGE_SIZE 0x10000u
#define POOL 64u
#define SHARED_VMS 4u

struct vcpu {
    int fd; /* -1: never created */
    struct kvm_run *run;
};

struct edge {
    uint8_t *start; /* EDGE_SIZE mapped bytes, then PROT_NONE */
};

/* The features of a VM's vcpus; KVM wants all vcpus of a VM to agree. */
struct features {
    bool known; /* false: no vcpu was ever initialised */
    uint32_t words[7];
};

/* Whether a case may run in a VM that served others, and what it needs there. */
struct reuse {
    bool allowed;
    unsigned slots; /* vcpus */
    struct features features;
};

/* A VM that serves several cases. It gets all its vcpus at once (protected KVM runs none
 * that was created after the first run), and each serves one case. Ids cannot be freed. */
struct shared {
    int vm;                   /* 0: none; the descriptor is never that low */
    unsigned used;            /* of `pool`, by earlier cases */
    unsigned long last;       /* when it served last, in cases */
    struct features features; /* what its vcpus were initialised with */
    int pool[POOL];
};

struct machine {
    int kvm, vm;
    unsigned long vm_type;
    size_t run_size;
    uint8_t *ram;
    uint32_t code_used;  /* bytes of RAM from CODE_OFFSET on that programs were put in */
    struct edge in, out; /* `in` is all zero between ops */
    struct vcpu vcpus[SLOTS];
    bool el2;                /* a vcpu of the current case has EL2 */
    int gic;                 /* of a VM with such vcpus, from its first run on; else -1 */
    int spares[NAMED_SLOTS]; /* vcpus that were created before it; -1: none */
    struct shared *home; /* of the current case; NULL: it has a VM of its own */
    struct shared shared[SHARED_VMS];
};

/* The process's one machine with its buffers mapped and /dev/kvm open, or NULL and errno. */
struct machine *machine_get(void);

/* A VM with zeroed RAM, the vectors in it and no vcpu of this case. 0 or an errno. */
int machine_begin(struct machine *m, const struct reuse *reuse);
void machine_end(struct machine *m);

/* 0 or an errno. */
int machine_create_vcpu(struct machine *m, uint8_t slot);

/* KVM_ARM_VCPU_INIT. 0 or an errno. */
int machine_init_vcpu(struct machine *m, uint8_t slot, struct kvm_vcpu_init *init);

/* Before a run: what the VM needs if any of its vcpus has EL2. */
void machine_prepare_el2(struct machine *m);
void machine_forget_el2(struct machine *m);

/* A new VM with RAM, or -1 and errno. */
int machine_create_vm(const struct machine *m);

/* A VM that served others, or will, and that this case cannot tell from a fresh one;
 * NULL and errno if none can be had. */
struct shared *shared_vm(struct machine *m, const struct reuse *reuse);

/* Write guest RAM. Plain stores only, never memcpy: QEMU (7.2) drops translated code just
 * for the first byte of an SVE store, so after an SVE memcpy a lab guest runs stale code. */
void ram_write(struct machine *m, uint32_t offset, const void *bytes, size_t size);

/* ioctl as 0 or a positive errno. */
int call(int fd, unsigned long request, void *argument);
int get_reg(int fd, uint64_t id, void *value);
int set_reg(int fd, uint64_t id, const void *value);

/* Guests run with caches off: make host writes visible to them and theirs to us. */
void sync_data(const void *start, size_t size);
void sync_code(const void *start, size_t size);

/* Where a buffer of which `n` bytes are mapped begins; b as in the wire form. */
static inline uint8_t *edge_at(const struct edge *e, uint64_t b)
{
    return b == 0 ? e->start : e->start + EDGE_SIZE - (b - 1);
}

#endif
