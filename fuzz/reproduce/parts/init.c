
static int init_vcpu(unsigned int n, unsigned int target, const __u32 features[7])
{
	struct kvm_vcpu_init init = { .target = target };
	int err;

	memcpy(init.features, features, sizeof(init.features));
	err = call(vcpus[n].fd, KVM_ARM_VCPU_INIT, &init);
{% if "el2" in parts %}
	if (!err && features[0] >> 7 & 1)
		has_el2 = true;
{% endif %}
	return err;
}
