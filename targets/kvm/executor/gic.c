#include "gic.h"

#include <unistd.h>

static int set_attr(int device, uint32_t group, uint64_t attr, uint64_t value)
{
    struct kvm_device_attr what = {.group = group, .attr = attr, .addr = (uintptr_t)&value};
    return call(device, KVM_SET_DEVICE_ATTR, &what);
}

int gic_create(struct machine *m)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    int err = call(m->vm, KVM_CREATE_DEVICE, &device);
    if (err)
        return err;
    m->gic = (int)device.fd;
    err = set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GIC_DIST);
    if (!err)
        err = set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
                       GIC_REDIST);
    if (!err)
        err = set_attr(m->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
    return err;
}

bool gic_available(const struct machine *m)
{
    struct kvm_create_device device = {
        .type = KVM_DEV_TYPE_ARM_VGIC_V3, .flags = KVM_CREATE_DEVICE_TEST};
    return call(m->vm, KVM_CREATE_DEVICE, &device) == 0;
}

void gic_forget(struct machine *m)
{
    if (m->gic >= 0)
        close(m->gic);
    m->gic = -1;
    m->gic_new = false;
}

struct outcome op_create_gic(struct machine *m, const struct op *op, struct sink *out)
{
    (void)op;
    (void)out;
    const int err = gic_create(m);
    m->gic_new |= err == 0;
    return (struct outcome){.err = (uint32_t)err};
}
