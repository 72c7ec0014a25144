
static int set_mp_state(unsigned int n, __u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	return call(vcpus[n].fd, KVM_SET_MP_STATE, &mp);
}
