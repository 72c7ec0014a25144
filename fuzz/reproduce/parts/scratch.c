
/* A register of a vcpu in a VM of its own, which tells what the host has. */
static __u64 host_reg(__u64 id)
{
	static int scratch = -1;
	__u64 value[8] = { 0 };
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)value };

	if (scratch < 0) {
		struct kvm_vcpu_init init = { 0 };
		int other = create_vm();

		scratch = ioctl(other, KVM_CREATE_VCPU, 0);
		if (scratch < 0 || call(other, KVM_ARM_PREFERRED_TARGET, &init))
			broken("KVM_CREATE_VCPU");
		if (offers(KVM_CAP_ARM_SVE))
			init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
		if (call(scratch, KVM_ARM_VCPU_INIT, &init))
			broken("KVM_ARM_VCPU_INIT");
	}
	return call(scratch, KVM_GET_ONE_REG, &reg) ? 0 : value[0];
}
