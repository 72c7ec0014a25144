/* The VM that a case runs in, from its beginning to its end, and the vcpus of that case. */
#ifndef VF_VM_H
#define VF_VM_H

#include <linux/kvm.h>

#include "machine.h"
#include "reuse.h"

/* A VM with zeroed RAM, the vectors in it and no vcpu of this case. 0 or an errno. */
int vm_begin(struct machine *m, const struct reuse *reuse);
/* The same of another VM beside it; both end at once. */
int vm_begin_other(struct machine *m);
void vm_end(struct machine *m);

/* Another VM in its place, before it has a vcpu; `type` beside the usual one. Not of a VM that
 * cases share. 0 or an errno. */
int vm_replace(struct machine *m, unsigned long type);

/* 0 or an errno. */
int vm_create_vcpu(struct machine *m, uint8_t slot);

/* Raise or lower the interrupt line of a vcpu in a VM without an interrupt controller of KVM's. */
void vm_set_irq(const struct vcpu *v, bool raised);

/* KVM_ARM_VCPU_INIT. 0 or an errno. */
int vm_init_vcpu(struct machine *m, uint8_t slot, struct kvm_vcpu_init *init);

#endif
