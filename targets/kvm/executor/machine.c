#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IPA_BITS 36 /* the fewest with three levels of tables, so that the first is short */
#define VECTOR_SIZE 0x800u

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

bool edge_map(struct edge *e)
{
    const size_t guard = 0x10000; /* one page of any page size */
    e->start = map(BUFFER_SIZE + guard);
    return e->start && mprotect(e->start + BUFFER_SIZE, guard, PROT_NONE) == 0;
}

/* RAM, and no vcpus. */
static bool populate(struct machine *m)
{
    m->ram = map(RAM_SIZE);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        m->vcpus[slot].fd = -1;
    m->gic = -1;
    for (unsigned slot = 0; slot < NAMED_SLOTS; slot++)
        m->spares[slot] = -1;
    return m->ram;
}

static bool machine_setup(struct machine *m)
{
    m->vm = -1;
    m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm < 0)
        return false;
    int most = ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    m->vm_type = most > IPA_BITS ? IPA_BITS : most > 0 ? (unsigned long)most : 0;
    /* Never closed: with the last VM, KVM patches its hooks out of the kernel and switches
     * the hardware off, and with the next one all of it on again. */
    if (ioctl(m->kvm, KVM_CREATE_VM, m->vm_type) < 0)
        return false;
    int size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < 0)
        return false;
    m->run_size = (size_t)size;
    return populate(m) && edge_map(&m->in) && edge_map(&m->out);
}

struct machine *machine_get(void)
{
    static struct machine machine;
    static bool ready;
    if (!ready)
        ready = machine_setup(&machine);
    return ready ? &machine : NULL;
}

struct machine *machine_other(const struct machine *m)
{
    static struct machine other;
    if (!other.ram) {
        other = (struct machine){.kvm = m->kvm, .vm = -1, .vm_type = m->vm_type,
                                 .run_size = m->run_size, .in = m->in, .out = m->out};
        if (!populate(&other))
            return NULL;
    }
    return &other;
}

static void store_zeros(uint8_t *at, size_t size)
{
    volatile uint8_t *to = at;
    for (; size >= 8; size -= 8, to += 8)
        *(volatile uint64_t *)to = 0;
    while (size--)
        *to++ = 0;
}

static const uint32_t code_offsets[CODE_AREAS] = {CODE_OFFSET, ASIDE_CODE_OFFSET};

void ram_write(struct machine *m, uint32_t offset, const void *bytes, size_t size)
{
    for (unsigned area = 0; area < CODE_AREAS; area++) {
        const uint32_t end = offset - code_offsets[area] + (uint32_t)size;
        if (offset - code_offsets[area] < CODE_SIZE && end > m->code_used[area])
            m->code_used[area] = end;
    }
    volatile uint8_t *to = m->ram + offset;
    for (size_t i = 0; i < size; i++)
        to[i] = ((const uint8_t *)bytes)[i];
    sync_code(m->ram + offset, size);
}

/* An exception taken to EL1 becomes an MMIO write at 0x50000100 + 8 * vector. */
static const uint32_t *vectors(void)
{
    static uint32_t words[VECTOR_SIZE / 4];
    for (uint32_t vector = 0; !words[0x780 / 4] && vector < 16; vector++) {
        uint32_t *code = words + 0x80 / 4 * vector;
        code[0] = 0xd2aa001e;                             /* movz x30, #0x5000, lsl #16 */
        code[1] = 0xf280001e | (0x100 + 8 * vector) << 5; /* movk x30, #(0x100 + 8 * vector) */
        code[2] = 0xf90003de;                             /* str x30, [x30] */
    }
    return words;
}

/* Zero a part of RAM, a multiple of 64 bytes. Only lines that need it: a store to where QEMU
 * has translated code costs it some microseconds, and the translation. */
static void clear(uint8_t *begin, size_t size)
{
    const uint64_t *at = (uint64_t *)begin, *end = (uint64_t *)(begin + size);
    bool changed = false;
    for (; at < end; at += 8) {
        if (!(at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7]))
            continue;
        store_zeros((uint8_t *)at, 64);
        changed = true;
    }
    if (changed)
        sync_code(begin, size);
}

void ram_reset(struct machine *m)
{
    sync_data(m->ram, RAM_SIZE);
    if (memcmp(m->ram, vectors(), VECTOR_SIZE) != 0)
        ram_write(m, VECTOR_BASE - RAM_BASE, vectors(), VECTOR_SIZE);
    /* Code even where it is zero, too: see ram_write on stale translations. */
    for (unsigned area = 0; area < CODE_AREAS; area++) {
        store_zeros(m->ram + code_offsets[area], m->code_used[area]);
        sync_code(m->ram + code_offsets[area], m->code_used[area]);
        m->code_used[area] = 0;
    }
    for (size_t at = VECTOR_SIZE; at < RAM_SIZE; at += VECTOR_SIZE)
        clear(m->ram + at, VECTOR_SIZE);
}

void ram_untag(const struct machine *m)
{
    static uint8_t zeros[RAM_SIZE / 16]; /* a byte for each granule */
    struct kvm_arm_copy_mte_tags tags = {
        .guest_ipa = RAM_BASE,
        .length = RAM_SIZE,
        .addr = zeros,
        .flags = KVM_ARM_TAGS_TO_GUEST,
    };
    ioctl(m->vm, KVM_ARM_MTE_COPY_TAGS, &tags);
}

int machine_create_vm(const struct machine *m, unsigned long type)
{
    int vm = ioctl(m->kvm, KVM_CREATE_VM, m->vm_type | type);
    if (vm < 0)
        return -1;
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = RAM_BASE,
        .memory_size = RAM_SIZE,
        .userspace_addr = (uintptr_t)m->ram,
    };
    int err = call(vm, KVM_SET_USER_MEMORY_REGION, &region);
    if (!err)
        return vm;
    close(vm);
    errno = err;
    return -1;
}
