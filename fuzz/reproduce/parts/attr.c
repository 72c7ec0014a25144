
static int device_attr(unsigned int n, unsigned long request, __u32 group, __u32 attr, __u64 value)
{
	__u64 seen_value = request == KVM_SET_DEVICE_ATTR ? value : 0;
	struct kvm_device_attr wanted = {
		.group = group,
		.attr = attr,
		.addr = (unsigned long)&seen_value,
	};
	int err = call(vcpus[n].fd, request, &wanted);

	seen->size = !err && request == KVM_GET_DEVICE_ATTR ? sizeof(seen_value) : 0;
	memcpy(seen->data, &seen_value, seen->size);
	return err;
}
