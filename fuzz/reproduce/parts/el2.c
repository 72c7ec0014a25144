
#ifndef KVM_ARM_VCPU_HAS_EL2
#define KVM_ARM_VCPU_HAS_EL2 7
#endif

static bool has_el2;	/* a vcpu of the VM has EL2 */
static int spares[3] = { -1, -1, -1 };
