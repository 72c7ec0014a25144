
#ifndef KVM_CAP_ARM_EL2
#define KVM_CAP_ARM_EL2 240
#endif

static bool offers(int capability)
{
	return ioctl(kvm, KVM_CHECK_EXTENSION, capability) > 0;
}
