/* The interrupt controller of KVM's own that a VM may have: a GICv3, below RAM. */
#ifndef VF_GIC_H
#define VF_GIC_H

#include "handler.h"

handler op_create_gic;

/* Make it, at its addresses and ready, and keep it in m->gic; 0 or a positive errno. */
int gic_create(struct machine *m);

/* Whether such a one could be made. */
bool gic_available(const struct machine *m);

/* Let go of it. */
void gic_forget(struct machine *m);

#endif
