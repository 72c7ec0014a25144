
/* KVM_ARM_VM_SMCCC_FILTER, which is newer than some headers. */
static int smccc_filter(__u32 base, __u32 count, __u8 action)
{
	struct {
		__u32 base, nr_functions;
		__u8 action, pad[15];
	} filter = { base, count, action, { 0 } };
	struct kvm_device_attr attr = { .addr = (unsigned long)&filter };

	return call(vm, KVM_SET_DEVICE_ATTR, &attr);
}
