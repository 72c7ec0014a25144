#include "vm.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gic.h"
#include "nested.h"
#include "shared.h"

#define HAS_EL2 7 /* KVM_ARM_VCPU_HAS_EL2, newer than some headers */

/* Where the present case is a guest; NULL: it has a VM of its own. */
static struct shared *home;

int vm_begin(struct machine *m, const struct reuse *reuse)
{
    home = reuse->allowed ? shared_vm(m, reuse) : NULL;
    if (reuse->allowed)
        m->vm = home ? home->vm : -1;
    else
        m->vm = machine_create_vm(m, 0);
    if (m->vm < 0)
        return errno;
    ram_reset(m);
    return 0;
}

int vm_begin_other(struct machine *m)
{
    struct machine *other = machine_other(m);
    if (!other)
        return errno;
    other->vm = machine_create_vm(other, 0);
    if (other->vm < 0)
        return errno;
    ram_reset(other);
    m->other = other;
    return 0;
}

int vm_replace(struct machine *m, unsigned long type)
{
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (m->vcpus[slot].fd >= 0)
            return EEXIST;
    int vm = machine_create_vm(m, type);
    if (vm < 0)
        return errno;
    gic_forget(m);
    close(m->vm);
    m->vm = vm;
    return 0;
}

void vm_end(struct machine *m)
{
    if (m->other)
        vm_end(m->other);
    m->other = NULL;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct vcpu *v = &m->vcpus[slot];
        if (v->fd < 0)
            continue;
        munmap(v->run, m->run_size);
        close(v->fd);
        v->fd = -1;
        v->run = NULL;
    }
    if (m->el2 || m->gic >= 0)
        nested_forget(m);
    if (!home)
        close(m->vm);
    m->vm = -1;
    m->programs = NULL; /* a protected one's: RAM is ours again */
    m->given = false;
}

static int get_vcpu(struct machine *m, uint8_t slot, unsigned *id)
{
    *id = slot;
    if (home)
        return shared_take_vcpu(home, id);
    int fd = nested_take_spare(m, slot);
    return fd >= 0 ? fd : ioctl(m->vm, KVM_CREATE_VCPU, (unsigned long)slot);
}

int vm_create_vcpu(struct machine *m, uint8_t slot)
{
    struct vcpu *v = &m->vcpus[slot];
    if ((home || m->gic >= 0) && v->fd >= 0)
        return EEXIST;
    int fd = get_vcpu(m, slot, &v->id);
    if (fd < 0)
        return errno;
    void *run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED) {
        int err = errno;
        close(fd);
        return err;
    }
    v->fd = fd;
    v->vm = m->vm;
    v->run = run;
    return 0;
}

void vm_set_irq(const struct vcpu *v, bool raised)
{
    struct kvm_irq_level line = {
        .irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT | v->id << KVM_ARM_IRQ_VCPU_SHIFT |
               KVM_ARM_IRQ_CPU_IRQ,
        .level = raised,
    };
    call(v->vm, KVM_IRQ_LINE, &line);
}

int vm_init_vcpu(struct machine *m, uint8_t slot, struct kvm_vcpu_init *init)
{
    bool el2 = init->features[0] >> HAS_EL2 & 1;
    int err = call(m->vcpus[slot].fd, KVM_ARM_VCPU_INIT, init);
    if (!err && el2)
        m->el2 = true;
    return err;
}
