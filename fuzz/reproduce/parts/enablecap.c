
static int enable_cap(__u32 number, __u32 flags)
{
	struct kvm_enable_cap cap = { .cap = number, .flags = flags };

	return call(vm, KVM_ENABLE_CAP, &cap);
}
