#include "nested.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define SMALLEST_PAGE 0x1000u
#define GIC_DIST 0x08000000u /* below RAM, as on QEMU's virt */
#define GIC_REDIST 0x080a0000u

static int set_attr(int device, uint32_t group, uint64_t attr, uint64_t value)
{
    struct kvm_device_attr what = {.group = group, .attr = attr, .addr = (uintptr_t)&value};
    return call(device, KVM_SET_DEVICE_ATTR, &what);
}

/* No vcpu can be created once there is an interrupt controller, so all that a case may want
 * are made before. */
static void create_spares(struct machine *m)
{
    for (unsigned slot = 0; slot < NAMED_SLOTS; slot++)
        if (m->vcpus[slot].fd < 0)
            m->spares[slot] = ioctl(m->vm, KVM_CREATE_VCPU, (unsigned long)slot);
}

/* Give all of RAM pages of its own. When the zero page gives way to one while a guest below EL2
 * is mapped, KVM unmaps all that such a guest could have mapped: longer than a run may take. */
static void populate(const struct machine *m)
{
    for (size_t at = 0; at < RAM_SIZE; at += SMALLEST_PAGE) {
        volatile uint8_t *byte = m->ram + at;
        *byte = *byte;
    }
}

void nested_prepare(struct machine *m)
{
    if (!m->el2 || m->gic >= 0)
        return;
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    populate(m);
    create_spares(m);
    if (call(m->vm, KVM_CREATE_DEVICE, &device))
        return; /* KVM_RUN will tell */
    m->gic = (int)device.fd;
    set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GIC_DIST);
    set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GIC_REDIST);
    set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}

int nested_take_spare(struct machine *m, uint8_t slot)
{
    if (m->gic < 0 || slot >= NAMED_SLOTS)
        return -1;
    int fd = m->spares[slot];
    m->spares[slot] = -1;
    return fd;
}

void nested_forget(struct machine *m)
{
    for (unsigned slot = 0; slot < NAMED_SLOTS; slot++) {
        if (m->spares[slot] >= 0)
            close(m->spares[slot]);
        m->spares[slot] = -1;
    }
    if (m->gic >= 0)
        close(m->gic);
    m->gic = -1;
    m->el2 = false;
}
