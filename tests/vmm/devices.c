/* A VMM that asks for what is no register: attributes, capabilities, a filter, debugging. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM 0x40000000u
#define PC (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | 0x100 / 4)

static int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static int attribute(int fd, unsigned long request, uint32_t group, uint64_t number, void *value)
{
    struct kvm_device_attr attr = {.group = group, .attr = number, .addr = (uintptr_t)value};
    return ioctl(fd, request, &attr);
}

static int enable(int vm, uint32_t cap, uint64_t argument)
{
    struct kvm_enable_cap wanted = {.cap = cap, .args = {argument}};
    return ioctl(vm, KVM_ENABLE_CAP, &wanted);
}

int main(void)
{
    static const uint32_t code[] = {0xd2aa0000, 0x52800541, 0xb9000001}; /* str w1, [0x50000000] */
    /* What follows a value in memory is none of it. */
    uint32_t irq[2] = {23, 0xeeeeeeee}, timer[2] = {0, 0};
    uint64_t pc = RAM, stolen = RAM + 0x8000;
    struct {
        uint32_t base, count;
        uint8_t action, pad[15];
    } filter = {0xc2000000, 16, 1, {0}};
    int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");

    must(enable(vm, 177, 0), "KVM_CAP_ARM_NISV_TO_USER");
    must(enable(vm, 168, 1), "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
    enable(vm, 0xffff, 0);
    must(attribute(vm, KVM_SET_DEVICE_ATTR, 0, 0, &filter), "KVM_ARM_VM_SMCCC_FILTER");
    void *ram = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(ram, code, sizeof code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = RAM, .memory_size = 0x10000, .userspace_addr = (uintptr_t)ram};
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");

    int fd = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    struct kvm_vcpu_init init;
    must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
    init.features[0] |= 1u << KVM_ARM_VCPU_PMU_V3;
    must(ioctl(fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
    attribute(fd, KVM_HAS_DEVICE_ATTR, 0, 0, NULL);
    attribute(fd, KVM_SET_DEVICE_ATTR, 0, 0, irq);
    must(attribute(fd, KVM_SET_DEVICE_ATTR, 0, 1, NULL), "KVM_ARM_VCPU_PMU_V3_INIT");
    attribute(fd, KVM_SET_DEVICE_ATTR, 0, 1, NULL);
    must(attribute(fd, KVM_GET_DEVICE_ATTR, 1, 0, timer), "KVM_ARM_VCPU_TIMER_IRQ_VTIMER");
    attribute(fd, KVM_SET_DEVICE_ATTR, 2, 0, &stolen);
    attribute(fd, KVM_HAS_DEVICE_ATTR, 7, 0, NULL);
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE};
    must(ioctl(fd, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
    struct kvm_one_reg reg = {PC, (uintptr_t)&pc};
    must(ioctl(fd, KVM_SET_ONE_REG, &reg), "PC");
    int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(ioctl(fd, KVM_RUN, 0), "KVM_RUN");
    /* On another descriptor of the same, and one that was another's number. */
    int other = must(fcntl(dup(fd), F_DUPFD_CLOEXEC, 50), "F_DUPFD_CLOEXEC");
    must(dup2(other, vm), "dup2");
    run->immediate_exit = 1;
    ioctl(vm, KVM_RUN, 0);
    printf("timer %u, exit %u\n", timer[0], run->exit_reason);
    return 0;
}
