#include "nested.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "gic.h"

#define SMALLEST_PAGE 0x1000u

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
    populate(m);
    create_spares(m);
    gic_create(m); /* KVM_RUN will tell */
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
    gic_forget(m);
    m->el2 = false;
}
