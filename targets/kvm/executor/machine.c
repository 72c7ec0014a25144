#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire.h"

int call(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument) < 0 ? errno : 0;
}

int get_reg(int fd, uint64_t id, void *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};
    return call(fd, KVM_GET_ONE_REG, &reg);
}

int set_reg(int fd, uint64_t id, const void *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};
    return call(fd, KVM_SET_ONE_REG, &reg);
}

static uint64_t cache_type(void)
{
    uint64_t ctr;
    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    return ctr;
}

void sync_data(const void *start, size_t size)
{
    size_t line = (size_t)4 << (cache_type() >> 16 & 15);
    uintptr_t end = (uintptr_t)start + size;
    for (uintptr_t at = (uintptr_t)start & ~(line - 1); at < end; at += line)
        __asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb sy" ::: "memory");
}

void sync_code(const void *start, size_t size)
{
    size_t line = (size_t)4 << (cache_type() & 15);
    uintptr_t end = (uintptr_t)start + size;
    sync_data(start, size);
    for (uintptr_t at = (uintptr_t)start & ~(line - 1); at < end; at += line)
        __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool edge_map(struct edge *e)
{
    const size_t guard = 0x10000; /* one page of any page size */
    e->start = map(EDGE_SIZE + guard);
    return e->start && mprotect(e->start + EDGE_SIZE, guard, PROT_NONE) == 0;
}

static bool machine_setup(struct machine *m)
{
    m->vm = -1;
    m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm < 0)
        return false;
    int size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < 0)
        return false;
    m->run_size = (size_t)size;
    m->ram = map(RAM_SIZE);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        m->vcpus[slot].fd = -1;
    return m->ram && edge_map(&m->in) && edge_map(&m->out);
}

struct machine *machine_get(void)
{
    static struct machine machine;
    static bool ready;
    if (!ready)
        ready = machine_setup(&machine);
    return ready ? &machine : NULL;
}

void ram_write(struct machine *m, uint32_t offset, const void *bytes, size_t size)
{
    volatile uint8_t *to = m->ram + offset;
    for (size_t i = 0; i < size; i++)
        to[i] = ((const uint8_t *)bytes)[i];
    sync_code(m->ram + offset, size);
}

static void ram_clear(struct machine *m)
{
    volatile uint64_t *to = (volatile uint64_t *)m->ram;
    for (size_t i = 0; i < RAM_SIZE / sizeof *to; i++)
        to[i] = 0;
    sync_code(m->ram, RAM_SIZE);
}

/* An exception taken to EL1 becomes an MMIO write at 0x50000100 + 8 * vector. */
static void write_vectors(struct machine *m)
{
    for (uint32_t vector = 0; vector < 16; vector++) {
        uint32_t code[3] = {
            0xd2aa001e,                                /* movz x30, #0x5000, lsl #16 */
            0xf280001e | (0x100 + 8 * vector) << 5,    /* movk x30, #(0x100 + 8 * vector) */
            0xf90003de,                                /* str x30, [x30] */
        };
        ram_write(m, VECTOR_OFFSET + 0x80 * vector, code, sizeof code);
    }
}

static void drop_vm(struct machine *m)
{
    if (m->shared)
        for (unsigned id = m->used; id < POOL; id++)
            close(m->pool[id]);
    if (m->vm >= 0)
        close(m->vm);
    m->vm = -1;
    m->shared = false;
    m->features.known = false;
}

static int fill_pool(struct machine *m)
{
    for (unsigned long id = 0; id < POOL; id++) {
        m->pool[id] = ioctl(m->vm, KVM_CREATE_VCPU, id);
        if (m->pool[id] < 0) {
            int err = errno;
            while (id--)
                close(m->pool[id]);
            return err;
        }
    }
    m->used = 0;
    m->shared = true;
    return 0;
}

static int make_vm(struct machine *m, bool shared)
{
    m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0);
    if (m->vm < 0)
        return errno;
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = RAM_BASE,
        .memory_size = RAM_SIZE,
        .userspace_addr = (uintptr_t)m->ram,
    };
    int err = call(m->vm, KVM_SET_USER_MEMORY_REGION, &region);
    if (!err && shared)
        err = fill_pool(m);
    if (err)
        drop_vm(m);
    return err;
}

/* Whether the kept VM cannot be told from a fresh one by this case. */
static bool fits(const struct machine *m, const struct reuse *reuse)
{
    if (!m->shared || !reuse->allowed || reuse->slots > POOL - m->used)
        return false;
    return !m->features.known || !reuse->features.known ||
           memcmp(&m->features.words, &reuse->features.words, sizeof m->features.words) == 0;
}

int machine_begin(struct machine *m, const struct reuse *reuse)
{
    if (!fits(m, reuse)) {
        drop_vm(m);
        int err = make_vm(m, reuse->allowed);
        if (err)
            return err;
    }
    if (reuse->features.known)
        m->features = reuse->features;
    ram_clear(m);
    write_vectors(m);
    return 0;
}

void machine_end(struct machine *m)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct vcpu *v = &m->vcpus[slot];
        if (v->fd < 0)
            continue;
        munmap(v->run, m->run_size);
        close(v->fd);
        v->fd = -1;
        v->run = NULL;
    }
    if (!m->shared)
        drop_vm(m);
}

int machine_create_vcpu(struct machine *m, uint8_t slot)
{
    struct vcpu *v = &m->vcpus[slot];
    int fd;
    if (m->shared && v->fd >= 0)
        return EEXIST;
    if (m->shared)
        fd = m->pool[m->used++];
    else
        fd = ioctl(m->vm, KVM_CREATE_VCPU, (unsigned long)slot);
    if (fd < 0)
        return errno;
    void *run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED) {
        int err = errno;
        close(fd);
        return err;
    }
    v->fd = fd;
    v->run = run;
    return 0;
}
