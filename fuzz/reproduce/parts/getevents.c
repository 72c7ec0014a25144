
static int get_events(unsigned int n)
{
	struct kvm_vcpu_events events;
	int err;

	memset(&events, 0, sizeof(events));
	err = call(vcpus[n].fd, KVM_GET_VCPU_EVENTS, &events);
	seen->size = err ? 0 : sizeof(events);
	memcpy(seen->data, &events, seen->size);
	return err;
}
