
static int set_events(unsigned int n, int serror, int has_esr, __u64 esr, int abort, __u8 reserved)
{
	struct kvm_vcpu_events events;

	memset(&events, 0, sizeof(events));
	events.exception.serror_pending = serror;
	events.exception.serror_has_esr = has_esr;
	events.exception.serror_esr = esr;
	events.exception.ext_dabt_pending = abort;
	events.reserved[11] = reserved;
	return call(vcpus[n].fd, KVM_SET_VCPU_EVENTS, &events);
}
