
static int set_mp_state(unsigned int n, __u32 state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	return call(vcpus[n].fd, KVM_SET_MP_STATE, &mp);
}

static int get_mp_state(unsigned int n)
{
	struct kvm_mp_state mp = { 0 };
	int err = call(vcpus[n].fd, KVM_GET_MP_STATE, &mp);

	seen->size = err ? 0 : sizeof(mp.mp_state);
	memcpy(seen->data, &mp.mp_state, seen->size);
	return err;
}
