/* A VMM with the mistakes that people make with SVE, each in a VM of its own, and one VM without. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SVE (1u << KVM_ARM_VCPU_SVE)
#define CORE(offset, size) (KVM_REG_ARM64 | KVM_REG_ARM_CORE | (size) | (offset) / 4)
#define V(n) CORE(0x150 + 16 * (n), KVM_REG_SIZE_U128)
#define PC CORE(0x100, KVM_REG_SIZE_U64)
#define RAM 0x40000000u

static int kvm;

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static int machine(void)
{
    return must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
}

static int vcpu(int vm, int id, uint32_t features)
{
    struct kvm_vcpu_init init;
    int fd = must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
    must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
    init.features[0] |= features;
    must(ioctl(fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
    return fd;
}

static int finalize(int fd)
{
    int what = KVM_ARM_VCPU_SVE;
    return ioctl(fd, KVM_ARM_VCPU_FINALIZE, &what);
}

static int set(int fd, uint64_t id, const void *value)
{
    struct kvm_one_reg reg = {id, (uintptr_t)value};
    return ioctl(fd, KVM_SET_ONE_REG, &reg);
}

static int get(int fd, uint64_t id, void *value)
{
    struct kvm_one_reg reg = {id, (uintptr_t)value};
    return ioctl(fd, KVM_GET_ONE_REG, &reg);
}

static void lengths_after_finalize(void)
{
    uint64_t vls[8] = {1};
    int fd = vcpu(machine(), 0, SVE);
    must(finalize(fd), "KVM_ARM_VCPU_FINALIZE");
    set(fd, KVM_REG_ARM64_SVE_VLS, vls);
}

static void v_registers(void)
{
    uint8_t value[16] = {1};
    int fd = vcpu(machine(), 0, SVE);
    must(finalize(fd), "KVM_ARM_VCPU_FINALIZE");
    set(fd, V(0), value);
}

static void registers_before_finalize(void)
{
    uint8_t value[256] = {0};
    int fd = vcpu(machine(), 0, SVE);
    set(fd, KVM_REG_ARM64_SVE_ZREG(0, 0), value);
}

/* Saves all that is listed, and restores it after FINALIZE, in order: VLS as well. */
static void lengths_on_restore(void)
{
    uint8_t value[2048];
    int vm = machine(), from = vcpu(vm, 0, SVE);
    must(finalize(from), "KVM_ARM_VCPU_FINALIZE");
    struct kvm_reg_list none = {0}, *list;
    ioctl(from, KVM_GET_REG_LIST, &none);
    list = calloc(1, sizeof *list + none.n * sizeof list->reg[0]);
    list->n = none.n;
    must(ioctl(from, KVM_GET_REG_LIST, list), "KVM_GET_REG_LIST");
    int to = vcpu(vm, 1, SVE);
    must(finalize(to), "KVM_ARM_VCPU_FINALIZE");
    for (uint64_t i = 0; i < list->n; i++) {
        if ((list->reg[i] & KVM_REG_ARM_COPROC_MASK) != KVM_REG_ARM64_SVE)
            continue;
        must(get(from, list->reg[i], value), "KVM_GET_ONE_REG");
        set(to, list->reg[i], value);
    }
}

/* As it should be: the guest writes to where there is no memory. */
static void in_order(void)
{
    static const uint32_t code[] = {0xd2aa0000, 0x52800541, 0xb9000001}; /* str w1, [0x50000000] */
    uint64_t vls[8] = {1}, pc = RAM;
    int vm = machine();
    void *ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(ram, code, sizeof code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = RAM, .memory_size = 4096, .userspace_addr = (uintptr_t)ram};
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    int fd = vcpu(vm, 0, SVE);
    must(set(fd, KVM_REG_ARM64_SVE_VLS, vls), "VLS");
    must(finalize(fd), "KVM_ARM_VCPU_FINALIZE");
    int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(set(fd, PC, &pc), "PC");
    must(ioctl(fd, KVM_RUN, 0), "KVM_RUN");
    printf("exit %u at %#llx\n", run->exit_reason, (unsigned long long)run->mmio.phys_addr);
}

int main(void)
{
    kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    lengths_after_finalize();
    v_registers();
    registers_before_finalize();
    lengths_on_restore();
    in_order();
    return 0;
}
